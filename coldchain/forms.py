"""The forms that people fill: one model for each flow, shown by the Prefect UI with its titles, help and defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from coldchain.dataset import DatasetName, ProjectId, WellName
from coldchain.imaging.embed import EMBEDDER
from coldchain.imaging.features import Features
from coldchain.imaging.models import ModelName
from coldchain.levels import Level
from coldchain.location import Name
from coldchain.origins import Origin

Pattern = Literal["files", "opaque", "operetta", "imagexpress", "cellvoyager", "roche"]
"""What an acquisition's files are; tests hold it against the naming conventions that there are."""


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


class WatchForm(Form):
    """How to watch."""

    most: int = Field(20, ge=1, le=1000, title="At most", description="So many acquisitions are taken in by one run")


class DescribeForm(DatasetForm):
    """What an acquisition folder is, where no dataset.yaml says it."""

    folder: str = Field(min_length=1, max_length=255, title="Acquisition folder", description="Its name, as in the table `inbox`")
    pattern: Pattern = Field(
        "files",
        title="Files",
        description="files: CZI, ND2, LIF, IMS, OME-TIFF or OME-Zarr; opaque: kept as it is; otherwise how a plate's TIFF images are named",
    )
    own: str = Field(
        "",
        max_length=63,
        title="Site's own naming",
        description="Only where the list above lacks how the images are named: the name of one of the `conventions` of this site",
    )
    channels: list[str] = Field(
        [], title="Channels", description="Only for TIFF images: names of the channels, in the order of their numbers"
    )
    pixel_size_um: float = Field(0, ge=0, lt=1000, title="Pixel size (µm)", description="Only for TIFF images; 0: not known")
    title: str = Field("", title="Project title", description="Only for a new project: what it is about")
    origin: Origin = Field(Origin.OWN, title="Data origin", description="Only for a new project: who the data came from")
    agreement: str = Field("", title="Agreement", description="Only for a new project of a collaborator: the agreement's name")


class Thresholds(Form):
    """How sure a model has to be; 0 stands for its own threshold."""

    prob_threshold: float = Field(
        0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        title="Probability threshold",
        description="0 to 1: how sure the model must be of an object, more gives fewer; 0: what the model was made with",
    )
    nms_threshold: float = Field(
        0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        title="Overlap threshold",
        description="0 to 1: how far two objects may overlap before the less sure one is dropped; 0: what the model was made with",
    )


class SegmentForm(DatasetForm):
    """What to segment, and by which model."""

    channel: str = Field("DNA", title="Channel", description="Name of the channel that shows the nuclei")
    model: ModelName = Field(
        ModelName.NUCLEI_SMALL,
        title="Model",
        description="nuclei-small, nuclei-unet and nuclei-small-3d (for stacks) are shipped; the others need a network to be downloaded",
    )
    own: str = Field(
        "", max_length=64, title="Site's own model", description="Only where the list above lacks it: name of a model of this site"
    )
    advanced: Thresholds = Field(Thresholds(), title="Advanced", description="Leave as it is, unless outlines are too many or too few")

    @property
    def chosen(self) -> str:
        """Name of the model: the site's own where one is named."""
        return self.own or str(self.model)


class ProfileForm(DatasetForm):
    """What to measure."""

    features: Features = Field(
        Features.FULL,
        title="Measurements",
        description="basic: shape and light of nuclei; full: also texture, granularity, rings, neighbours and correlation of"
        " nuclei, cells and cytoplasm",
    )
    embedder: str = Field(
        EMBEDDER,
        title="Embedding",
        max_length=64,
        description="The network that turns the image of each nucleus into numbers; none: no network does",
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


class ExportForm(DatasetForm):
    """What to hand out as OME-TIFF, and where."""

    location: str = Field(
        "",
        max_length=63,
        title="Location",
        description="Name of the location to write to, below `exports` there; the cluster's scratch where empty",
    )
    wells: list[WellName] = Field([], title="Wells", description="Only these wells of a plate, e.g. A01; all where empty")


class RecallForm(DatasetForm):
    """What to bring back, and where to."""

    level: Level = Field(Level.RAW, title="Level of the data", description="How far what you want has been processed")
    location: str = Field(
        "", max_length=63, title="Location", description="Name of the location where it is wanted; the cluster's scratch where empty"
    )
    days: int = Field(
        7, ge=1, le=365, title="Days", description="How long the archive lets it be read: the copy at the location has days of its own"
    )


class RecallsForm(Form):
    """Nothing to fill in."""


class BackupForm(Form):
    """How much to make up for."""

    most: int = Field(500, ge=1, le=100_000, title="At most", description="Copies of so many datasets are made by one run")


class MigrateForm(Form):
    """Which place to empty."""

    location: Name = Field(title="Location", description="Name of a location that is `retiring` in site.yaml")
    dry_run: bool = Field(True, title="Dry run", description="Only say what stands there, and what of it stands nowhere else yet")


class CheckInForm(Form):
    """Which disk or tape is put in, and where it goes."""

    location: Name = Field(title="Location", description="Name of the disk or tape in site.yaml; it has to be put in now")
    place: str = Field(
        "", max_length=200, title="Place", description="Where it goes: room, cupboard, shelf; where empty it stays put in here"
    )


class CheckOutForm(Form):
    """Which disk or tape somebody takes, or nobody finds."""

    location: Name = Field(title="Location", description="Name of the disk or tape in site.yaml")
    holder: str = Field("", max_length=200, title="Who has it", description="Who takes it; empty where it is lost")
    lost: bool = Field(False, title="Lost", description="Nobody knows where it is")
    dry_run: bool = Field(True, title="Dry run", description="Only say what would be short of copies without it")


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
