"""Locations: the places that can hold copies, as a site's YAML describes them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coldchain.store import Protection

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="lower case, digits, - and _")]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class Engine(StrEnum):
    """How bytes get to a location."""

    POSIX = "posix"
    SSH = "ssh"
    S3 = "s3"
    RCLONE = "rclone"
    GLOBUS = "globus"
    OFFLINE = "offline"


class Medium(StrEnum):
    """What the bytes stand on."""

    DISK = "disk"
    OBJECT = "object"
    TAPE = "tape"


class Reach(StrEnum):
    """Who can get at a location: it decides what may go there."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    PUBLIC = "public"


class Ssh(BaseModel):
    """How to reach a location over SSH; keys and known hosts are ssh's own matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9@._-]{0,252}$", description="host, user@host, or a name that ssh's configuration knows"
    )
    config: str = Field("", description="ssh's configuration file, relative to the site file; the user's own where empty")
    python: str = Field("python3", min_length=1, description="Python 3.11 or newer on that machine; it needs no package")


class S3(BaseModel):
    """How to reach a bucket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: str = Field(min_length=1, description="Prefect block of the kind s3-bucket: the bucket, and the credentials with their endpoint")
    storage_class: str = Field(
        "",
        pattern=r"^[A-Z0-9_]{0,64}$",
        description="class that files move to when they were read back, e.g. DEEP_ARCHIVE; none where empty",
    )


class Offline(BaseModel):
    """A disk or a tape that is taken away and brought back: what is written on it, and the changer that it may stand in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1, max_length=100, description="what is written on it, so that a person finds it")
    barcode: str = Field("", max_length=100, description="its barcode, by which a changer knows it; none where empty")
    changer: str = Field("", pattern=r"^(/dev/[A-Za-z0-9._/-]+)?$", description="device of the changer that it stands in, e.g. /dev/sg3")


class Rclone(BaseModel):
    """How to reach a location through rclone; passwords and tokens are its configuration's own matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    remote: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$", description="name of a remote that rclone's configuration has, without a colon"
    )
    config: str = Field("", description="rclone's configuration file, relative to the site file; the user's own where empty")


class Globus(BaseModel):
    """How to reach a collection of Globus: bytes go between it and a collection that shows a folder of this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: Uuid = Field(description="the collection that the location is on")
    here: Uuid = Field(description="the collection that shows a folder of this machine")
    here_folder: str = Field(
        min_length=1, description="that folder, relative to the site file: whatever data are sent from and brought to is below it"
    )
    here_path: str = Field("/", pattern=r"^/", description="path of that folder on the collection `here`")
    block: str = Field(min_length=1, description='Prefect block of the kind secret: {"client_id": "...", "client_secret": "..."}')
    path: str = Field(
        "", pattern=r"^(/.*)?$", description="path of the root on the collection, where `ssh` knows it by another; root where empty"
    )


class Location(BaseModel):
    """A place that can hold copies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    engine: Engine = Engine.POSIX
    root: str = Field(
        min_length=1,
        description="folder, or mount point of a disk or tape; relative to the site file, or below the user's home on another machine, "
        "or below the bucket's folder, or in the remote",
    )
    ssh: Ssh | None = Field(None, description="for engine ssh, and for engine globus where ssh reaches the machine too")
    s3: S3 | None = Field(None, description="for engine s3")
    rclone: Rclone | None = Field(None, description="for engine rclone")
    globus: Globus | None = Field(None, description="for engine globus")
    offline: Offline | None = Field(None, description="for engine offline")
    medium: Medium
    domain: Name = Field(description="failure domain: what is lost together")
    site: Name = Field(description="where it stands")
    reach: Reach = Reach.INSIDE
    protection: Protection = Protection.NONE
    solution: str = Field("internal_drive", description="row of the storage table")
    purge_age_days: int | None = Field(None, ge=1, description="for scratch: the cluster removes files of this age by itself")
    at_once: int | None = Field(None, ge=1, le=1000, description="so many transfers at a time bring data there; none: as many as there are")
    hours: str = Field(
        "",
        pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        description="hours in UTC at which data are brought there, e.g. 20:00-06:00; empty: always",
    )
    retiring: bool = Field(
        False, description="it is to be emptied: nothing new is brought there, and what stands there goes once it stands elsewhere"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        """Refuse a location that does not say how it is reached, or says it of another engine."""
        given = {name for name in ("ssh", "s3", "rclone", "globus", "offline") if getattr(self, name) is not None}
        needed = {str(self.engine)} - {Engine.POSIX}
        if self.engine is Engine.GLOBUS:
            given.discard("ssh")
        if given != needed:
            raise ValueError(
                f"engine {self.engine} wants {' and '.join(needed) or 'no'} settings, got {' and '.join(sorted(given)) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _protectable(self) -> Self:
        """Refuse a protection that this engine has not."""
        of_buckets = {Protection.NONE, Protection.OBJECT_LOCK}
        of_folders = {*Protection} - of_buckets | {Protection.NONE}
        offered = {Engine.S3: of_buckets, Engine.RCLONE: {Protection.NONE}}.get(self.engine, of_folders)
        if self.engine is Engine.GLOBUS and self.ssh is None:  # nothing over there can be asked to protect
            offered = {Protection.NONE}
        if self.protection not in offered:
            raise ValueError(f"engine {self.engine} has no protection {self.protection}: choose {' or '.join(sorted(offered))}")
        return self

    @model_validator(mode="after")
    def _rcloned(self) -> Self:
        """Refuse what rclone cannot be told: a root that it reads as something else, and that files are to be as old as their copy."""
        if self.engine is Engine.RCLONE and (not self.root.isprintable() or "]" in self.root or "\u201b" in self.root):
            raise ValueError(f"engine rclone takes no root with ] or a character that cannot be printed: {self.root!r}")
        if self.engine is Engine.RCLONE and self.transient:
            raise ValueError("engine rclone takes no purge_age_days: files keep their times there, and would be purged at once")
        return self

    @property
    def mounted(self) -> bool:
        """Whether its folders are paths of this machine."""
        return self.engine in {Engine.POSIX, Engine.OFFLINE}

    @property
    def removable(self) -> bool:
        """Whether it is a medium that is taken away and brought back."""
        return self.engine is Engine.OFFLINE

    @property
    def transient(self) -> bool:
        """Whether the place removes files by itself; a copy there never counts."""
        return self.purge_age_days is not None
