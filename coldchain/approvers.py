"""Approvers: who answers, as the operating system or a one-time code (RFC 6238) establishes it.

The key of a name's codes lies in two halves, one in the catalogue and one with whoever serves the forms: one half alone makes no code.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import os
import platform
import pwd
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field

from coldchain.errors import InputError, Refused
from coldchain.holds import Use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldchain.workspace import Workspace

_NAME = "[a-z][a-z0-9-]{0,31}"
ApproverName = Annotated[str, Field(pattern=f"^{_NAME}$", description="lower case, digits and -")]

STEP_S = 30
DIGITS = 6
KEY_BYTES = 20
MOST_WRONG = 5
WINDOW = dt.timedelta(minutes=15)
"""So many wrong codes within this time lock a name, for as long."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was established: by which name, how, and which user became this one with sudo."""

    name: str
    how: str
    behind: str = ""

    def __str__(self) -> str:
        """The name that is written down."""
        return f"{self.name} for {self.behind}" if self.behind not in {"", self.name} else self.name

    def was(self, who: str) -> bool:
        """Whether a name that was written down is this person's, with sudo or without."""
        return not {self.name, self.behind}.isdisjoint(who.split(" for "))


class _Known(BaseModel):
    """What the catalogue notes of a name: its half of the key, the last time-step that was used, and wrong codes of late."""

    half: str = ""
    step: int = -1
    wrong: tuple[AwareDatetime, ...] = ()
    locked_until: AwareDatetime | None = None


def at_command_line(environment: Mapping[str, str] = os.environ) -> Person:
    """The operating system's user; not what $USER says, which anyone sets."""
    uid = os.getuid()
    name = _user(uid)
    how = f"command line, uid {uid} {name}@{platform.node()}"
    sudo = environment.get("SUDO_UID", "")
    if not (sudo.isascii() and sudo.isdecimal() and len(sudo) <= 10):
        return Person(name, how)
    return Person(name, f"{how}, by sudo from uid {sudo} {_user(int(sudo))}", _user(int(sudo)))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def code_of(key: bytes, step: int) -> str:
    """One-time code of a time-step: RFC 6238 with SHA-1, as phones show it."""
    mac = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    start = mac[-1] & 0xF
    number = int.from_bytes(mac[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(now: dt.datetime) -> int:
    """Time-step of a moment."""
    return int(now.timestamp()) // STEP_S


def new_half() -> str:
    """Half of a key, in base 32."""
    return base64.b32encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_of(ours: str, theirs: str) -> bytes:
    """Key that two halves make."""
    return hmac.digest(ours.encode(), theirs.encode(), "sha1")


def uri(site: str, name: str, key: bytes) -> str:
    """Address that a phone's app reads a key from."""
    issuer = quote(f"Coldchain {site}")
    secret = base64.b32encode(key).decode()
    return f"otpauth://totp/{issuer}:{quote(name)}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"


def add(ws: Workspace, name: str, theirs: str, by: Person) -> bytes:
    """Make a key for a name, keep our half of it and a receipt; gives the key, which stands nowhere.

    Raises:
        Refused: there is one.
    """
    refuse_known(ws, name)
    ours = new_half()
    _save(ws, name, _Known(half=ours))
    ws.catalogue.add_receipt("approver", {"what": "added", "name": name, "how": by.how}, str(by), ws.now())
    return key_of(ours, theirs)


def check_may_name(name: str, by: Person, *, may_change_policy: bool) -> None:
    """Let a key be made for oneself, or by whoever may change the policy and so who approves: others would answer in that name.

    Raises:
        InputError: the name does not fit.
        Refused: it is somebody else's.
    """
    if not re.fullmatch(_NAME, name):
        raise InputError("this is no approver's name", on=name, expected="lower case letters, digits and -, at most 32")
    if name != by.name and not may_change_policy:
        raise Refused(
            f"{by} may not make a key for somebody else", on=name, done="nothing was changed", hint="ask who may change the policy"
        )


def refuse_known(ws: Workspace, name: str) -> None:
    """Raise Refused where a name has a key."""
    if _known(ws, name).half:
        raise Refused("this name has a key for its codes", on=name, done="nothing was changed", hint=f"coldchain approver remove {name}")


def remove(ws: Workspace, name: str, by: Person) -> None:
    """Throw a name's key away, with its wrong codes and its lock, and keep a receipt; raises Refused where there is none."""
    if not _known(ws, name).half:
        raise Refused("this name has no key for its codes", on=name, done="nothing was changed")
    _save(ws, name, _Known())
    ws.catalogue.add_receipt("approver", {"what": "removed", "name": name, "how": by.how}, str(by), ws.now())


def by_code(ws: Workspace, name: str, code: str, theirs: str | None, how: str) -> Person:
    """Establish somebody by a name and a code; `theirs` is the other half of the key, nothing where there is none.

    A name without a key is refused in the same words, and locked after as many wrong codes, as one that has a key.

    Raises:
        Refused: wrong name, wrong or used code, or locked.
    """
    with ws.catalogue.lease([f"approver/{name}"], Use.ALONE, ws.now()):
        now, known = ws.now(), _known(ws, name)
        if known.locked_until is not None and known.locked_until > now:
            raise Refused("locked after too many wrong codes", on=name, got=f"until {known.locked_until:%Y-%m-%d %H:%M} UTC", done=_NOTHING)
        key = key_of(known.half, theirs) if known.half and theirs else secrets.token_bytes(KEY_BYTES)
        step = _step(key, code, now)
        if step is None or step <= known.step:
            _note_wrong(ws, name, known, how, now)
            raise Refused("this name and code do not go together", on=name, done=_NOTHING, hint=_HINT)
        _save(ws, name, known.model_copy(update={"step": step}))
    return Person(name, how)


_NOTHING = "nothing was answered"
_HINT = f"type the code that the phone shows now; each counts once, and {MOST_WRONG} wrong ones lock the name for a quarter of an hour"


def _step(key: bytes, code: str, now: dt.datetime) -> int | None:
    """Which time-step a code is of: this one, or one beside it; all are compared, each in constant time."""
    steps = range(step_of(now) - 1, step_of(now) + 2)
    found = [step for step in steps if hmac.compare_digest(code_of(key, step).encode(), code.encode())]
    return found[-1] if found else None


def _note_wrong(ws: Workspace, name: str, known: _Known, how: str, now: dt.datetime) -> None:
    wrong = (*(each for each in known.wrong if now - WINDOW < each <= now), now)
    if len(wrong) < MOST_WRONG:
        _save(ws, name, known.model_copy(update={"wrong": wrong}))
        return
    until = now + WINDOW
    _save(ws, name, known.model_copy(update={"wrong": (), "locked_until": until}))
    ws.catalogue.add_receipt("lock", {"name": name, "how": how, "wrong": len(wrong), "until": until}, "nobody established", now)


def _known(ws: Workspace, name: str) -> _Known:
    return _Known.model_validate_json(ws.catalogue.setting(_setting(name)) or "{}")


def _save(ws: Workspace, name: str, known: _Known) -> None:
    ws.catalogue.save_setting(_setting(name), known.model_dump_json())


def _setting(name: str) -> str:
    return f"approver {name}"
