"""Reading back on demand: what is said of a copy, and when nothing may be said."""

from __future__ import annotations

import dataclasses

from coldchain import inspecting, transfer, verifying
from coldchain.copies import Artifact, CopyState
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace


def test_a_copy_that_matches_is_known_to_match_now(ws: Workspace, ingested: Artifact) -> None:
    """Every byte matches: the time of the reading moves on, and nothing else."""
    (before,) = ws.catalogue.copies()
    now = ws.now.forward(days=1)
    (result,) = verifying.verify(ws, dataset=ingested.dataset)
    assert (result.ok, result.bytes, result.found) == (True, ingested.bytes, "every byte matches")
    assert ws.catalogue.copies() == [dataclasses.replace(before, verified_at=now)]


def test_a_suspect_copy_that_matches_stays_suspect(ws: Workspace, ingested: Artifact) -> None:
    """A disk that gave wrong bytes once is for a person to judge: the copy is told as not fine, with what was wrong."""
    (copy,) = ws.catalogue.copies()
    suspect = inspecting.doubt(ws, copy, "wrong on Monday")
    (result,) = verifying.verify(ws, dataset=ingested.dataset)
    assert (result.ok, result.found) == (False, "wrong on Monday")
    assert ws.catalogue.copies() == [suspect]


def test_only_the_dataset_or_location_that_is_named(ws: Workspace, ingested: Artifact) -> None:
    """A location chooses its copies."""
    transfer.deliver(ws, ingested, "backup")
    assert [result.location for result in verifying.verify(ws, location="backup")] == ["backup"]


def test_a_mount_that_goes_while_it_is_read_says_nothing(ws: Workspace, ingested: Artifact) -> None:
    """The files are missing because the mount is: the copy keeps its state, and is not called lost."""
    before, root = transfer.deliver(ws, ingested, "backup"), ws.stores["backup"].store.root

    def unmount(_operation: str, _arguments: object, real: object) -> object:
        root.rename(root.with_name("unmounted"))
        return real()

    ws.stores["backup"].faults["manifest"] = unmount
    assert [result.ok for result in verifying.verify(ws, location="backup")] == [False]
    assert ws.catalogue.copies(location="backup") == [before]


def test_a_place_that_the_site_does_not_know_is_said(ws: Workspace, ingested: Artifact) -> None:
    """A copy at a location that was taken out of the site file is told, and the others are read."""
    transfer.deliver(ws, ingested, "backup")
    space = dataclasses.replace(ws, stores={name: store for name, store in ws.stores.items() if name != "backup"})
    results = {result.location: result for result in verifying.verify(space)}
    assert results["nas"].ok
    assert "does not know" in results["backup"].found


def test_whoever_asks_for_a_reading_gets_it(ws: Workspace, ingested: Artifact) -> None:
    """There is no brake on demand: what is wrong at a location that is stopped can be written down."""
    transfer.deliver(ws, ingested, "backup")
    flip_bit(ws.stores["backup"].local(ingested.folder) / "A02_f1_c1.tif")
    ws.catalogue.set_brake("backup", "much fails", ws.now())
    assert [result.ok for result in verifying.verify(ws, location="backup")] == [False]
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.SUSPECT]
