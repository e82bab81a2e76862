"""Getting to know a dataset: its dataset.yaml beside the acquisition, and its project."""

from __future__ import annotations

from pathlib import Path

from coldchain import yamlfile
from coldchain.catalogue import Catalogue
from coldchain.dataset import Dataset, Project
from coldchain.errors import InputError, NotInCatalogue
from coldchain.forms import IngestForm
from coldchain.imaging.naming import read_layout
from coldchain.lifecycle import State
from coldchain.manifest import safe_name
from tasks.running import work
from tasks.workspace import open_workspace

DESCRIPTION = "dataset.yaml"


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
        read_layout(path.parent, dataset.pattern, dataset.channels)
        _know_project(ws.catalogue, form)
        ws.catalogue.save_dataset(dataset)
    return folder


def read_description(path: Path, expected: str) -> Dataset:
    """Read a dataset.yaml and see that it speaks of the dataset that is expected."""
    dataset = yamlfile.load(path, Dataset)
    if dataset.id != expected:
        raise InputError(
            "dataset.yaml speaks of another dataset", on=path, expected=expected, got=dataset.id, hint="correct the form or the file"
        )
    return dataset


def dataset_state(dataset: str) -> State:
    """One dataset as the catalogue has it; an unknown dataset has nothing yet."""
    ws = open_workspace()
    current = {artifact.level: artifact for artifact in ws.catalogue.artifacts(dataset)}
    wanted = {artifact.id for artifact in ws.catalogue.artifacts(dataset)}
    copies = tuple(copy for copy in ws.catalogue.copies() if copy.artifact in wanted)
    return State(current, copies, ws.site.roles)


def _know_project(catalogue: Catalogue, form: IngestForm) -> None:
    """Write a new project down; a known one is not changed by an ingest."""
    if form.project not in {project.id for project in catalogue.projects()}:
        catalogue.save_project(Project(id=form.project, title=form.title, origin=form.origin, agreement=form.agreement or None))


def _known(catalogue: Catalogue, dataset: str) -> bool:
    try:
        catalogue.dataset(dataset)
    except NotInCatalogue:
        return False
    return True
