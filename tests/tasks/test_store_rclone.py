"""A location on a remote of rclone's, beyond the contract: odd names, links, environments, cut moves, and what it keeps to itself."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

import pytest

from coldchain.errors import ColdchainError, ConfigurationError, IntegrityError, UnsafePathError
from coldchain.manifest import MANIFEST, Manifest
from tasks.stores.rclone_names import plain, standard
from tasks.stores.rclone_remote import Remote
from tests.contracts.bench_rclone import FORTY, Open, configured, put_rclone

ODD = [
    "-e sh$(touch pwned)",
    "a:b",
    "[q]?%20 #&+",
    " lead",
    "trail ",
    "trail.",
    "tab\tbell\adel\x7f",
    "␊ and ␡",
    "\uff0a\uff0f",
    "ünï/\n",
    "x.tif",
]


@pytest.mark.parametrize("remote", ["disk", "far", "cloud"])
def test_odd_names(rclone: Open, dav: dict[str, str], tmp_path: Path, remote: str) -> None:
    """Names that a shell, an address or rclone would read as something else are names, on each remote, and come back as they were."""
    for name in ODD:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(name.encode())
    store = rclone(remote, root="lab" if remote == "cloud" else "", **(dav if remote == "cloud" else {}))
    manifest = store.put(tmp_path / "source", "-da ta:", ODD)
    assert store.read_back("-da ta:") == manifest
    assert store.get("-da ta:", tmp_path / "out", ODD) == manifest
    if remote == "far":
        there = {str(path.relative_to(tmp_path / "root" / "-da ta:")) for path in (tmp_path / "root").rglob("*") if path.is_file()}
        assert there == set(ODD), "SFTP shows the files to everybody else, too"
    assert not list(tmp_path.rglob("pwned"))


def test_names_are_written_as_rclone_writes_them() -> None:
    """Each control character has its picture, a picture has a quote, and both ways lead back."""
    assert standard("a\n␊\x7f") == "a␊\u201b␊␡"
    for name in (*ODD, "".join(map(chr, range(1, 0x80))), "".join(map(chr, range(0x2400, 0x2430)))):
        assert plain(standard(name)) == name


@pytest.mark.parametrize("name", ["\u201b", "no text \udcff"])
def test_a_name_that_rclone_cannot_write(rclone: Open, forty: Path, name: str) -> None:
    """It is refused before anything is sent, on each remote."""
    (forty / name).write_bytes(b"x")
    store = rclone()
    with pytest.raises(ConfigurationError, match=r"(?s)cannot be written by rclone.*nothing was sent"):
        store.put(forty, "data", [*FORTY, name])
    assert not store.exists("data")


def test_names_that_a_service_takes_for_one(rclone: Open, forty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OneDrive and Dropbox do not tell upper from lower case: two such names are refused, and nothing is sent."""
    (forty / "A").write_bytes(b"x")
    (forty / "a").write_bytes(b"y")
    store = rclone()
    assert store.put(forty, "data", ["A", "a"]) == store.read_back("data")
    monkeypatch.setattr(Remote, "same_in_any_case", True)
    with pytest.raises(ConfigurationError, match="upper and lower case"):
        store.put(forty, "other", ["A", "a"])
    assert not store.exists("other")


@pytest.mark.parametrize("remote", ["disk", "far"])
def test_no_link_is_followed(rclone: Open, tmp_path: Path, remote: str) -> None:
    """Whatever the configuration says: what a link leads to is not listed, not copied, and not deleted with its folder."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"x")
    store = rclone(remote, **{"disk": {"copy_links": "true"}, "far": {"skip_links": "false"}}[remote])
    store.register()
    (tmp_path / "root" / "data").mkdir()
    (tmp_path / "root" / "data" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "root" / "data" / "linked").symlink_to(tmp_path / "precious" / "file")
    assert store.names("data") == []
    try:
        store.delete("data")
    except ColdchainError:  # SFTP removes what it lists, and cannot remove a folder in which a link is left
        assert store.exists("data")
    assert (tmp_path / "precious" / "file").exists()


def test_folders_are_looked_up_anew(rclone: Open, tmp_path: Path, monkeypatch: Any) -> None:
    """A drive's folders have numbers that rclone remembers: it is made to forget them, lest it look where another machine moved one to."""
    (tmp_path / "root").mkdir()
    store = rclone("drive", root="lab", type="alias", remote=str(tmp_path / "root"))
    asked: list[str] = []
    ask = store._daemon.ask
    monkeypatch.setattr(store._daemon, "ask", lambda call, **given: (asked.append(call), ask(call, **given))[1])
    store.register()
    for call in (store.exists, store.children, store.names, store.delete):
        asked.clear()
        call(".coldchain")
        assert asked[0] == "fscache/clear"


