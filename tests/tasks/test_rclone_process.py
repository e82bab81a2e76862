"""The rclone that serves a store: its environment, its end, its secrets, and hosts that it must not believe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployments
from coldchain.errors import ConfigurationError, LocationUnreachable, OutOfSpace
from coldchain.site import Site
from tasks.stores.rclone import RcloneStore
from tasks.workspace import open_store
from tests.contracts.bench_rclone import FORTY, PASSWORD, Open, configured, rclone_place, webdav_of


def test_the_environment_changes_no_copy(rclone: Open, forty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run, or a filter that hides files, that somebody's shell asks rclone for is not asked for by us."""
    monkeypatch.setenv("RCLONE_DRY_RUN", "true")
    monkeypatch.setenv("RCLONE_EXCLUDE", "0*")
    store = rclone()
    assert store.put(forty, "data", FORTY) == store.read_back("data")


def test_killed_in_the_middle_it_goes_on(rclone: Open, forty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL leaves truncated files under their final names: it is said, they are seen, and the next run sends those and the missing."""
    monkeypatch.setenv("RCLONE_BWLIMIT", "1M")
    store = rclone()
    store.register()
    (forty / "40").write_bytes(os.urandom(2_000_000))

    def kill() -> None:
        while not (tmp_path / "root" / "data" / "40").exists():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(store._daemon._started().pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(LocationUnreachable, match="rclone does not answer"):
        store.put(forty, "data", ["40", *FORTY])
    killer.join()
    assert (tmp_path / "root" / "data" / "40").stat().st_size < 2_000_000
    monkeypatch.delenv("RCLONE_BWLIMIT")
    store.close()
    store.put(forty, "data", ["00", "01"])
    before = (tmp_path / "root" / "data" / "00").stat().st_ctime_ns
    manifest = store.put(forty, "data", ["40", *FORTY])
    assert store.read_back("data") == manifest
    assert (tmp_path / "root" / "data" / "00").stat().st_ctime_ns == before


def test_an_rclone_that_was_killed_is_started_again(rclone: Open) -> None:
    """Between two calls: the second one has another."""
    store = rclone()
    identity = store.register()
    os.kill(store._daemon._started().pid, signal.SIGKILL)
    time.sleep(0.2)
    assert store.identity() == identity


def test_rclone_ends_with_us(tmp_path: Path) -> None:
    """However we end: nobody is left who serves a remote."""
    config = configured(tmp_path, disk={"type": "local"})
    code = (
        "import sys, time; from pathlib import Path; from coldchain.location import Location; from tasks.stores.rclone import RcloneStore\n"
        "place = Location.model_validate_json(sys.argv[1])\n"
        "store = RcloneStore(place, Path(sys.argv[2])); store.register()\n"
        "print(store._daemon._process.pid, flush=True); time.sleep(60)"
    )
    place = rclone_place("disk", str(tmp_path / "root")).model_dump_json()
    ours = subprocess.Popen([sys.executable, "-c", code, place, config], stdout=subprocess.PIPE, text=True)
    rclone = int(ours.stdout.readline())
    assert b"rcd" in Path(f"/proc/{rclone}/cmdline").read_bytes()
    ours.kill()
    ours.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{rclone}/cmdline").exists() and Path(f"/proc/{rclone}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nobody_else_is_answered(rclone: Open) -> None:
    """Whoever finds the port on this machine, and has not the password that was made for it, gets nothing."""
    import http.client

    store = rclone()
    store.register()
    for how, path in (("POST", "/config/dump"), ("GET", "/[disk:/etc]passwd")):
        line = http.client.HTTPConnection("127.0.0.1", store._daemon._port)
        line.request(how, path)
        assert line.getresponse().status == 401
        line.close()


def test_no_secret_is_shown(rclone: Open, dav: dict[str, str], tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    """Neither a process list nor a log, an error or its causes hold a password, in any form, or what lets somebody ask our rclone."""
    monkeypatch.setenv("RCLONE_CONFIG_PASS", "of-the-config-file")
    wrong = webdav_of(dav["url"], "not-the-password")
    store = rclone("cloud", root="lab", **wrong)
    with pytest.raises(ConfigurationError, match=r"(?s)does not let us in.*401") as raised:
        store.register()
    login = store._daemon._login.split()[1]
    lists = b"\n".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path))
    shown = "\n".join([lists.decode(errors="replace"), caplog.text, *_chain(raised.value)])
    for secret in ("not-the-password", wrong["pass"], "of-the-config-file", login, PASSWORD, dav["pass"]):
        assert secret not in shown
    assert "rcd" in shown


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error) + str(error)
        error = error.__cause__ or error.__context__


def test_a_disk_that_is_full(rclone: Open, forty: Path, small_disk: Path) -> None:
    """Said as what it is; what is whole stays."""
    store = rclone(root=str(small_disk))
    store.register()
    (forty / "00").write_bytes(os.urandom(5_000_000))
    with pytest.raises(OutOfSpace, match="no space left"):
        store.put(forty, "data", FORTY)
    assert 0 <= store.capacity().free < 5_000_000


def test_a_site_names_the_configuration(tmp_path: Path) -> None:
    """Beside the site file, or the user's own where none is named; nothing is started to open it."""
    sites = Path(deployments.__file__).with_name("sites")
    for given, expected in (({"config": "conf/rclone.conf"}, tmp_path / "conf" / "rclone.conf"), ({}, None)):
        said = yaml.safe_load((sites / "site.yaml").read_text())
        (cold,) = (each for each in said["locations"] if each["name"] == "cold")
        cold.update(engine="rclone", root="lab", protection="none", rclone={"remote": "drive", **given})
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(said))
        site = Site.load(tmp_path / "site.yaml")
        store = open_store(site, site.location("cold"))
        assert isinstance(store, RcloneStore)
        assert store._daemon.config == expected
        assert store._daemon._process is None


def test_a_host_that_rclone_would_believe(rclone: Open, tmp_path: Path) -> None:
    """SFTP without known hosts is refused, behind another remote too: rclone would send the data to whoever answers."""
    remotes = {"far": {"type": "sftp", "host": "host"}, "veil": {"type": "crypt", "remote": "far:x", "password": "hidden-word"}}
    config = configured(tmp_path, **remotes, both={"type": "union", "upstreams": "veil:a veil:b"})
    for name in ("far", "veil", "both"):
        store = rclone(name, config=config)
        with pytest.raises(ConfigurationError, match=r"(?s)would believe any host.*remote far.*known_hosts_file"):
            store.register()
    assert "hidden-word" in store._daemon.secrets


def test_a_host_whose_key_changed(rclone: Open, sshd: Path, tmp_path: Path) -> None:
    """Another machine answers under that name: a person has to look, and nothing is sent."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    known = (sshd.parent / "known_hosts").read_text().split()
    (tmp_path / "known").write_text(" ".join([known[0], *(tmp_path / "other.pub").read_text().split()[:2]]) + "\n")
    with pytest.raises(ConfigurationError, match="known_hosts"):
        rclone("far", known_hosts_file=str(tmp_path / "known")).register()
    assert not (tmp_path / "root").exists()
