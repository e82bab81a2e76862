"""Projects: changed with a receipt, and what was dated by the old words is dated anew before anything goes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coldchain import projects, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import InputError
from coldchain.levels import Level
from coldchain.location import Reach
from coldchain.origins import Origin
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.workspace import Workspace

PROJECT = "PRJ-0001"


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> Iterator[None]:
    """Lift write protection below the site at the end."""
    yield
    for name in ws.stores:
        release(ws.site.path(ws.site.location(name).root))


def test_what_is_named_changes_and_the_rest_stays(ws: Workspace) -> None:
    """Each change leaves a receipt with what was and what is; the same words again leave none."""
    changed = projects.change(
        ws, PROJECT, {"origin": Origin.COLLABORATOR_INDUSTRY, "agreement": "NDA 7", "permits": [Reach.OUTSIDE]}, "ada"
    )
    assert (changed.title, changed.origin, changed.permits) == ("Nuclei", Origin.COLLABORATOR_INDUSTRY, (Reach.OUTSIDE,))
    assert ws.catalogue.project(PROJECT) == changed
    projects.change(ws, PROJECT, {"agreement": "NDA 7"}, "ada")
    (receipt,) = ws.catalogue.receipts("project")
    assert (receipt["before"]["origin"], receipt["after"]["origin"], receipt["who"]) == ("own", "collaborator_industry", "ada")


def test_a_new_project_is_written_down(ws: Workspace) -> None:
    """With what is named of it, and the defaults for the rest."""
    assert projects.change(ws, "PRJ-0042", {"retention_class": "pilot"}, "ada").retention_class == "pilot"
    assert ws.catalogue.receipts("project")[0]["before"] is None


@pytest.mark.parametrize(
    ("project", "changes", "field"),
    [("PRJ-X", {"title": "t"}, "id"), (PROJECT, {"origin": "mars"}, "origin"), (PROJECT, {"embargo_until": "soon"}, "embargo_until")],
)
def test_what_cannot_be_is_refused_by_its_field(ws: Workspace, project: str, changes: dict[str, Any], field: str) -> None:
    """Nothing is changed, and no receipt left."""
    before = ws.catalogue.projects()
    with pytest.raises(InputError, match=field):
        projects.change(ws, project, changes, "ada")
    assert ws.catalogue.projects() == before
    assert ws.catalogue.receipts("project") == []


@pytest.fixture
def staged(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """A standard on the NAS and on scratch."""
    artifact = made(Level.STANDARD, {"0": b"pixels"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


def classed(ws: Workspace) -> Workspace:
    """The same site; what is of the class `long` stays on scratch for 40 days, and the rest for 5."""
    said = ws.policy.model_dump()
    purge = {"after_days": 5, "approval": {"original_stands": "none", "remake": "none"}}
    rules = [{**rule, "classes": ["long"], "purge": purge | {"after_days": 40}} for rule in said["rules"]] + list(said["rules"])
    return dataclasses.replace(ws, policy=Policy.model_validate(said | {"rules": rules, "purge": purge, "clock_leap_days": 400}))


def test_another_class_has_other_days_from_the_next_sweep_on(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Dated for 5 days, then moved to a class of 40: it stays for 40, and goes then."""
    ws = classed(ws)
    sweeping.sweep(ws, dry_run=False)
    projects.change(ws, PROJECT, {"retention_class": "long"}, "ada")
    for days, state in ((6, CopyState.VERIFIED), (33, CopyState.VERIFIED), (2, CopyState.REMOVED)):
        clock.forward(days=days)
        sweeping.sweep(ws, dry_run=False)
        assert ws.catalogue.copies(artifact=staged.id, location="scratch")[-1].state is state


def test_a_site_that_changes_is_reviewed_anew(ws: Workspace, staged: Artifact) -> None:
    """Two places that turn out to be lost together, or one that the site does not name any more: the next report says what is short."""
    transfer.deliver(ws, ws.current("PRJ-0001/PLATE-A", Level.RAW), "cold")
    transfer.deliver(ws, ws.current("PRJ-0001/PLATE-A", Level.RAW), "backup")
    assert sweeping.sweep(ws, dry_run=True).short.count == 0
    joined = tuple(each.model_copy(update={"domain": "nas"}) if each.name == "backup" else each for each in ws.site.locations)
    assert sweeping.sweep(at(ws, joined), dry_run=True).short.count == 1
    without = tuple(each for each in ws.site.locations if each.name != "backup")
    report = sweeping.sweep(at(ws, without), dry_run=True)
    assert (report.short.count, report.unknown) == (1, ("backup",))
    assert sweeping.sweep(ws, dry_run=True).short.count == 0


def at(ws: Workspace, locations: tuple[Any, ...]) -> Workspace:
    """The same site with other locations."""
    site = ws.site.model_copy(update={"locations": locations, "_folder": ws.site._folder})
    site.__dict__.pop("by_name", None)
    return dataclasses.replace(ws, site=site, stores={each.name: ws.stores[each.name] for each in locations})


def test_what_is_wished_is_made_of_whatever_level(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """Where the policy asks for a second copy of masks, that is what is missing of those on the NAS; what is only on scratch waits."""
    from coldchain import planning

    rules = [{"levels": sorted(Level), "wanted": {"copies": 2}}]
    said = ws.policy.model_dump() | {"rules": rules}
    ws = dataclasses.replace(ws, policy=Policy.model_validate(said))
    masks = made(Level.MASKS, {"m": b"masks"}, at="nas")
    made(Level.BULK_PROFILES, {"p": b"profiles"})
    found = planning.wished(ws, masks.dataset)
    assert {(wish.artifact.split("/")[2].split("@")[0], wish.to) for wish in found} == {("raw", "cold"), ("masks", "cold")}
    for wish in found:
        transfer.deliver(ws, ws.catalogue.artifact(wish.artifact), wish.to)
    assert planning.wished(ws, masks.dataset) == []
    assert ws.now() > dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
