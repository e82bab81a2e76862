"""A site: its locations, what they are for, its cluster and its policy, from one YAML."""

from __future__ import annotations

import os
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from coldchain import policy_fit, solutions, yamlfile
from coldchain.cluster import Cluster
from coldchain.imaging.conventions import Convention, refuse_taken
from coldchain.location import Location, Name
from coldchain.policy import Policy
from coldchain.solutions import Solution
from coldchain.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping


class Roles(BaseModel):
    """Which location serves which purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nas: Name = Field(description="the lab's storage: raw, standard and results")
    scratch: Name = Field(description="where the cluster computes; it needs a purge age")
    cold: Name = Field(description="the cold archive")
    backup: Name = Field(description="one more copy, in a failure domain of its own")
    instrument: Name | None = Field(
        None,
        description="the disk that `acquisition` is, where the sweep is to free it; it needs a purge age; none: nothing there is touched",
    )


class Site(BaseModel):
    """One lab's installation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: Name = Field(description="the site's name")
    home: Name = Field(description="where the lab stands; other sites are off site")
    catalogue: str = Field("sqlite:///catalogue.db", description="SQLAlchemy URL; a relative SQLite file is relative to this file")
    policy: str = Field("policy.yaml", description="policy file, relative to this file")
    acquisition: str = Field("acquisition", description="folder where the instrument writes, relative to this file")
    locations: tuple[Location, ...] = Field(min_length=2, description="places that can hold copies")
    roles: Roles
    cluster: Cluster = Cluster()
    clusters: dict[Name, Cluster] = Field({}, description="more cluster profiles, e.g. gpu or centre; each runs the `steps` that it names")
    solutions: dict[Name, Solution] = Field({}, description="rows of the storage table as this site's contracts have them")
    conventions: dict[Name, Convention] = Field(
        {}, description="this site's own ways to name a plate's TIFF images, beside the built-in ones"
    )
    watch: Watch = Field(Watch(), description="when an acquisition folder counts as finished")

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse_taken(self.conventions)
        names = [location.name for location in self.locations]
        if len(set(names)) < len(names):
            raise ValueError("two locations have one name")
        if unknown := sorted(set(self.roles.model_dump(exclude_none=True).values()) - set(names)):
            raise ValueError(f"roles name unknown locations: {', '.join(unknown)}")
        if not self.location(self.roles.scratch).transient:
            raise ValueError(f"the scratch location {self.roles.scratch} has no purge_age_days")
        if fleeting := [name for name in (self.roles.nas, self.roles.cold, self.roles.backup) if self.location(name).transient]:
            raise ValueError(f"nothing lasts at {', '.join(fleeting)}: it removes files by itself (purge_age_days)")
        return self

    @model_validator(mode="after")
    def _kept(self) -> Self:
        """Refuse a role of a place that is to be emptied: every flow would fill it again."""
        if leaving := [
            f"{role} ({name})" for role, name in self.roles.model_dump(exclude_none=True).items() if self.location(name).retiring
        ]:
            raise ValueError(f"{', '.join(leaving)} is to be emptied (retiring): give the role to another location first")
        return self

    @model_validator(mode="after")
    def _released(self) -> Self:
        """Refuse an instrument's location that is another folder than the acquisitions', or that would count as a copy."""
        if self.roles.instrument is not None:
            place = self.location(self.roles.instrument)
            if Path(os.path.normpath(place.root)) != Path(os.path.normpath(self.acquisition)):
                raise ValueError(f"the root of the instrument's location {place.name} is not the acquisition folder {self.acquisition}")
            if not place.transient:
                raise ValueError(f"the instrument's location {place.name} has no purge_age_days: a copy there must never count")
        return self

    @model_validator(mode="after")
    def _solved(self) -> Self:
        """Refuse a location whose row the storage table does not have."""
        known = {**solutions.built_in(), **self.solutions}
        if unknown := [f"{location.solution} ({location.name})" for location in self.locations if location.solution not in known]:
            raise ValueError(f"the storage table has no {', '.join(unknown)}: it has {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _mounted(self) -> Self:
        """Refuse a place where programs work on files that are not there."""
        working = {"nas": self.roles.nas, "scratch": self.roles.scratch, "instrument": self.roles.instrument}
        if far := [f"{role} ({name})" for role, name in working.items() if name is not None and not self.location(name).mounted]:
            raise ValueError(f"{', '.join(far)}: programs read and write files there, so that it has to be mounted here (engine posix)")
        return self

    @model_validator(mode="after")
    def _put_in(self) -> Self:
        """Refuse a place where programs work on files that somebody may take away."""
        working = {"nas": self.roles.nas, "scratch": self.roles.scratch, "instrument": self.roles.instrument}
        if taken := [f"{role} ({name})" for role, name in working.items() if name is not None and self.location(name).removable]:
            raise ValueError(f"{', '.join(taken)}: programs read and write files there at any time, and an offline medium is taken away")
        return self

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        """Refuse a step that two profiles name, a profile that no step runs on, and one with the name of the default."""
        named = [(step, name) for name, profile in self.profiles.items() for step in profile.steps]
        if twice := sorted({str(step) for step, _ in named if [other for other, _ in named].count(step) > 1}):
            raise ValueError(f"two cluster profiles name the step {', '.join(twice)}")
        if idle := [name for name, profile in self.clusters.items() if not profile.steps]:
            raise ValueError(f"nothing runs on the cluster profile {', '.join(idle)}: it names no `steps`")
        if "cluster" in self.clusters:
            raise ValueError("a profile of `clusters` is called `cluster`, as the default is")
        return self

    @model_validator(mode="after")
    def _countable(self) -> Self:
        """Refuse what would make a count of copies untrue: one folder twice, or a home where nothing stands."""
        if self.home not in {location.site for location in self.locations}:
            raise ValueError(f"no location stands at home ({self.home}): every copy would count as off site")
        roots = [(location.name, Path(os.path.normpath(location.root))) for location in self.locations if location.mounted]
        for (one, outer), (other, inner) in permutations(roots, 2):
            if inner.is_relative_to(outer):
                raise ValueError(f"{one} and {other} stand one inside the other")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a site's YAML; raises ConfigurationError with file, line and field."""
        site = yamlfile.load(path, cls)
        site._folder = path.resolve().parent  # noqa: SLF001 - its own class, being made
        return site

    def location(self, name: str) -> Location:
        """Find a location by its name."""
        return next(location for location in self.locations if location.name == name)

    def solution(self, name: str) -> Solution:
        """Row of the storage table that a location names."""
        row = self.location(name).solution
        return self.solutions.get(row) or solutions.built_in()[row]

    @property
    def profiles(self) -> dict[str, Cluster]:
        """Cluster profiles by name; the default is called `cluster`."""
        return {"cluster": self.cluster, **self.clusters}

    def cluster_for(self, step: str) -> Cluster:
        """Profile on which a step's items are computed: the one that names it, or the default."""
        return next((profile for profile in self.profiles.values() if step in profile.steps), self.cluster)

    @cached_property
    def by_name(self) -> Mapping[str, Location]:
        """Locations by name."""
        return {location.name: location for location in self.locations}

    def path(self, text: str) -> Path:
        """Resolve a path of the site file against the site file's folder."""
        return self._folder / Path(text).expanduser()

    def catalogue_url(self) -> str:
        """Catalogue URL with a relative SQLite file made absolute."""
        prefix = "sqlite:///"
        return prefix + str(self.path(self.catalogue.removeprefix(prefix))) if self.catalogue.startswith(prefix) else self.catalogue

    def load_policy(self) -> Policy:
        """Read the site's policy, which has to fit its locations; raises ConfigurationError with file, line and field."""
        return yamlfile.load(self.path(self.policy), Policy, lambda policy: policy_fit.check(policy, self.locations, self.home))
