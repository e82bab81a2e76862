"""Who answers: the operating system's user, or a name with a one-time code that counts once."""

from __future__ import annotations

import base64
import datetime as dt
import os
import pwd
import re
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coldchain import approvers
from coldchain.approvers import Person, code_of, step_of
from coldchain.errors import ColdchainError, InputError, Refused
from coldchain.workspace import Workspace

ENGINEER = Person("engineer", "test")
THEIRS = approvers.new_half()
RFC = b"12345678901234567890"


@pytest.fixture
def key(ws: Workspace) -> bytes:
    """Key of ada's codes."""
    return approvers.add(ws, "ada", THEIRS, ENGINEER)


def by_code(ws: Workspace, code: str, name: str = "ada", theirs: str | None = THEIRS) -> Person:
    """Establish somebody."""
    return approvers.by_code(ws, name, code, theirs, "Prefect UI, run 7")


def now_code(ws: Workspace, key: bytes, beside: int = 0) -> str:
    """The code that the phone shows, or showed so many steps before."""
    return code_of(key, step_of(ws.now()) + beside)


def wrong(ws: Workspace, key: bytes) -> str:
    """A code that is none of those around now."""
    near = {now_code(ws, key, beside) for beside in range(-3, 4)}
    return next(code for code in map("{:06d}".format, range(10)) if code not in near)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"), (2000000000, "69279037"),
     (20000000000, "65353130")],
)  # fmt: skip
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    """The vectors of RFC 6238, appendix B (SHA-1); six digits are the last six of its eight."""
    assert code_of(RFC, step_of(dt.datetime.fromtimestamp(seconds, dt.UTC))) == code[-6:]


def test_the_command_line_asks_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the command is its user's name, whatever USER, LOGNAME and the like say."""
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    monkeypatch.delenv("SUDO_UID", raising=False)
    person = approvers.at_command_line()
    assert person.name == pwd.getpwuid(os.getuid()).pw_name
    assert person.how.startswith(f"command line, uid {os.getuid()} {person.name}@")
    assert person.behind == ""


def test_a_user_without_a_name_is_called_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the user may stand in no table."""
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)
    assert approvers.at_command_line({}).name == "uid 3999999"


def test_sudo_is_noted_and_changes_no_name() -> None:
    """Under sudo the name is the user that the command runs as; who called sudo stands beside it."""
    person = approvers.at_command_line({"SUDO_UID": "3999999"})
    assert person.name == pwd.getpwuid(os.getuid()).pw_name
    assert "by sudo from uid 3999999" in person.how
    assert str(person) == f"{person.name} for uid 3999999"
    assert person.was("uid 3999999")
    assert person.was(str(person))
    assert not person.was("ada")


@pytest.mark.parametrize("said", ["", "ada", "-1", "1 000", "٣", "99999999999999", "9999999999"])
def test_a_broken_sudo_uid_breaks_nothing(said: str) -> None:
    """What sudo never writes is left out, or a number without a name."""
    person = approvers.at_command_line({"SUDO_UID": said})
    assert person.behind == ("uid 9999999999" if said == "9999999999" else "")


@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_the_code_of_now_and_those_beside_it_count(ws: Workspace, key: bytes, beside: int) -> None:
    """A phone's clock may be half a minute off; what was established says how."""
    assert by_code(ws, now_code(ws, key, beside)) == Person("ada", "Prefect UI, run 7")


@pytest.mark.parametrize("beside", [-2, 2])
def test_an_old_or_early_code_does_not_count(ws: Workspace, key: bytes, beside: int) -> None:
    """Two steps off is too far."""
    with pytest.raises(Refused):
        by_code(ws, now_code(ws, key, beside))


def test_a_code_counts_once(ws: Workspace, key: bytes, clock: Any) -> None:
    """The same code again is refused, and so is the code of a step before it; the next step's counts."""
    code, before = now_code(ws, key), now_code(ws, key, -1)
    by_code(ws, code)
    for again in (code, before):
        with pytest.raises(Refused, match="do not go together"):
            by_code(ws, again)
    clock.forward(seconds=30)
    with pytest.raises(Refused):
        by_code(ws, code)
    by_code(ws, now_code(ws, key))


