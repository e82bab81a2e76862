"""rclone, and services behind it, that fail, lie, ask us to be slower, or will not have us: what becomes of it, and what is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coldchain.errors import ColdchainError, ConfigurationError, InputError, IntegrityError, LocationUnreachable, OutOfSpace, RemovalRefused
from coldchain.store import compare
from tasks.stores.rclone import RcloneStore
from tasks.stores.rclone_errors import NotThere, clean, secrets_of, translated
from tests.contracts.bench_rclone import configured, needs_rclone, rclone_place, serving, webdav_of
from tests.contracts.dav_faults import Faults, before, cut, drop, halve, says, swap

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a folder by WebDAV."""
    with serving(tmp_path_factory.mktemp("dav") / "served") as url:
        yield url


@pytest.fixture
def faults(server: str) -> Iterator[Faults]:
    """Stand before the server, and do nothing yet."""
    with before(server) as found:
        yield found


@pytest.fixture
def store(faults: Faults, tmp_path: Path) -> Iterator[RcloneStore]:
    """A location on the server that misbehaves, registered."""
    made = RcloneStore(rclone_place("cloud", tmp_path.name), configured(tmp_path, cloud=webdav_of(faults.url)))
    made.register()
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three files."""
    (tmp_path / "source").mkdir()
    for name in NAMES:
        (tmp_path / "source" / name).write_bytes(os.urandom(300_000))
    return tmp_path / "source"


def test_reading_that_is_cut_begins_again(store: RcloneStore, faults: Faults, source: Path) -> None:
    """Half of a file is never taken for all of it: it is read again, and what is cut each time is said, after some attempts."""
    manifest = store.put(source, "data", NAMES)
    faults.do, faults.times = {"GET": cut}, 2
    assert store.read_back("data") == manifest
    faults.times = 1_000_000
    with pytest.raises(LocationUnreachable, match="ended early"):
        store.read_back("data")


def test_a_service_that_asks_us_to_be_slower(store: RcloneStore, faults: Faults, source: Path) -> None:
    """It is asked again, more slowly."""
    faults.do, faults.times = {"PUT": says(429)}, 2
    manifest = store.put(source, "data", NAMES)
    assert store.read_back("data") == manifest
    faults.do, faults.times = {"PUT": says(429)}, 1_000_000
    with pytest.raises(LocationUnreachable, match="slower"):
        store.put(source, "other", ["a"])


def test_lines_that_are_dropped(store: RcloneStore, faults: Faults, source: Path) -> None:
    """Some do no harm; where none holds it is said, and the next run completes it."""
    faults.do, faults.times = {"PUT": drop}, 1_000_000
    with pytest.raises(LocationUnreachable):
        store.put(source, "data", NAMES)
    faults.do = {}
    manifest = store.put(source, "data", NAMES)
    assert store.read_back("data") == manifest


def test_a_service_that_takes_half_is_found_out(store: RcloneStore, faults: Faults, source: Path) -> None:
    """It says that all is well, and is not believed; the half is sent again."""
    faults.do = {"PUT": halve}
    with pytest.raises(IntegrityError, match="bytes changed on their way"):
        store.put(source, "data", NAMES)
    faults.do = {}
    manifest = store.put(source, "data", NAMES)
    assert store.read_back("data") == manifest


def test_a_service_that_takes_nothing_is_found_out(store: RcloneStore, faults: Faults, source: Path) -> None:
    """It says that all is well, and has no file."""
    faults.do = {"PUT": says(201)}
    with pytest.raises(ColdchainError):
        store.put(source, "data", NAMES)


def test_other_bytes_of_the_same_size_are_found_out(store: RcloneStore, faults: Faults, source: Path) -> None:
    """Neither the service nor rclone sees it: what is read back does."""
    faults.do = {"PUT": swap}
    manifest = store.put(source, "data", NAMES)
    faults.do = {}
    assert [wrong.name for wrong in compare(manifest, store.read_back("data"))] == NAMES


def test_a_service_that_is_full(store: RcloneStore, faults: Faults, source: Path) -> None:
    """Said as what it is."""
    faults.do = {"PUT": says(507)}
    with pytest.raises(OutOfSpace):
        store.put(source, "data", NAMES)


@pytest.mark.parametrize(("status", "kind"), [(204, LocationUnreachable), (403, RemovalRefused)])
def test_a_service_that_does_not_remove(store: RcloneStore, faults: Faults, source: Path, status: int, kind: type[ColdchainError]) -> None:
    """Whether it says so or not."""
    store.put(source, "data", NAMES)
    faults.do = {"DELETE": says(status)}
    with pytest.raises(kind):
        store.delete("data")
    assert store.names("data") == NAMES


@pytest.mark.parametrize("status", [201, 403])
def test_a_service_that_does_not_rename(store: RcloneStore, faults: Faults, source: Path, status: int) -> None:
    """Whether it says so or not: the folder stays where it was."""
    manifest = store.put(source, "data", NAMES)
    faults.do = {"MOVE": says(status)}
    with pytest.raises(ColdchainError, match=r"rename|refuses"):
        store.move("data", "other")
    assert store.read_back("data") == manifest


def test_what_stands_whole_is_not_sent_again(store: RcloneStore, faults: Faults, source: Path) -> None:
    """A second run sends nothing, and asks for the folder and not for each of its files; a first one asks once less for each."""
    store.put(source, "data", NAMES)
    assert faults.seen.count("PROPFIND") < 2 * len(NAMES) + 6
    faults.seen.clear()
    store.put(source, "data", NAMES)
    assert faults.seen == ["PROPFIND"]


def test_a_service_that_is_down(store: RcloneStore, tmp_path: Path) -> None:
    """Try again later, and trying has an end."""
    down = RcloneStore(rclone_place("cloud", "x"), configured(tmp_path, cloud=webdav_of("http://127.0.0.1:1")))
    with closing(down), pytest.raises(LocationUnreachable, match="connection refused"):
        down.identity()


def refused(tmp_path: Path, config: Path, match: str) -> str:
    """What is said of a configuration that cannot be used."""
    store = RcloneStore(rclone_place("cloud", "x"), config)
    with closing(store), pytest.raises(ConfigurationError, match=match) as raised:
        store.identity()
    return str(raised.value)


def test_no_such_remote(tmp_path: Path) -> None:
    """Whether the file has no such section, or there is no file."""
    refused(tmp_path, configured(tmp_path, other={"type": "local"}), r"(?s)no such remote.*listremotes")
    refused(tmp_path, tmp_path / "none.conf", "no such remote")


@pytest.mark.parametrize("word", ["", "wrong-word"])
def test_an_encrypted_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Without its password, or with another, nobody is asked; it is said where it comes from, and the word is not repeated."""
    needs_rclone()
    monkeypatch.setenv("RCLONE_CONFIG_PASS", word)
    (tmp_path / "rclone.conf").write_text("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\n" + "A" * 100 + "\n")
    said = refused(tmp_path, tmp_path / "rclone.conf", "RCLONE_CONFIG_PASS")
    assert not word or word not in said


