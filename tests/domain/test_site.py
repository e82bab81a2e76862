"""The site file: locations, roles, and what would make a count of copies untrue."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coldchain.cluster import Cluster
from coldchain.errors import ConfigurationError
from coldchain.site import Site

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"

Change = Callable[[dict[str, Any]], Any]


def changed(folder: Path, change: Change) -> Path:
    """The demo's site with one change, as a file."""
    said = yaml.safe_load((SITES / "site.yaml").read_text())
    change(said)
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return path


def complaint(folder: Path, change: Change) -> str:
    """What reading the changed site complains of."""
    with pytest.raises(ConfigurationError) as caught:
        Site.load(changed(folder, change))
    return str(caught.value)


def place(said: dict[str, Any], name: str) -> dict[str, Any]:
    """One location of a site file."""
    return next(each for each in said["locations"] if each["name"] == name)


def test_the_demo_site_is_read(tmp_path: Path) -> None:
    """Paths are relative to the site file, wherever the program runs."""
    site = Site.load(changed(tmp_path, lambda _said: None))
    assert site.path("nas") == tmp_path / "nas"
    assert site.catalogue_url() == f"sqlite:///{tmp_path}/catalogue.db"
    assert site.location("scratch").transient
    assert set(site.by_name) == {"nas", "scratch", "cold", "backup"}


def test_the_demo_policy_is_read() -> None:
    """The policy that ships fits."""
    assert Site.load(SITES / "site.yaml").load_policy().name == "demo"


def test_a_location_on_another_machine_has_no_folder_here(tmp_path: Path) -> None:
    """Its root may have the name of a folder of this machine: they are two places."""
    site = Site.load(changed(tmp_path, lambda said: place(said, "cold").update(engine="ssh", ssh={"host": "centre"}, root="nas")))
    assert not site.location("cold").mounted


def test_a_location_on_a_drive_has_no_folder_here(tmp_path: Path) -> None:
    """Its root may have the name of a folder of this machine: they are two places."""
    drive = {"engine": "rclone", "rclone": {"remote": "drive"}, "protection": "none"}
    site = Site.load(changed(tmp_path, lambda said: place(said, "cold").update(**drive, root="nas")))
    assert not site.location("cold").mounted


def test_a_location_on_a_collection_has_no_folder_here(tmp_path: Path) -> None:
    """With ssh beside it or not, and with a protection only where something over there can be asked for it."""
    for more in ({"protection": "none"}, {"protection": "permissions", "ssh": {"host": "centre"}}):
        site = Site.load(
            changed(tmp_path, lambda said, more=more: place(said, "cold").update(engine="globus", globus=GLOBUS, root="nas", **more))
        )
        assert not site.location("cold").mounted


def test_a_server_catalogue_keeps_its_url(tmp_path: Path) -> None:
    """A URL that is no SQLite file stays as it is."""
    site = Site.load(changed(tmp_path, lambda said: said.update(catalogue="postgresql+psycopg://host/db")))
    assert site.catalogue_url() == "postgresql+psycopg://host/db"


def test_a_disk_that_is_taken_away_has_a_mount_point_here(tmp_path: Path) -> None:
    """Its folders are paths of this machine while it is put in; it may be an archive or a backup, and no two share a mount point."""

    def offline(said: dict[str, Any], root: str) -> None:
        for name in ("cold", "backup"):
            place(said, name).update(engine="offline", offline={"label": name}, protection="none")
        place(said, "cold")["root"] = root

    site = Site.load(changed(tmp_path, lambda said: offline(said, "cold")))
    assert site.location("cold").mounted
    assert site.location("cold").removable
    assert not site.location("nas").removable
    assert "one inside the other" in complaint(tmp_path, lambda said: offline(said, "backup"))


GLOBUS = {"collection": str(uuid.UUID(int=1)), "here": str(uuid.UUID(int=2)), "here_folder": "nas", "block": "globus"}