def test_of_two_at_once_one_is_established(ws: Workspace, key: bytes) -> None:
    """Two runs with the same code at the same moment: it counts for one of them."""
    code, outcomes, start = now_code(ws, key), [], threading.Barrier(2)

    def run() -> None:
        start.wait()
        try:
            outcomes.append(by_code(ws, code).name)
        except ColdchainError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("ada") == 1
    assert set(outcomes) <= {"ada", "Refused", "LeaseTaken"}


def test_who_has_no_key_is_refused_in_the_same_words(ws: Workspace, key: bytes) -> None:
    """An unknown name, a name with half a key, a wrong code and a used one cannot be told apart."""
    used = now_code(ws, key)
    by_code(ws, used)
    said = set()
    for name, code, theirs in (
        ("ada", wrong(ws, key), THEIRS),
        ("ada", used, THEIRS),
        ("ada", used, None),
        ("bob", used, None),
        ("eve", used, THEIRS),
    ):
        with pytest.raises(Refused) as refused:
            by_code(ws, code, name, theirs)
        said.add(str(refused.value).replace(name, "NAME"))
    assert len(said) == 1


def test_an_empty_key_is_no_key(ws: Workspace) -> None:
    """The code that an empty key would give, anybody could compute."""
    with pytest.raises(Refused):
        by_code(ws, code_of(approvers.key_of("", ""), step_of(ws.now())), "bob", "")
    with pytest.raises(Refused):
        by_code(ws, code_of(approvers.key_of("", THEIRS), step_of(ws.now())), "bob")
    approvers.add(ws, "ada", THEIRS, ENGINEER)
    ours = re.search(r'"half":"(\w+)"', ws.catalogue.setting("approver ada") or "")
    assert ours
    with pytest.raises(Refused):
        by_code(ws, code_of(approvers.key_of(ours[1], ""), step_of(ws.now())), theirs="")


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_five_wrong_codes_lock_the_name_for_a_quarter_of_an_hour(ws: Workspace, key: bytes, clock: Any, name: str) -> None:
    """Then not even the right code counts, whether the name has a key or not; a receipt says so; afterwards it counts again."""
    for _ in range(5):
        with pytest.raises(Refused, match="do not go together"):
            by_code(ws, wrong(ws, key), name)
    for later in (0, 14):
        clock.forward(minutes=later)
        with pytest.raises(Refused, match="locked after too many wrong codes"):
            by_code(ws, now_code(ws, key), name)
    (receipt,) = ws.catalogue.receipts("lock")
    assert (receipt["name"], receipt["wrong"], receipt["how"]) == (name, 5, "Prefect UI, run 7")
    clock.forward(minutes=1)
    if name == "ada":
        by_code(ws, now_code(ws, key))
    else:
        with pytest.raises(Refused, match="do not go together"):
            by_code(ws, now_code(ws, key), name)


def test_the_lock_is_of_one_name(ws: Workspace, key: bytes) -> None:
    """Somebody who tries one name does not lock out another."""
    for _ in range(5):
        with pytest.raises(Refused):
            by_code(ws, "000000", "bob", None)
    assert by_code(ws, now_code(ws, key)).name == "ada"


def test_wrong_codes_of_long_ago_do_not_lock(ws: Workspace, key: bytes, clock: Any) -> None:
    """Four now and one after a quarter of an hour are no five within it; a right one in between wipes none away."""
    for _ in range(4):
        with pytest.raises(Refused):
            by_code(ws, wrong(ws, key))
    by_code(ws, now_code(ws, key))
    clock.forward(minutes=15)
    with pytest.raises(Refused):
        by_code(ws, wrong(ws, key))
    assert ws.catalogue.receipts("lock") == []
    for _ in range(4):
        with pytest.raises(Refused):
            by_code(ws, wrong(ws, key))
    assert len(ws.catalogue.receipts("lock")) == 1


