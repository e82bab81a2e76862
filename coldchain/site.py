"""A site: its locations, what they are for, its cluster and its policy, from one YAML."""

from __future__ import annotations

import os
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from coldchain import policy_fit, yamlfile
from coldchain.cluster import Cluster
from coldchain.location import Location, Name
from coldchain.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping


class Roles(BaseModel):
    """Which location serves which purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nas: Name = Field(description="the lab's storage: raw, standard and results")
    scratch: Name = Field(description="where the cluster computes; it needs a purge age")
    cold: Name = Field(description="the cold archive")
    backup: Name = Field(description="one more copy, in a failure domain of its own")


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

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = [location.name for location in self.locations]
        if len(set(names)) < len(names):
            raise ValueError("two locations have one name")
        if unknown := sorted(set(self.roles.model_dump().values()) - set(names)):
            raise ValueError(f"roles name unknown locations: {', '.join(unknown)}")
        if not self.location(self.roles.scratch).transient:
            raise ValueError(f"the scratch location {self.roles.scratch} has no purge_age_days")
        if fleeting := [name for name in (self.roles.nas, self.roles.cold, self.roles.backup) if self.location(name).transient]:
            raise ValueError(f"nothing lasts at {', '.join(fleeting)}: it removes files by itself (purge_age_days)")
        return self

    @model_validator(mode="after")
    def _countable(self) -> Self:
        """Refuse what would make a count of copies untrue: one folder twice, or a home where nothing stands."""
        if self.home not in {location.site for location in self.locations}:
            raise ValueError(f"no location stands at home ({self.home}): every copy would count as off site")
        roots = [(location.name, Path(os.path.normpath(location.root))) for location in self.locations]
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
