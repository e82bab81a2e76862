"""The catalogue's port: what the rest of Coldchain asks of it. A dataset's state is what stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from coldchain.copies import Artifact, Copy, CopyState
    from coldchain.dataset import Dataset, Project
    from coldchain.holds import Hold, Lease, Use
    from coldchain.levels import Level
    from coldchain.provenance import Activity


class Catalogue(Protocol):
    """Projects, datasets, artifacts, copies, activities, holds, leases and receipts."""

    def save_project(self, project: Project) -> None:
        """Add or change a project."""

    def projects(self) -> list[Project]:
        """All projects, by id."""

    def project(self, project: str) -> Project:
        """One project; raises NotInCatalogue."""

    def save_dataset(self, dataset: Dataset) -> None:
        """Add or change a dataset; its project must be known."""

    def datasets(self) -> list[Dataset]:
        """All datasets, by id."""

    def dataset(self, dataset: str) -> Dataset:
        """One dataset by ``project/name``; raises NotInCatalogue."""

    def record(self, activity: Activity, artifact: Artifact, location: str, now: dt.datetime) -> Copy:
        """Write down, in one step, how an artifact was made and a copy of it that is being put in place (`copying`)."""

    def made(self, fingerprint: str) -> list[Artifact]:
        """Artifacts of the step with this fingerprint; none where it never ended."""

    def artifact(self, artifact: str) -> Artifact:
        """One artifact by its id; raises NotInCatalogue."""

    def artifacts(self, dataset: str | None = None, level: Level | None = None) -> list[Artifact]:
        """Artifacts, newest last."""

    def activity(self, activity: str) -> Activity:
        """How something was made; raises NotInCatalogue."""

    def copies(self, *, artifact: str | None = None, location: str | None = None, states: Sequence[CopyState] = ()) -> list[Copy]:
        """Copies, oldest first."""

    def start_copy(self, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
        """Give the copy of an artifact at a location, starting one (`copying`) where there is none in use."""

    def change_copy(self, copy: int, **changes: Any) -> Copy:
        """Change a copy's state, times, protection or detail."""

    def close_removals(self, copies: Sequence[int], receipt: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Mark copies whose bytes are gone as removed and keep the receipt, in one step; returns its digest."""

    def identity(self, location: str) -> str | None:
        """Identity that a location had when it was registered."""

    def save_identity(self, location: str, identity: str, now: dt.datetime) -> None:
        """Register a location's identity; raises where it has another one already."""

    def add_hold(self, dataset: str, reason: str, who: str, until: dt.date) -> Hold:
        """Hold a dataset until a day."""

    def end_hold(self, hold: int) -> None:
        """End a hold."""

    def holds(self, dataset: str | None = None) -> list[Hold]:
        """Holds that were not ended, whatever their day."""

    def lease(self, scopes: Sequence[str], use: Use, now: dt.datetime) -> AbstractContextManager[str]:
        """Use things together, for as long as the context lasts; gives the holder's name. Raises LeaseTaken."""

    def leases(self, now: dt.datetime) -> list[Lease]:
        """Leases that have not ended and whose holders live."""

    def add_receipt(self, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Keep an account of what was done, for good; returns its digest."""

    def receipts(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Receipts, oldest first."""
