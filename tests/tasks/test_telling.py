"""Telling people: in the Prefect UI always, and through every block that the site names; a block that fails hides nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from pydantic import ValidationError

from coldchain.errors import ConfigurationError
from tasks.telling import Channels, TellForm, as_markdown, as_text

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # apprise, which Prefect's blocks use, imports it
]

SECRET = "s3cret-t0ken"  # noqa: S105 - made up
FORM = TellForm(what="nightly-sweep did not complete within 26 hours", about="run <b>x</b>\nended", hint="look at the worker's log")


class Service(ThreadingHTTPServer):
    """A chat service of our own: keeps what it is told, or answers with an error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listener)
        self.told: list[dict[str, str]] = []
        self.status = 200

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class Listener(BaseHTTPRequestHandler):
    """Takes one message."""

    server: Service

    def do_POST(self) -> None:
        """Keep the message."""
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """The service, listening while the test runs."""
    with Service() as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


@pytest.fixture
def blocks(service: Service) -> None:
    """Two blocks that tell the service, one that tells nobody, and one that is no notification block; the secret is part of the message."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
    from prefect.blocks.system import Secret

    message = {"title": "{{subject}}", "text": "{{body}}", "key": "{{key}}"}
    for name in ("lab", "ada"):
        block = CustomWebhookNotificationBlock(name=name, url=service.url, json_data=message, secrets={"key": SECRET})
        block.save(name, overwrite=True)
    SlackWebhook(url=f"http://127.0.0.1:1/{SECRET}").save("gone", overwrite=True)
    Secret(value=SECRET).save("no-notification", overwrite=True)


def artifacts() -> list[str]:
    """The pages with the key `attention`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["attention"])))
    return [str(artifact.data) for artifact in found]


def test_without_blocks_it_stands_in_the_ui_and_in_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A site that names no block needs no outside service."""
    from flows.tell import tell

    monkeypatch.delenv("COLDCHAIN_TELL", raising=False)
    before = len(artifacts())
    assert tell(FORM) == "told through 0 blocks"
    assert len(artifacts()) == before + 1
    assert "# nightly-sweep did not complete within 26 hours" in artifacts()[-1] + artifacts()[0]
    assert any(record.levelno == logging.ERROR and FORM.what in record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("blocks")
def test_every_block_of_the_site_is_told(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    """Each named block tells once, with what happened and what to do."""
    from flows.tell import tell

    monkeypatch.setenv("COLDCHAIN_TELL", "custom-webhook/lab, custom-webhook/ada,custom-webhook/lab,")
    assert tell(FORM) == "told through 2 blocks"
    assert [message["title"] for message in service.told] == [f"Coldchain: {FORM.what}"] * 2
    assert service.told[0]["text"] == f"{FORM.what}\nrun <b>x</b> ended\nlook at the worker's log"
    assert service.told[0]["key"] == SECRET


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("slack-webhook/gone", "NotificationError"),
        ("custom-webhook/no-such", "ValueError"),
        ("secret/no-notification", "this block cannot tell"),
        ("nonsense", "ValueError"),
    ],
)
@pytest.mark.usefixtures("blocks")
def test_a_block_that_fails_does_not_keep_the_others_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, service: Service, broken: str, why: str
) -> None:
    """The others are told, the run fails and names the block, and no secret of it is said."""
    from flows.tell import tell

    monkeypatch.setenv("COLDCHAIN_TELL", f"{broken}, custom-webhook/lab")
    before = len(artifacts())
    with pytest.raises(ConfigurationError, match=f"{broken}: {why}") as raised:
        tell(FORM)
    assert len(service.told) == 1
    assert len(artifacts()) == before + 1
    assert SECRET not in str(raised.value)
    assert SECRET not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("prefect.")) + "".join(
        artifacts()
    )


@pytest.mark.usefixtures("blocks")
def test_a_service_that_answers_with_an_error_was_not_told(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    """An answer of 500 is no success."""
    from flows.tell import tell

    service.status = 500
    monkeypatch.setenv("COLDCHAIN_TELL", "custom-webhook/lab")
    with pytest.raises(ConfigurationError, match="custom-webhook/lab"):
        tell(FORM)


def test_a_hostile_text_is_only_text() -> None:
    """What a run ended with may hold anything: it makes no element and no link in the page, and no second line in a message."""
    form = TellForm(what="x <script>", about="![a](http://evil.example/x.png)\n# b\udcff", hint="[c](javascript:1)")
    page = as_markdown(form)
    assert "<script" not in page
    assert "](" not in page.replace("\\](", "")
    assert "http://" not in page
    assert page.encode()
    assert as_text(form).encode()
    assert as_text(form).count("\n") == 2


@pytest.mark.parametrize(
    ("value", "slugs"), [("", []), (" , ", []), ("a/b", ["a/b"]), ("a/b,c/d , a/b", ["a/b", "c/d"])]
)  # fmt: skip
def test_blocks_are_named_with_commas(monkeypatch: pytest.MonkeyPatch, value: str, slugs: list[str]) -> None:
    """Spaces and a comma too many do no harm; a block that is named twice tells once."""
    monkeypatch.setenv("COLDCHAIN_TELL", value)
    assert Channels().slugs == slugs


def test_nothing_is_not_told() -> None:
    """Somebody has to say what happened."""
    with pytest.raises(ValidationError):
        TellForm(what="")
