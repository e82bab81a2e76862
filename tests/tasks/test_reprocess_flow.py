"""Reprocessing and choosing from the Prefect UI's forms, on a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from coldchain.approvers import Person, code_of, step_of
from coldchain.errors import Incomplete, Refused
from coldchain.forms_reprocess import ChooseForm, ReprocessForm
from coldchain.levels import Level
from coldchain.protection import release
from coldchain.workspace import Workspace
from tasks import approving as at_work
from tests.tasks.lived import DATASET, live
from tests.tasks.test_approving import artifacts, forget, key_in

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.usefixtures("prefect_server")]

PLATE = {"project": "PRJ-0001", "datasets": ["PLATE-REAL"], "start": "aggregate"}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A plate that has lived up to bulk profiles, whose plate map is another one since."""
    folder = tmp_path_factory.mktemp("lived")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLDCHAIN_SITE", str(folder / "site.yaml"))
        space = live(folder)
        described = space.catalogue.dataset(DATASET)
        space.catalogue.save_dataset(described.model_copy(update={"plate_map": {"A01": {"treatment": "other"}}}))
        yield space
        release(folder)
        space.catalogue.close()


def test_a_dry_run_shows_and_makes_nothing(ws: Workspace) -> None:
    """The form's default: a table of what would be made, with its cost; the catalogue is as it was."""
    from flows.reprocess import reprocess

    before = len(ws.catalogue.artifacts())
    said = reprocess(ReprocessForm.model_validate(PLATE))
    assert said.startswith("1 of 1 datasets; ")
    assert "bulk_profiles" in artifacts("reprocess-prj-0001")[0].data
    assert (len(ws.catalogue.artifacts()), ws.catalogue.choices()) == (before, [])


def test_it_is_made_compared_and_chosen_with_a_code(ws: Workspace) -> None:
    """The real run leaves what is current, and shows old against new; a person with a code chooses; a wrong code chooses nothing."""
    from flows.choose import choose
    from flows.reprocess import reprocess

    old = ws.current(DATASET, Level.BULK_PROFILES)
    reprocess(ReprocessForm.model_validate({**PLATE, "dry_run": False}))
    assert ws.current(DATASET, Level.BULK_PROFILES) == old
    assert "old against new" in artifacts("prj-0001-plate-real-comparison")[0].data
    assert artifacts("prj-0001-plate-real-comparison-features")
    new = ws.catalogue.artifacts(DATASET, Level.BULK_PROFILES)[-1]
    key = key_in(at_work.add_approver(ws, "ada", Person("engineer", "test")))
    said = {"project": "PRJ-0001", "dataset": "PLATE-REAL", "level": "bulk_profiles", "artifact": new.digest[:12], "reason": "right map"}
    with pytest.raises(Refused):
        choose(ChooseForm.model_validate({**said, "name": "ada", "code": "000000"}))
    assert ws.current(DATASET, Level.BULK_PROFILES) == old
    choose(ChooseForm.model_validate({**said, "name": "ada", "code": code_of(key, step_of(ws.now()) + 1)}))
    assert ws.current(DATASET, Level.BULK_PROFILES) == new
    receipt = ws.catalogue.receipts("choice")[-1]
    assert (receipt["who"], receipt["reason"]) == ("ada", "right map")
    assert receipt["how"].startswith("Prefect UI, one-time code, run ")
    forget("ada")


def test_one_that_cannot_be_does_not_stop_the_others(ws: Workspace) -> None:
    """A dataset of which nothing was made fails the run, and the other has had its turn."""
    from coldchain.dataset import Dataset
    from flows.reprocess import reprocess

    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="EMPTY", pattern="files"))
    with pytest.raises(Incomplete, match="PRJ-0001/EMPTY"):
        reprocess(ReprocessForm.model_validate({**PLATE, "datasets": ["EMPTY", "PLATE-REAL"], "dry_run": False}))


@pytest.mark.parametrize("artifact", ["", "abc", "NEWEST", "../../../x", "zzzzzzzz", "a" * 65])
def test_the_form_takes_digits_only(artifact: str) -> None:
    """An artifact is named by digits of its digest, or by the word newest."""
    said = {"project": "PRJ-0001", "dataset": "A", "level": "masks", "reason": "x", "name": "ada", "code": "123456"}
    with pytest.raises(ValidationError):
        ChooseForm.model_validate({**said, "artifact": artifact})
    assert ChooseForm.model_validate({**said, "artifact": "newest"}).artifact == "newest"
