from coldchain import transfer


def test_smoke(ws, ingested, made):
    c = transfer.deliver(ws, ingested, "cold")
    assert c.state == "verified", c
    print(c)