def test_a_right_code_does_not_reset_the_wrong_ones(ws: Workspace, key: bytes) -> None:
    """Whoever guesses four at a time between an approver's own answers is locked out all the same."""
    for _ in range(4):
        with pytest.raises(Refused):
            by_code(ws, wrong(ws, key))
    by_code(ws, now_code(ws, key))
    with pytest.raises(Refused):
        by_code(ws, wrong(ws, key))
    assert len(ws.catalogue.receipts("lock")) == 1


@pytest.mark.parametrize("half", ["ours", "theirs"])
def test_half_a_key_makes_no_code(ws: Workspace, key: bytes, half: str) -> None:
    """Who reads only the block, or only the catalogue, cannot answer; nor can who puts another block in its place."""
    noted = re.search(r'"half":"(\w+)"', ws.catalogue.setting("approver ada") or "")
    assert noted
    known = {"ours": noted[1], "theirs": THEIRS}[half]
    for guess in (
        base64.b32decode(known),
        known.encode(),
        approvers.key_of(known, ""),
        approvers.key_of("", known),
        approvers.key_of(known, known),
    ):
        with pytest.raises(Refused):
            by_code(ws, code_of(guess, step_of(ws.now())))
    with pytest.raises(Refused):
        by_code(ws, now_code(ws, key), theirs=approvers.new_half())


def test_a_phone_reads_the_address(ws: Workspace, key: bytes) -> None:
    """The otpauth address holds the key, and says site, name, digits and period."""
    address = urlsplit(approvers.uri("demo lab", "ada", key))
    said = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Coldchain%20demo%20lab:ada")
    assert base64.b32decode(said["secret"]) == key
    assert {**said, "secret": ""} == {"secret": "", "issuer": "Coldchain demo lab", "algorithm": "SHA1", "digits": "6", "period": "30"}


def test_a_key_is_made_once_and_thrown_away_once(ws: Workspace, key: bytes, clock: Any) -> None:
    """A second key for a name needs the first one to be removed; each step leaves a receipt without the key."""
    with pytest.raises(Refused, match="has a key"):
        approvers.add(ws, "ada", THEIRS, ENGINEER)
    approvers.remove(ws, "ada", ENGINEER)
    with pytest.raises(Refused, match="do not go together"):
        by_code(ws, now_code(ws, key))
    with pytest.raises(Refused, match="no key"):
        approvers.remove(ws, "ada", ENGINEER)
    clock.forward(seconds=1)
    other = approvers.add(ws, "ada", THEIRS, ENGINEER)
    assert other != key
    receipts = ws.catalogue.receipts("approver")
    assert [(each["what"], each["name"], each["who"]) for each in receipts] == [
        (what, "ada", "engineer") for what in ("added", "removed", "added")
    ]
    for secret in (key, other):
        assert base64.b32encode(secret).decode() not in str(receipts)
        assert secret.hex() not in str(receipts)


@pytest.mark.parametrize("name", ["Ada", "a/b", "", "-a", "ada\n", "a" * 33, "ada lovelace", "ádá"])
def test_a_name_is_plain(name: str) -> None:
    """A name that no block can have is refused."""
    with pytest.raises(InputError):
        approvers.check_may_name(name, Person("root", "test"), may_change_policy=True)


def test_nobody_makes_a_key_for_somebody_else_unless_they_may_say_who_approves() -> None:
    """Whoever holds a key answers in that name: it is made for oneself, or by who may change the policy."""
    approvers.check_may_name("ada", Person("ada", "test"), may_change_policy=False)
    approvers.check_may_name("ada", Person("root", "test"), may_change_policy=True)
    with pytest.raises(Refused, match="somebody else"):
        approvers.check_may_name("ada", Person("grace", "test", "ada"), may_change_policy=False)
