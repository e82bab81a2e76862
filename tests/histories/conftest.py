"""Worlds for histories."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from coldchain import making, transfer
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.levels import Level
from tests.histories.truth import PLATE
from tests.histories.world import HERE, World


@pytest.fixture(scope="session")
def new_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], World]:
    """Make worlds, each a copy of one in which a plate was taken in, converted, corrected and copied, all in time."""
    template = tmp_path_factory.mktemp("template") / "world"
    template.mkdir()
    shutil.copy(HERE / "site.yaml", template)
    begin(first := World(template))
    first.ws.catalogue.close()

    def make() -> World:
        folder = tmp_path_factory.mktemp("world") / "world"
        shutil.copytree(template, folder)
        return World(folder)

    return make


def begin(world: World) -> None:
    """Take a plate in, make its next levels, and copy all of it."""
    ws, (raw, *rest) = world.ws, PLATE
    ws.register()
    ws.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="P0", pattern="plain", channels={1: "DNA"}))
    raw.write(world.folder / "acquisition" / "P0")
    made = [making.take_in(ws, making.Step("ingest", raw.dataset, Level.RAW), world.folder / "acquisition" / "P0", "nas", no_progress)]
    for thing in rest:
        step = making.Step(f"make {thing.level}", thing.dataset, thing.level, (made[-1].artifact,), {"version": thing.version})
        made.append(making.make(ws, step, lambda _inputs, target, thing=thing: thing.write(target) or making.Outcome(), at="nas"))
    for each in made:
        for place in ("backup", "cold", "scratch"):
            transfer.deliver(ws, each.artifact, place)
