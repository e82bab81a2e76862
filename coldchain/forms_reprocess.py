"""Forms of reprocessing: what is made anew beside the old, and which artifact of a level is current."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from coldchain.approvers import ApproverName
from coldchain.dataset import DatasetName, ProjectId
from coldchain.forms import DatasetForm, Form
from coldchain.levels import Level

Start = Literal["standardise", "correct", "segment", "measure", "crop", "aggregate"]
"""Recipes that a reprocessing may begin with; tests hold it against those that there are."""


class ReprocessForm(Form):
    """What to make anew, beside what stands."""

    project: ProjectId = Field(title="Project", description="The project's number, e.g. PRJ-0001")
    datasets: list[DatasetName] = Field([], title="Datasets", description="Only these datasets of it, e.g. PLATE-SYNTH; all where empty")
    start: Start = Field("segment", title="From", description="The first step that is made anew; what follows from it is, too")
    model: str = Field("", max_length=100, title="Model", description="Name of a model for the first step; as before where empty")
    parameters: list[Annotated[str, Field(max_length=1000)]] = Field(
        [], title="Other parameters", description="Other parameters of the first step, each as name=value; as before where empty"
    )
    code: bool = Field(
        False,
        title="For the code alone",
        description="Also make anew what only an older version of Coldchain made, with nothing else changed",
    )
    dry_run: bool = Field(True, title="Dry run", description="Only show what would be made, and what it costs in time and space")


class ChooseForm(DatasetForm):
    """Which artifact is current. The code is used up by it, so it may be seen in the run's parameters afterwards."""

    level: Level = Field(title="Level of the data", description="The level whose current artifact you choose")
    artifact: str = Field(
        min_length=6,
        max_length=64,
        pattern=r"^([0-9a-f]{6,64}|newest)$",
        title="Artifact",
        description="The first digits of its digest, as in the table of copies or in a comparison; or the word newest",
    )
    reason: str = Field(min_length=1, max_length=1000, title="Reason", description="Why this one; it is kept with the choice")
    name: ApproverName = Field(title="Your name", description="As your engineer entered it when you got your key")
    code: str = Field(pattern=r"^[0-9]{6}$", title="Code", description="The six digits that your phone shows now; each counts once")
