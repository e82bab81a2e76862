"""Folders of a collection: what stands there, without following a link, and the names that Globus can hold."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from typing import Any

from coldchain.errors import ColdchainError, IntegrityError, LocationUnreachable, UnsafePathError
from coldchain.manifest import MANIFEST, safe_name
from tasks.stores.globus_client import Client
from tasks.stores.globus_errors import GONE, MADE, NO_FOLDER

PAGE = 10_000
"""Entries of a listing's page; the service gives up to 100,000."""

Entry = dict[str, Any]


def sent(name: str) -> str:
    """A name as the API wants it: one that is no UTF-8 as Latin-1 behind U+FFFD, as the API shows it."""
    return "/".join(_shown(part) for part in name.split("/"))


def _shown(part: str) -> str:
    try:
        part.encode()
    except UnicodeEncodeError:
        return "\ufffd" + os.fsencode(part).decode("latin-1")
    return part


def named(shown: str) -> str:
    """A name as Python reads it from a file system."""
    return os.fsdecode(shown[1:].encode("latin-1", errors="replace")) if shown.startswith("\ufffd") else shown


def refuse_unwritable(names: Sequence[str]) -> None:
    r"""Refuse names that do not arrive as they are.

    Raises:
        UnsafePathError: no UTF-8, or with ``\r\n``, which Globus allows in no name, or beginning with its own mark.
    """
    for name in names:
        safe_name(name)
        if "\r\n" in name or any(part.startswith("\ufffd") for part in sent(name).split("/")):
            raise UnsafePathError("Globus cannot hold a name", on=repr(name), expected=r"UTF-8 without \r\n", hint="rename it")


def modified(entry: Entry) -> dt.datetime:
    """When a file was last written to, in whole seconds."""
    found = dt.datetime.fromisoformat(entry["last_modified"])
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


class Folders:
    """The folders of a location below its root on a collection."""

    def __init__(self, client: Client, collection: str, root: str) -> None:
        """A root that is not absolute is below the home of whoever the application is there."""
        self.client, self.collection = client, collection
        self.root = (root if root.startswith("/") else f"/~/{root}").rstrip("/")

    def at(self, path: str, name: str = "") -> str:
        """A folder's or a file's path on the collection; raises UnsafePathError where it leaves the root."""
        return sent("/".join([self.root, safe_name(path), *([name] if name else [])]))

    def _stat(self, full: str) -> Entry | None:
        found = self.client.ask("operation_stat", self.collection, path=full, on=repr(full), none=GONE | NO_FOLDER)
        if found is not None and (found.get("link_target") is not None or found["type"] == "invalid_symlink"):
            raise UnsafePathError("a path passes a symbolic link", on=repr(full), hint="replace the link by a folder")
        return found

    def entry(self, path: str) -> Entry | None:
        """What stands at a path, or nothing; raises UnsafePathError where one of its parts is a link."""
        found: Entry | None = None
        parts = safe_name(path).split("/")
        for count in range(1, len(parts) + 1):
            found = self._stat(sent("/".join([self.root, *parts[:count]])))
            if found is None:
                return None
        return found

    def is_folder(self, path: str) -> bool:
        """Whether a folder stands there."""
        found = self.entry(path)
        return found is not None and found["type"] == "dir"

    def names(self, path: str) -> list[str]:
        """Names directly below a folder (the root where it is empty), sorted by bytes; none where no folder stands."""
        if path and not self.is_folder(path):
            return []
        return sorted((named(entry["name"]) for entry in self.listed(self.at(path) if path else sent(self.root))), key=os.fsencode)

    def listed(self, full: str) -> Iterator[Entry]:
        """What stands directly in a folder, page by page; nothing where there is no folder."""
        start = 0
        while True:
            given = {"path": full, "limit": PAGE, "offset": start, "orderby": "name", "show_hidden": True}
            page = self.client.ask("operation_ls", self.collection, **given, on=repr(full), none=GONE | NO_FOLDER)
            entries = page["DATA"] if page else []
            yield from entries
            start += len(entries)
            if not page or not entries or start >= page.get("total", start + 1):
                return

    def files(self, path: str) -> dict[str, Entry]:
        """Every file below a folder by its relative name, sorted by bytes, without its manifest.

        Raises:
            UnsafePathError: a link, or what is neither file nor folder.
            LocationUnreachable: no folder stands there.
        """
        if not self.is_folder(path):
            raise LocationUnreachable("a folder cannot be looked at", on=f"{self.client.location}:{path}", got="no such folder")
        found = {name: entry for name, entry in self._below(self.at(path)) if name != MANIFEST}
        return {safe_name(name): found[name] for name in sorted(found, key=os.fsencode)}

    def _below(self, top: str) -> Iterator[tuple[str, Entry]]:
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            for entry in self.listed(sent(f"{top}/{prefix}".rstrip("/"))):
                name = prefix + named(entry["name"])
                linked = entry.get("link_target") is not None
                if linked or entry["type"] not in {"file", "dir"}:
                    kind = "a symbolic link" if linked or entry["type"] == "invalid_symlink" else "not a regular file"
                    raise UnsafePathError(f"{kind} stands among the data", on=repr(name), hint="replace it by the file itself")
                if entry["type"] == "dir":
                    waiting.append(f"{name}/")
                else:
                    yield name, entry

    def make(self, path: str) -> None:
        """Make a folder with those above it, none of which is a link."""
        if self.entry(path) is None:
            self._make(self.at(path))

    def _make(self, full: str) -> None:
        above = full.rpartition("/")[0]
        if above not in {"", "/~"} and self._stat(above) is None:
            self._make(above)
        self.client.ask("operation_mkdir", self.collection, path=full, on=repr(full), none=MADE)

    def rename(self, path: str, to: str) -> None:
        """Give a folder another name; never over another.

        Raises:
            IntegrityError: something stands there already.
        """
        if self.entry(to) is not None:
            raise IntegrityError("a folder is already there", on=f"{self.client.location}:{to}", done=f"the new bytes stay in {path}")
        above = to.rpartition("/")[0]
        if above:
            self.make(above)
        try:
            done = self.client.ask(
                "operation_rename", self.collection, oldpath=self.at(path), newpath=self.at(to), on=repr(path), none=GONE
            )
        except ColdchainError:
            if not self._moved(path, to):
                raise
            return
        if done is None and not self._moved(path, to):
            raise LocationUnreachable("a folder to be moved is not there", on=f"{self.client.location}:{path}", done="nothing was moved")

    def _moved(self, path: str, to: str) -> bool:
        """Whether it was done before, and its answer lost: the SDK asks again, and what it is told then is no answer to the first."""
        return self.entry(path) is None and self.entry(to) is not None
