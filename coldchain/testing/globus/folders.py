"""What the Transfer API's operations do in a collection's folder: ls, stat, mkdir and rename, with their errors."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coldchain.testing.globus.documents import Document, Refusal, check_path, result, stamp

LISTED_AT_MOST = 100_000
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFCHR: "chr", stat.S_IFBLK: "blk", stat.S_IFIFO: "pipe"}


def shown(name: str) -> str:
    """A name as the API shows it: one that is no UTF-8 as Latin-1 behind U+FFFD."""
    raw = os.fsencode(name)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "\ufffd" + raw.decode("latin-1")


def place(root: Path, path: str) -> Path:
    """The file of a path of a collection."""
    parts = check_path(path).removeprefix("/~").split("/")
    if ".." in parts:
        raise Refusal(403, "EndpointPermissionDenied", f"Path not allowed: {path!r}")
    raw = [os.fsdecode(part[1:].encode("latin-1")) if part.startswith("\ufffd") else part for part in parts if part]
    return root.joinpath(*raw)


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """Say what the system refuses as the API says it."""
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal(404, "NotFound", f"Path not found: {path!r}: No such file or directory") from error
    except NotADirectoryError as error:
        raise Refusal(502, "ExternalError.DirListingFailed.NotDirectory", f"Not a directory: {path!r}") from error
    except PermissionError as error:
        raise Refusal(403, "EndpointPermissionDenied", f"Denied by endpoint: {path!r}") from error
    except OSError as error:
        raise Refusal(502, "EndpointError", f"Command failed: {path!r}: {error.strerror}") from error


def listing(root: Path, collection: str, given: Mapping[str, str]) -> Document:
    """A folder's entries, a page of them."""
    path = given.get("path", "/~/")
    with refusing(path):
        folder = place(root, path)
        entries = [_entry(child) for child in sorted(folder.iterdir(), key=lambda child: os.fsencode(child.name))]
    for rule in given.get("filter", "").split("/"):
        entries = [each for each in entries if _passes(each, rule)]
    limit, offset = min(int(given.get("limit", LISTED_AT_MOST)), LISTED_AT_MOST), int(given.get("offset", 0))
    page = entries[offset : offset + limit]
    return {
        "DATA_TYPE": "file_list",
        "DATA": page,
        "endpoint": collection,
        "path": path,
        "absolute_path": path,
        "length": len(page),
        "total": len(entries),
        "limit": limit,
        "offset": offset,
        "rename_supported": True,
        "symlink_supported": False,
    }


def _passes(entry: Document, rule: str) -> bool:
    field, _, wanted = rule.partition(":")
    if not rule or field not in {"name", "type"}:
        return True
    found = str(entry[field])
    return fnmatch.fnmatchcase(found, wanted[1:]) if wanted.startswith("~") else found in wanted.split(",")


def status(root: Path, path: str) -> Document:
    """One entry."""
    with refusing(path):
        return _entry(place(root, path))


def _entry(file: Path) -> Document:
    own = file.lstat()
    linked = stat.S_ISLNK(own.st_mode)
    try:
        found = file.stat() if linked else own
    except OSError:
        found = None
    kind = "invalid_symlink" if found is None else _KINDS.get(stat.S_IFMT(found.st_mode), "other")
    told = found or own
    return {
        "DATA_TYPE": "file",
        "name": shown(file.name),
        "type": kind,
        "size": told.st_size,
        "last_modified": stamp(told.st_mtime),
        "permissions": f"{stat.S_IMODE(told.st_mode):04o}",
        "user": "lab",
        "group": "lab",
        "link_target": shown(str(file.readlink())) if linked else None,
        "link_size": own.st_size if linked else None,
        "link_last_modified": stamp(own.st_mtime) if linked else None,
        "link_user": "lab" if linked else None,
        "link_group": "lab" if linked else None,
    }


def mkdir(root: Path, path: str) -> Document:
    """Make one folder, whose parent stands."""
    try:
        with refusing(path):
            place(root, path).mkdir()
    except Refusal as refusal:
        if isinstance(refusal.__cause__, FileExistsError):
            raise Refusal(502, "ExternalError.MkdirFailed.Exists", f"Path already exists: {path!r}") from refusal
        raise
    return result("DirectoryCreated", "The directory was created successfully", "mkdir_result")


def rename(root: Path, old: str, new: str) -> Document:
    """Rename a file or folder; never onto another."""
    with refusing(new):
        if os.path.lexists(place(root, new)):
            raise Refusal(502, "ExternalError.RenameFailed.Exists", f"Path already exists: {new!r}")
    with refusing(old):
        place(root, old).rename(place(root, new))
    return result("FileRenamed", "File or directory renamed successfully")