WRONG: dict[str, tuple[Change, str]] = {
    "two of one name": (lambda said: place(said, "cold").update(name="nas"), "two locations have one name"),
    "unknown role": (lambda said: said["roles"].update(cold="attic"), "roles name unknown locations: attic"),
    "missing role": (lambda said: said["roles"].pop("cold"), "roles.cold"),
    "lasting scratch": (lambda said: place(said, "scratch").pop("purge_age_days"), "no purge_age_days"),
    "purged NAS": (lambda said: place(said, "nas").update(purge_age_days=30), "removes files by itself"),
    "purged archive": (lambda said: said["roles"].update(cold="scratch"), "removes files by itself"),
    "home is nowhere": (lambda said: said.update(home="campuss"), "no location stands at home"),
    "one folder twice": (lambda said: place(said, "cold").update(root="nas"), "one inside the other"),
    "a folder in another": (lambda said: place(said, "cold").update(root="nas/projects/cold"), "one inside the other"),
    "a folder in another, hidden": (lambda said: place(said, "cold").update(root="backup/../nas/cold"), "one inside the other"),
    "a NAS that is taken away": (
        lambda said: place(said, "nas").update(engine="offline", offline={"label": "Disk 1"}),
        "nas (nas): programs read and write files there at any time, and an offline medium is taken away",
    ),
    "a scratch that is taken away": (
        lambda said: place(said, "scratch").update(engine="offline", offline={"label": "Disk 1"}),
        "scratch (scratch): programs read and write files there at any time",
    ),
    "a disk without a label": (
        lambda said: place(said, "cold").update(engine="offline"),
        "engine offline wants offline settings, got none",
    ),
    "a changer that is no device": (
        lambda said: place(said, "cold").update(engine="offline", offline={"label": "Tape 1", "changer": "-f"}),
        "offline.changer",
    ),
    "ssh without a host": (lambda said: place(said, "cold").update(engine="ssh"), "engine ssh wants ssh settings, got none"),
    "settings of another engine": (
        lambda said: place(said, "cold").update(engine="s3", s3={"block": "b"}, ssh={"host": "h"}),
        "engine s3 wants s3 settings, got s3 and ssh",
    ),
    "a host for a folder": (lambda said: place(said, "cold").update(ssh={"host": "h"}), "engine posix wants no settings"),
    "a host that is an option": (lambda said: place(said, "cold").update(engine="ssh", ssh={"host": "-oProxyCommand=x"}), "ssh.host"),
    "a bucket's lock on a folder": (
        lambda said: place(said, "cold").update(protection="object_lock"),
        "engine posix has no protection object_lock",
    ),
    "a folder's protection in a bucket": (
        lambda said: place(said, "cold").update(engine="s3", s3={"block": "b"}, protection="strongest"),
        "engine s3 has no protection strongest: choose none or object_lock",
    ),
    "rclone without a remote": (lambda said: place(said, "cold").update(engine="rclone"), "engine rclone wants rclone settings, got none"),
    "a remote with a secret in it": (
        lambda said: place(said, "cold").update(engine="rclone", rclone={"remote": ":sftp,pass=x:"}),
        "rclone.remote",
    ),
    "a remote that is an option": (lambda said: place(said, "cold").update(engine="rclone", rclone={"remote": "-v"}), "rclone.remote"),
    "a protection by rclone": (
        lambda said: place(said, "cold").update(engine="rclone", rclone={"remote": "drive"}, protection="permissions"),
        "engine rclone has no protection permissions: choose none",
    ),
    "a root that rclone reads as something else": (
        lambda said: place(said, "cold").update(engine="rclone", rclone={"remote": "drive"}, protection="none", root="lab]x"),
        "engine rclone takes no root with ]",
    ),
    "a root with a newline": (
        lambda said: place(said, "cold").update(engine="rclone", rclone={"remote": "drive"}, protection="none", root="lab\nx"),
        "engine rclone takes no root with ]",
    ),
    "what is purged by age, by rclone": (
        lambda said: place(said, "backup").update(engine="rclone", rclone={"remote": "drive"}, purge_age_days=9),
        "engine rclone takes no purge_age_days",
    ),
    "globus without its settings": (
        lambda said: place(said, "cold").update(engine="globus", ssh={"host": "h"}, protection="none"),
        "engine globus wants globus settings, got none",
    ),
    "a collection that is a name": (
        lambda said: place(said, "cold").update(engine="globus", globus=GLOBUS | {"collection": "lab"}, protection="none"),
        "globus.collection",
    ),
    "a protection by globus alone": (
        lambda said: place(said, "cold").update(engine="globus", globus=GLOBUS, protection="strongest"),
        "engine globus has no protection strongest: choose none",
    ),
    "an impossible storage class": (
        lambda said: place(said, "cold").update(engine="s3", s3={"block": "b", "storage_class": "deep archive"}),
        "s3.storage_class",
    ),
    "scratch far away": (
        lambda said: place(said, "scratch").update(engine="ssh", ssh={"host": "h"}),
        "scratch (scratch): programs read and write files there",
    ),
    "a role of a place to be emptied": (lambda said: place(said, "backup").update(retiring=True), "backup (backup) is to be emptied"),
    "no such solution": (lambda said: place(said, "cold").update(solution="shoe_box"), "the storage table has no shoe_box (cold)"),
    "unknown medium": (lambda said: place(said, "nas").update(medium="paper"), "locations.0.medium"),
    "unknown field": (lambda said: place(said, "nas").update(colour="blue"), "locations.0.colour"),
    "a hostile name": (lambda said: place(said, "nas").update(name="../nas"), "locations.0.name"),
    "a name with a newline": (lambda said: place(said, "nas").update(name="nas\n"), "locations.0.name"),
    "one location": (lambda said: said.update(locations=said["locations"][:1]), "locations"),
    "no purge age": (lambda said: place(said, "scratch").update(purge_age_days=0), "locations.1.purge_age_days"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_site_is_refused(tmp_path: Path, name: str) -> None:
    """What would leave data unprotected, or copies counted that are none, is refused with its name."""
    change, says = WRONG[name]
    said = complaint(tmp_path, change)
    assert says in said
    assert f"{tmp_path / 'site.yaml'}:" in said


def test_a_line_is_named(tmp_path: Path) -> None:
    """A complaint names the line of the file."""
    path = changed(tmp_path, lambda said: place(said, "cold").update(medium="paper"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "medium: paper" in text)
    with pytest.raises(ConfigurationError, match=f"site.yaml:{line}: locations.2.medium"):
        Site.load(path)


class TestClusters:
    """Cluster profiles, and which step runs on which."""

    def test_a_step_runs_on_the_profile_that_names_it(self, tmp_path: Path) -> None:
        """What no profile names runs on the default one."""
        profiles = {"gpu": {"steps": ["segment", "embed"], "gres": "gpu:1"}, "centre": {"steps": ["measure"], "qos": "long"}}
        site = Site.load(changed(tmp_path, lambda said: said.update(clusters=profiles)))
        assert site.cluster_for("segment") == site.cluster_for("embed") == site.clusters["gpu"]
        assert site.cluster_for("measure").qos == "long"
        assert site.cluster_for("crop") == site.cluster
        assert list(site.profiles) == ["cluster", "gpu", "centre"]

    @pytest.mark.parametrize(
        ("profiles", "words"),
        [
            ({"gpu": {"steps": ["segment"]}, "cpu": {"steps": ["measure", "segment"]}}, "two cluster profiles name the step segment"),
            ({"gpu": {"steps": ["segmnet"]}}, "segmnet"),
            ({"gpu": {}}, "nothing runs on the cluster profile gpu"),
            ({"cluster": {"steps": ["segment"]}}, "as the default is"),
            ({"gpu": {"steps": ["segment"], "gpus": 1}}, "gpus"),
        ],
    )
    def test_profiles_that_cannot_be_told_apart_are_refused(self, tmp_path: Path, profiles: dict[str, Any], words: str) -> None:
        """A step of two profiles, an unknown step or field, and a profile that nothing runs on are refused when the site is read."""
        assert words in complaint(tmp_path, lambda said: said.update(clusters=profiles))

    def test_the_default_may_name_a_step_too_but_not_anothers(self, tmp_path: Path) -> None:
        """The default profile counts as one that names a step."""
        profiles = {"gpu": {"steps": ["segment"]}}

        def both(said: dict[str, Any]) -> None:
            said["cluster"]["steps"] = ["segment"]
            said.update(clusters=profiles)

        assert "two cluster profiles name the step segment" in complaint(tmp_path, both)

    @pytest.mark.parametrize(
        ("fields", "needed"),
        [
            ({}, False),
            ({"gres": "gpu:1"}, True),
            ({"gres": "tmp:10,gpu:a100:1"}, True),
            ({"gres": "gpus:1"}, False),
            ({"gres": "gpu:1", "gpu": False}, False),
            ({"gpu": True}, True),
        ],
    )
    def test_a_profile_needs_a_gpu_where_it_asks_slurm_for_one(self, fields: dict[str, Any], needed: bool) -> None:
        """Unless it is said, the generic resource tells."""
        assert Cluster(**fields).needs_gpu is needed
