"""A POSIX store at the end of a pipe: what another machine runs, so that bytes are looked at, hashed and protected where they stand.

It needs Python's own library alone: it is sent to the machine with the modules that it stands on (`MODULES`), and leaves nothing there.
A line is a request, ``{"call": name, "given": {...}}`` in JSON; the answer is any number of lines ``{"progress": [done, total]}``, then
``{"gave": value}`` or ``{"raised": {...}}``. Names that are no text travel as Python reads them from a file system (PEP 383).
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from coldchain import errors
from coldchain.errors import ColdchainError, LocationUnreachable
from coldchain.manifest import Manifest
from coldchain.store import Protection
from coldchain.store_posix import PosixStore

if TYPE_CHECKING:
    from coldchain.location import Location

MODULES = ("__init__", "errors", "file_errors", "files", "manifest", "protection", "serving", "store", "store_posix", "zfs")
"""All of `coldchain` that it needs."""


@dataclass(frozen=True)
class Place:
    """As much of a location as a POSIX store asks for."""

    name: str
    protection: Protection
    transient: bool


def serve(lines: Iterable[str], answers: TextIO) -> None:
    """Answer requests until there are none; the first says which store."""
    store: PosixStore | None = None
    for line in lines:
        asked = json.loads(line)
        if store is None:
            store = _store(asked)
            _tell(answers, {"gave": None})
        else:
            _tell(answers, _answer(store, asked, answers))


def _store(said: Mapping[str, Any]) -> PosixStore:
    """A store of a folder; one that is not absolute is below the home of whoever logs in."""
    place = Place(said["name"], Protection(said["protection"]), said["transient"])
    return PosixStore(cast("Location", place), Path.home() / Path(said["root"]).expanduser())


def _answer(store: PosixStore, asked: Mapping[str, Any], answers: TextIO) -> dict[str, Any]:
    call, given = asked["call"], dict(asked["given"])
    if call == "read_back":
        given["progress"] = lambda done, total: _tell(answers, {"progress": [done, total]})
    if call == "changed":
        given["since"] = dt.datetime.fromisoformat(given["since"])
    if call == "write_manifest":
        given["manifest"] = Manifest(given["manifest"])
    if call == "annotate":
        given["content"] = base64.b64decode(given["content"])
    try:
        return {"gave": plain(_CALLS[call](store, **given))}
    except ColdchainError as error:
        return {"raised": said_of(error)}
    except OSError as error:  # what no border of ours translates is still an answer
        return {"raised": said_of(LocationUnreachable("the machine does not do what it was asked", on=call, got=error))}


def _folder(store: PosixStore, path: str) -> str:
    """Make a folder to put files into, none of whose parts is a link; gives its path on the machine."""
    store.put(store.root, path, [])
    return str(store.local(path))


_OWN = "identity register place capacity clock exists children names changed read_back manifest write_manifest annotate move set_aside"
_CALLS: Mapping[str, Callable[..., Any]] = {
    "folder": _folder,
    "path": lambda store, path: str(store.local(path)),
    **{name: getattr(PosixStore, name) for name in (*_OWN.split(), "protect", "destroy", "delete")},
}


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Manifest):
        return dict(value.entries)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def said_of(error: ColdchainError) -> dict[str, Any]:
    """An error as JSON can hold it."""
    parts = {name: getattr(error, name) for name in ("on", "expected", "got", "done", "hint")}
    said = {name: None if part is None else str(part) for name, part in parts.items()}
    return {"kind": type(error).__name__, "what": error.what, **said}


def error_of(said: Mapping[str, Any]) -> ColdchainError:
    """The error that was said; one that is not known here is a ColdchainError."""
    kind = getattr(errors, str(said["kind"]), None)
    known: type[ColdchainError] = kind if isinstance(kind, type) and issubclass(kind, ColdchainError) else ColdchainError
    return known(said["what"], **{name: said[name] for name in ("on", "expected", "got", "done", "hint")})


def _tell(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
