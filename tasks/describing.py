"""Getting to know a dataset: its dataset.yaml beside the acquisition, and its project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain import planning, yamlfile
from coldchain.catalogue import Catalogue
from coldchain.choices import currents
from coldchain.dataset import FILES, OPAQUE, Dataset, Project
from coldchain.errors import InputError, NotInCatalogue
from coldchain.forms import DescribeForm, IngestForm
from coldchain.imaging.conventions import find_convention
from coldchain.imaging.convert_files import container_files
from coldchain.imaging.naming import read_layout
from coldchain.levels import Level
from coldchain.lifecycle import PRESERVED, State
from coldchain.looking import DESCRIPTION
from coldchain.manifest import safe_name
from coldchain.watching import Acquisition
from coldchain.watching import State as Coming
from tasks.running import work
from tasks.workspace import open_workspace

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.workspace import Workspace


@work
def describe(form: IngestForm) -> str:
    """Write the project and the dataset down in the catalogue; returns the acquisition's folder.

    Raises:
        ConfigurationError: dataset.yaml is wrong; file, line and field are named.
        InputError: dataset.yaml is of another dataset than the form.
        LayoutError: the files do not make a plate; nothing was taken in.
    """
    ws = open_workspace()
    folder = safe_name(form.folder or form.dataset)
    path = ws.site.path(ws.site.acquisition) / folder / DESCRIPTION
    if path.exists() or not _known(ws.catalogue, form.id):
        dataset = read_description(path, form.id)
        _refuse_other_files(ws, path.parent, dataset)
        _know_project(ws.catalogue, form)
        ws.catalogue.save_dataset(dataset)
    return folder


@work
def describe_by_hand(form: DescribeForm) -> str:
    """Write down which dataset an acquisition folder is, as a person says; the folder itself is never written to.

    Raises:
        InputError: there is no such folder, a dataset.yaml in it says it, or the dataset is known already.
        LayoutError: the files do not make such a dataset; nothing was written down.
    """
    ws = open_workspace()
    folder = ws.site.path(ws.site.acquisition) / safe_name(form.folder)
    _refuse_described(ws, folder, form.id)
    channels = dict(enumerate(form.channels, 1))
    dataset = Dataset(
        project=form.project,
        name=form.dataset,
        pattern=form.own or form.pattern,
        channels=channels,
        pixel_size_um=form.pixel_size_um or None,
    )
    _refuse_other_files(ws, folder, dataset)
    _know_project(ws.catalogue, form)
    ws.catalogue.save_dataset(dataset)
    known = next((each for each in ws.catalogue.acquisitions() if each.folder == form.folder), None)
    found = known or Acquisition(form.folder, Coming.GROWING, "", ws.now(), looks=0)
    ws.catalogue.save_acquisition(replace(found, dataset=form.id))
    return f"{form.folder} is {form.id}; it is taken in once it is finished"


def _refuse_described(ws: Workspace, folder: Path, dataset: str) -> None:
    if not folder.is_dir():
        raise InputError("there is no such acquisition folder", on=folder, hint="the table `inbox` lists them")
    if (folder / DESCRIPTION).exists():
        raise InputError(f"a {DESCRIPTION} says already what it is", on=folder, done="nothing was changed", hint="correct that file")
    if _known(ws.catalogue, dataset):
        raise InputError("this dataset is known already", on=dataset, done="nothing was changed", hint="choose another name")


def read_description(path: Path, expected: str) -> Dataset:
    """Read a dataset.yaml and see that it speaks of the dataset that is expected."""
    dataset = yamlfile.load(path, Dataset)
    if dataset.id != expected:
        raise InputError(
            "dataset.yaml speaks of another dataset", on=path, expected=expected, got=dataset.id, hint="correct the form or the file"
        )
    return dataset


def _refuse_other_files(ws: Workspace, folder: Path, dataset: Dataset) -> None:
    """Raise where the acquisition does not hold what is said of it, before anything is taken in."""
    if dataset.pattern == FILES:
        container_files(folder)
    elif dataset.pattern != OPAQUE:
        read_layout(folder, find_convention(dataset.pattern, ws.site.conventions), dataset.channels)


def dataset_state(dataset: str) -> State:
    """One dataset as the catalogue has it; an unknown dataset has nothing yet."""
    ws = open_workspace()
    current = currents(ws.history(dataset))
    wanted = {artifact.id for artifact in ws.catalogue.artifacts(dataset)}
    copies = tuple(copy for copy in ws.catalogue.copies() if copy.artifact in wanted)
    wished = [f"{ws.catalogue.artifact(wish.artifact).level} at {wish.to}" for wish in planning.wished(ws, dataset)] if current else []
    return State(current, copies, ws.site.roles, tuple(wished), _makes(ws, dataset, current))


def preserved(dataset: str) -> list[Level]:
    """The levels of a dataset that get copies in the cold archive and at the backup location: those that can be made of it."""
    makes = dataset_state(dataset).makes
    return [level for level in PRESERVED if level in makes]


def _makes(ws: Workspace, dataset: str, current: Mapping[Level, Artifact]) -> frozenset[Level]:
    """The levels that can be made of a dataset, as far as is known: whether its files are a plate is known once they were read."""
    pattern = ws.catalogue.dataset(dataset).pattern if current else ""
    if pattern == OPAQUE:
        return frozenset({Level.RAW})
    if pattern != FILES:
        return frozenset(Level)
    standard = current.get(Level.STANDARD)
    plate = standard is not None and ws.catalogue.activity(standard.activity).findings.get("layout") == "plate"
    return frozenset(Level) if plate else frozenset({Level.RAW, Level.STANDARD})


def _know_project(catalogue: Catalogue, form: IngestForm | DescribeForm) -> None:
    """Write a new project down; a known one is not changed by an ingest."""
    if form.project not in {project.id for project in catalogue.projects()}:
        catalogue.save_project(Project(id=form.project, title=form.title, origin=form.origin, agreement=form.agreement or None))


def _known(catalogue: Catalogue, dataset: str) -> bool:
    try:
        catalogue.dataset(dataset)
    except NotInCatalogue:
        return False
    return True
