"""The forms that people fill: one model for each flow, shown by the Prefect UI with its titles, help and defaults."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from coldchain.dataset import DatasetName, ProjectId
from coldchain.imaging.models import ModelName
from coldchain.location import Name
from coldchain.origins import Origin


class Form(BaseModel):
    """A form; it refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid")


class DatasetForm(Form):
    """Which dataset."""

    project: ProjectId = Field(title="Project", description="The project's number, e.g. PRJ-0001")
    dataset: DatasetName = Field(title="Dataset", description="The dataset's name, as in its dataset.yaml, e.g. PLATE-SYNTH")

    @property
    def id(self) -> str:
        """Project and name."""
        return f"{self.project}/{self.dataset}"


class IngestForm(DatasetForm):
    """What to take from the acquisition workstation."""

    folder: str = Field("", title="Acquisition folder", description="Folder below the acquisition location; the dataset's name where empty")
    title: str = Field("", title="Project title", description="Only for a new project: what it is about")
    origin: Origin = Field(
        Origin.OWN, title="Data origin", description="Only for a new project: who the data came from. It decides where data may go"
    )
    agreement: str = Field("", title="Agreement", description="Only for a new project of a collaborator: the agreement's name")


class SegmentForm(DatasetForm):
    """What to segment, and by which model."""

    channel: str = Field("DNA", title="Channel", description="Name of the channel that shows the nuclei")
    model: ModelName = Field(
        ModelName.NUCLEI_SMALL, title="Model", description="nuclei-small is shipped; the others are downloaded where there is a network"
    )


class PromoteForm(DatasetForm):
    """What to promote."""

    version: str = Field(
        "1.0",
        title="Release version",
        max_length=32,
        pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*$",
        description="Written into the release's README",
    )


class SweepForm(Form):
    """How to sweep."""

    dry_run: bool = Field(True, title="Dry run", description="Only read back, plan and report; remove nothing")


class AuditForm(Form):
    """What to read back."""

    budget_gb: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        title="Budget (GB)",
        description="At most so many gigabytes this night, in all; 0: what the policy says",
    )
    locations: list[Name] = Field([], title="Locations", description="Only these locations; all lasting ones where empty")
    strays: bool = Field(
        True, title="Look for strays", description="Also report files that belong to no copy, and copies whose folder is missing"
    )


class RepairForm(DatasetForm):
    """What to repair."""

    dry_run: bool = Field(True, title="Dry run", description="Only say what would be repaired, and from where; change nothing")


class LifecycleForm(SegmentForm):
    """A dataset's whole life, from acquisition to cold archive."""

    dry_run: bool = Field(True, title="Dry-run sweep", description="Let the sweep at the end only report what it would remove from scratch")
