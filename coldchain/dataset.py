"""Projects and datasets: whose data it is, and which acquisition."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from coldchain.location import Reach
from coldchain.origins import Origin

ProjectId = Annotated[str, Field(pattern=r"^PRJ-[0-9]{4,8}$", description="e.g. PRJ-0001")]
DatasetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, . _ -")]
WellName = Annotated[str, Field(pattern=r"^[A-Z]{1,2}[0-9]{2}$", description="e.g. A01")]


FILES = "files"
"""Pattern of a dataset whose own files (CZI, ND2, LIF, IMS, OME-TIFF, OME-Zarr) say what images there are."""

OPAQUE = "opaque"
"""Pattern of a dataset that is kept as it is, and of which no images are made."""


class Project(BaseModel):
    """People, title, data origin, agreement, access and embargo, retention class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: ProjectId
    title: str = ""
    people: tuple[str, ...] = ()
    origin: Origin = Origin.OWN
    agreement: str | None = Field(None, description="name of the agreement with a collaborator")
    permits: tuple[Reach, ...] = Field((), description="where the agreement lets the data go, beyond inside")
    embargo_until: dt.date | None = Field(None, description="nothing becomes public before this day")
    retention_class: str = "standard"


class Dataset(BaseModel):
    """One acquisition of a project: a plate, a confocal session."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: ProjectId
    name: DatasetName
    pattern: str = Field(
        FILES,
        description="`files`: what the instrument's own files say; `opaque`: data that no images are made of; or, for a plate of TIFF"
        " images, how the instrument names them, see coldchain.imaging.naming",
    )
    channels: dict[int, str] = Field(default_factory=dict, description="channel number in the names of TIFF images: channel name")
    pixel_size_um: float | None = Field(None, gt=0, le=1000, description="µm per pixel")
    plate_map: dict[WellName, dict[str, str | float]] = Field(default_factory=dict, description="well: treatment, dose, …")
    acquired_at: AwareDatetime | None = None

    @property
    def id(self) -> str:
        """Project and name: ``PRJ-0001/PLATE-A``."""
        return f"{self.project}/{self.name}"