def test_what_may_have_changed(rclone: Open, forty: Path, tmp_path: Path, dav: dict[str, str]) -> None:
    """Where whoever writes says when it was, an old file in another's place may be new; where a server says it, what is older is not."""
    store = rclone()
    manifest = put_rclone(store, forty, "data", FORTY[:3])
    now = dt.datetime.now(dt.UTC)
    (tmp_path / "root" / "data" / "01").write_bytes(b"other")
    os.utime(tmp_path / "root" / "data" / "01", (0, 0))
    assert "01" in store.changed("data", now)
    cloud = rclone("cloud", root="changed", **dav)
    assert cloud.put(forty, "data", list(manifest.entries)) == manifest
    assert cloud.changed("data", now + dt.timedelta(seconds=-5)) == FORTY[:3]
    time.sleep(1.1)
    assert cloud.changed("data", dt.datetime.now(dt.UTC)) == []


def test_what_stands_here_is_not_taken_for_what_is_there(rclone: Open, forty: Path, tmp_path: Path, dav: dict[str, str]) -> None:
    """Without times and hashes a file of the same size is fetched again: it may be a leftover, for which the copy there would be blamed."""
    store = rclone("cloud", root="fetched", **dav)
    manifest = store.put(forty, "data", FORTY[:3])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00").write_bytes(b"x" * 100_000)
    assert store.get("data", tmp_path / "out", FORTY[:3]) == manifest


def test_a_time_tells(rclone: Open, forty: Path, tmp_path: Path) -> None:
    """Bytes of the same size that were written at another time are sent again."""
    store = rclone()
    store.put(forty, "data", FORTY[:3])
    (tmp_path / "root" / "data" / "00").write_bytes(b"x" * 100_000)
    assert store.put(forty, "data", FORTY[:3]) == store.read_back("data")


def test_a_hash_tells_where_times_do_not(rclone: Open, forty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without times, but with hashes: other bytes of the same size are sent, and fetched, again; the same ones are not."""
    monkeypatch.setattr(Remote, "keeps_times", False)
    store = rclone()
    store.put(forty, "data", FORTY[:3])
    before = (tmp_path / "root" / "data" / "01").stat().st_ino
    (tmp_path / "root" / "data" / "00").write_bytes(b"x" * 100_000)
    manifest = store.put(forty, "data", FORTY[:3])
    assert store.read_back("data") == manifest
    assert (tmp_path / "root" / "data" / "01").stat().st_ino == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00").write_bytes(b"x" * 100_000)
    assert store.get("data", tmp_path / "out", FORTY[:3]) == manifest


def test_a_service_that_does_not_tell_its_room(rclone: Open, monkeypatch: Any) -> None:
    """It is taken for a large one."""
    store = rclone()
    store.register()
    for said in ((None, None), (100, None), (None, 50), (100, 50)):
        monkeypatch.setattr(Remote, "space", lambda _self, said=said: said)
        found = store.capacity()
        assert 0 < found.free <= found.total
    assert (found.total, found.free) == (100, 50)


def test_two_remotes_of_one_service_and_root_are_one_place(rclone: Open, tmp_path: Path, dav: dict[str, str]) -> None:
    """Whatever they are called; another root, or another server, is another place, and no password is in its name."""
    others = {
        "three": {**dav, "url": dav["url"].replace("127.0.0.1", "localhost")},
        "four": {**dav, "url": dav["url"].replace("//", "//lab:hunter22@")},
    }
    config = configured(tmp_path, one=dav, two=dav, **others)
    assert "hunter22" not in rclone("four", root="a", config=config).place()
    places = [rclone(name, root=root, config=config).place() for name, root in (("one", "a"), ("two", "a/"), ("one", "b"), ("three", "a"))]
    assert places[0] == places[1]
    assert len(set(places)) == 3
    assert all(dav["pass"] not in place for place in places)


def test_a_manifest_with_a_hostile_name_from_there_writes_nothing_outside(rclone: Open, forty: Path, tmp_path: Path) -> None:
    """Names are those that stand there: one that leads out is never fetched."""
    store = rclone()
    put_rclone(store, forty, "data", ["00"])
    (tmp_path / "root" / "data" / MANIFEST).write_bytes(b"0" * 64 + b"  ../../evil\n")
    (tmp_path / "evil").write_bytes(b"x")
    with pytest.raises(UnsafePathError):
        Manifest.parse(store.manifest("data"))
    with pytest.raises(IntegrityError):
        store.get("data", tmp_path / "deep" / "er" / "out", ["../../evil"])
    assert not (tmp_path / "deep").exists()