def test_no_rclone_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said with the package to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(tmp_path, tmp_path / "none", "install the package rclone")


def test_an_rclone_that_ends_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Success that is none is an error: whatever ends without listening did nothing."""
    fake = tmp_path / "rclone"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    store = RcloneStore(rclone_place("cloud", "x"), tmp_path / "none")
    with closing(store), pytest.raises(LocationUnreachable, match="ended at once"):
        store.identity()


def test_an_rclone_that_lies(store: RcloneStore, source: Path, monkeypatch: Any) -> None:
    """It says that files were copied, and did nothing: nothing is read back, and nothing counts."""
    ask = store._daemon.ask
    monkeypatch.setattr(store._daemon, "ask", lambda call, **given: {} if call.endswith("copyfile") else ask(call, **given))
    manifest = store.put(source, "data", NAMES)
    with pytest.raises(IntegrityError):
        compare(manifest, store.read_back("data"))


WORDS: list[tuple[str, int, type[ColdchainError]]] = [
    ("object not found", 404, NotThere),
    ("error in ListJSON: directory not found", 404, NotThere),
    ("List failed: is a file not a directory", 500, NotThere),
    ("didn't find section in config file", 500, ConfigurationError),
    ("Failed to load config file: unable to decrypt configuration", 0, ConfigurationError),
    ("write /x: no space left on device", 500, OutOfSpace),
    ("googleapi: Error 403: The user's Drive storage quota has been exceeded., storageQuotaExceeded", 500, OutOfSpace),
    ("preallocate: file too big for remaining disk space", 500, OutOfSpace),
    ("path/insufficient_space/...", 500, OutOfSpace),
    ("Insufficient Storage: 507 Insufficient Storage", 500, OutOfSpace),
    ("quotaLimitReached: insufficient storage", 500, OutOfSpace),
    ("googleapi: Error 403: User Rate Limit Exceeded, userRateLimitExceeded", 500, LocationUnreachable),
    ("too_many_requests/.", 500, LocationUnreachable),
    ("SlowDown: Please reduce your request rate. status code: 503", 500, LocationUnreachable),
    ("couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate", 500, ConfigurationError),
    ("ssh: handshake failed: knownhosts: key mismatch", 500, ConfigurationError),
    ('couldn\'t fetch token: oauth2: cannot fetch token: 400 {"error": "invalid_grant"}', 500, ConfigurationError),
    ("InvalidAccessKeyId: status code: 403", 500, ConfigurationError),
    ("read metadata failed: Unauthorized: 401 Unauthorized", 500, ConfigurationError),
    ("can't copy - source file is being updated (size changed from 1 to 2)", 500, InputError),
    ("corrupted on transfer: sizes differ 6 vs 3", 500, IntegrityError),
    ("AccessDenied: Access Denied status code: 403", 500, ConfigurationError),
    ("dial tcp 127.0.0.1:1: connect: connection refused", 500, LocationUnreachable),
    ("something that nobody has heard of", 500, LocationUnreachable),
]


@pytest.mark.parametrize(("words", "status", "kind"), WORDS)
def test_what_rclone_says_is_translated(words: str, status: int, kind: type[ColdchainError]) -> None:
    """Each of its ends is an error of ours with its words, whatever service they come from."""
    error = translated(words, status, "cloud:data")
    assert type(error) is kind
    assert str(error.got) in words
    assert error.on == "cloud:data"


def test_a_right_that_lacks_for_removing_is_a_refusal() -> None:
    """What may not be removed is not misconfigured."""
    assert type(translated("permission denied", 500, "x", removing=True)) is RemovalRefused
    assert type(translated("401 Unauthorized", 500, "x", removing=True)) is ConfigurationError


@pytest.mark.parametrize(
    "words",
    [
        "Get https://lab:hunter22@host/x: EOF",
        'Get "https://host/x?X-Amz-Signature=hunter22&key=hunter22": EOF',
        "Put https://account/x?sv=1&sig=hunter22: EOF",
        "Authorization: Bearer hunter22.abc",
        '{"access_token":"hunter22","expiry":"x"}',
        "client_secret=hunter22&grant_type=refresh_token",
        "pass: hunter22",
        "the server says hunter22, in its own words",
    ],
)
def test_secrets_are_taken_out(words: str) -> None:
    """Of addresses, headers and answers, and wherever a value of the configuration stands by itself; the rest is left."""
    secrets = secrets_of({"type": "webdav", "url": "https://host/x", "pass": "hunter22"})
    assert "hunter22" not in clean(words, secrets)
    assert "hunter22" not in clean(words) or words.startswith("the server")
    assert "hunter22" not in str(translated(words, 500, "x", secrets))


def test_a_token_that_is_made_of_several_is_taken_out_in_parts() -> None:
    """OAuth tokens stand as JSON in the configuration, and a service may repeat one of them."""
    secrets = secrets_of({"type": "drive", "token": '{"access_token":"ya29.first","refresh_token":"1//second"}'})
    said = clean("the service does not know ya29.first nor 1//second", secrets)
    assert said == "the service does not know … nor …"
