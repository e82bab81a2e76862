"""Forms in which people answer: to a notice, "not yet", and to what the gate found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from coldchain.approvers import ApproverName
from coldchain.forms import DatasetForm, Form

DatasetId = Annotated[str, Field(pattern=r"^PRJ-[0-9]{4,8}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ApproveForm(Form):
    """An answer to a notice. The code is used up by it, so it may be seen in the run's parameters afterwards."""

    notice: int = Field(ge=1, title="Notice", description="The notice's number, as in the sweep's report")
    answer: Literal["yes", "no"] = Field(title="Answer", description="yes: it may go when its notice period is over; no: it stays")
    datasets: list[DatasetId] = Field(
        [], title="Datasets", description="Only for these datasets, e.g. PRJ-0001/PLATE-SYNTH; the whole notice where empty"
    )
    name: ApproverName = Field(title="Your name", description="As your engineer entered it when you got your key")
    code: str = Field(pattern=r"^[0-9]{6}$", title="Code", description="The six digits that your phone shows now; each counts once")
    note: str = Field("", max_length=1000, title="Note", description="Why; it is kept with the answer")


class HoldForm(DatasetForm):
    """A "not yet"."""

    days: int = Field(14, ge=1, le=3650, title="Days", description="Nothing of the dataset is removed for so many days from now")
    reason: str = Field(min_length=1, max_length=1000, title="Reason", description="Why it must stay")
    name: str = Field(min_length=1, max_length=100, title="Your name", description="Whom to ask about it")


class AcceptForm(DatasetForm):
    """One failure that the gate found, accepted. The code is used up by it, so it may be seen in the run's parameters afterwards."""

    mark: str = Field(
        pattern=r"^[0-9a-f]{16}$", title="Mark", description="The failure's mark, as in the table of the gate; one failure each time"
    )
    reason: str = Field(min_length=1, max_length=1000, title="Reason", description="Why it is accepted; it travels with the release")
    name: ApproverName = Field(title="Your name", description="As your engineer entered it when you got your key")
    code: str = Field(pattern=r"^[0-9]{6}$", title="Code", description="The six digits that your phone shows now; each counts once")
