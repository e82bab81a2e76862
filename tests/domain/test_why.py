"""Why a file is here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from coldchain import transfer, why
from coldchain.copies import Artifact
from coldchain.errors import ColdchainError, NotInCatalogue
from coldchain.levels import Level
from coldchain.retention import Action
from coldchain.workspace import Workspace


def place(ws: Workspace, artifact: Artifact, location: str = "nas") -> Path:
    """Folder of an artifact's copy."""
    return ws.store(location).local(artifact.folder)


def test_a_file_is_explained(ws: Workspace, ingested: Artifact) -> None:
    """A file's answer has its artifact, its digest, what made it, what protects it and why it stays."""
    found = why.why(ws, place(ws, ingested) / "metadata/run.xml")
    assert (found.artifact, found.name) == (ingested, "metadata/run.xml")
    assert found.sha256 == hashlib.sha256(b"<run/>\n").hexdigest()
    assert found.activity.name == "ingest"
    assert found.decision.action is Action.VERIFY
    assert found.counted == "1-1-0"


def test_a_folder_is_explained(ws: Workspace, ingested: Artifact) -> None:
    """The folder of a copy is its artifact; it has no digest of its own."""
    found = why.why(ws, place(ws, ingested))
    assert (found.artifact, found.name, found.sha256) == (ingested, None, None)


def test_the_manifest_is_the_artifacts_name(ws: Workspace, ingested: Artifact) -> None:
    """The manifest's digest is the artifact's."""
    assert why.why(ws, place(ws, ingested) / "MANIFEST.sha256").sha256 == ingested.digest


def test_a_file_that_is_not_listed_is_named_so(ws: Workspace, ingested: Artifact) -> None:
    """A stranger among the files is not given a digest."""
    assert "not listed" in (why.why(ws, place(ws, ingested) / "stranger.tif").sha256 or "")


def test_a_scratch_copy_says_when_and_why_it_may_go(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """A staged copy's decision is the sweep's."""
    artifact = made(Level.STANDARD, {"a": b"1"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    found = why.why(ws, place(ws, artifact, "scratch") / "a")
    assert found.decision.action is Action.REMOVE
    assert found.copy.location == "scratch"


def test_holds_are_named(ws: Workspace, ingested: Artifact) -> None:
    """A hold stands in the answer, with who and until when."""
    ws.catalogue.add_hold(ingested.dataset, "paper in review", "ada", ws.now().date())
    assert why.why(ws, place(ws, ingested)).holds == ("paper in review (by ada, until 2030-01-15)",)


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "..", "nowhere"])
def test_what_belongs_to_nothing_is_told(ws: Workspace, path: str) -> None:
    """A path outside every location, or of no artifact, is refused by name."""
    with pytest.raises(NotInCatalogue, match="belongs to no artifact"):
        why.why(ws, Path(path))


def test_a_path_that_climbs_out_of_a_copy_is_not_of_that_copy(ws: Workspace, ingested: Artifact) -> None:
    """`<copy>/../other` is not explained as a file of the copy."""
    with pytest.raises(NotInCatalogue):
        why.why(ws, place(ws, ingested) / ".." / "OTHER" / "a")


def test_a_neighbour_with_a_longer_name_is_not_of_the_copy(ws: Workspace, ingested: Artifact) -> None:
    """A folder whose name begins with the copy's is another folder."""
    with pytest.raises(NotInCatalogue):
        why.why(ws, place(ws, ingested).with_name("PLATE-AB") / "a")


def test_a_path_through_a_link_is_understood(ws: Workspace, tmp_path: Path, ingested: Artifact) -> None:
    """A user's own link to the NAS leads to the same answer."""
    (tmp_path / "mine").symlink_to(ws.site.path("nas"))
    assert why.why(ws, tmp_path / "mine" / ingested.folder / "finished").name == "finished"


def test_a_relative_path_is_understood(ws: Workspace, ingested: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is relative to where the user stands."""
    monkeypatch.chdir(place(ws, ingested))
    assert why.why(ws, Path("metadata/run.xml")).artifact == ingested


def test_an_unreachable_location_is_told(ws: Workspace, ingested: Artifact) -> None:
    """A file of a place that is not mounted gives an error of ours."""
    path = place(ws, ingested) / "finished"
    ws.site.path("nas").rename(ws.site.path("away"))
    with pytest.raises(ColdchainError):
        why.why(ws, path)
