"""The catalogue's port: what the rest of Coldchain asks of it. A dataset's state is what stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from coldchain.choices import Choice, Making
    from coldchain.copies import Artifact, Aside, Copy, CopyState, Total
    from coldchain.dataset import Dataset, Project
    from coldchain.holds import Hold, Lease, Use
    from coldchain.ledger import Facts
    from coldchain.levels import Level
    from coldchain.media import Whereabouts
    from coldchain.overrides import Check, Override
    from coldchain.policy import Ground
    from coldchain.proposals import Answer, Notice, Proposal
    from coldchain.provenance import Activity
    from coldchain.recall import Recall, RecallState
    from coldchain.watching import Acquisition

Review = tuple[str, "dt.datetime | None", "tuple[str, ...] | None"]
"""An artifact's id, when it has to be looked at next, and what it lacks (nothing where it stands)."""


class Catalogue(Protocol):
    """Projects, datasets, artifacts, copies, activities, holds, leases, proposals, overrides, audits and receipts."""

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

    def acquisitions(self) -> list[Acquisition]:
        """What is known of every acquisition folder, by name."""

    def save_acquisition(self, found: Acquisition) -> None:
        """Write down what is known of an acquisition folder."""

    def forget_acquisition(self, folder: str) -> None:
        """An acquisition folder is not there any more."""

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

    def makings(self, dataset: str | None = None) -> list[Making]:
        """Every time that an artifact was made, oldest first; the same bytes may have been made in several ways."""

    def choose(self, choices: Sequence[Choice], how: str) -> None:
        """Write down what a person chose as current, all in one step with a receipt of each; raises NotInCatalogue."""

    def choices(self, dataset: str | None = None) -> list[Choice]:
        """What people chose as current, oldest first: of each level the last one holds."""

    def copies(self, *, artifact: str | None = None, location: str | None = None, states: Sequence[CopyState] = ()) -> list[Copy]:
        """Copies, oldest first."""

    def copies_page(self, after: int, limit: int) -> list[Copy]:
        """The first copies after one, by their numbers; those that are not removed."""

    def start_copy(self, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
        """Give the copy of an artifact at a location, starting one (`copying`) where there is none in use."""

    def change_copy(self, copy: int, **changes: Any) -> Copy:
        """Change a copy's state, times, protection or detail."""

    def begin_deletion(self, copy: int, account: Mapping[str, Any]) -> None:
        """Write down what a receipt will say of a copy in the trash, before its bytes go; raises RemovalRefused."""

    def deleting(self, copy: int) -> bool:
        """Whether the deletion of a copy was begun, and has no receipt yet."""

    def close_removals(self, copies: Sequence[int], policy: str, who: str, now: dt.datetime) -> str:
        """Mark copies whose bytes are gone as removed, and write the receipt from their accounts, in one step; returns its digest."""

    def totals(self) -> list[Total]:
        """Copies and bytes of what is there, by location, level and state."""

    def facts(self, datasets: Sequence[str], now: dt.datetime) -> Facts:
        """Everything at one moment of some datasets, of what they are made from and of what is made from them."""

    def due_datasets(self, now: dt.datetime, early: Mapping[str, dt.datetime]) -> list[str]:
        """Datasets, oldest first, with a copy that is due by now, or by its location's early day, or that people were told of."""

    def pressure(self, location: str, wanted: int, now: dt.datetime) -> dt.datetime | None:
        """Day up to which copies at a location have to go until so many bytes are free; the last day where all are too few."""

    def falling_due(self, after: dt.datetime, until: dt.datetime, limit: int) -> list[Copy]:
        """Verified and trashed copies that fall due after a moment and until another, the first to fall due first."""

    def count_due(self, after: dt.datetime, until: dt.datetime) -> tuple[int, int]:
        """How many copies, and how many bytes, fall due after a moment and until another."""

    def set_due(self, days: Sequence[tuple[int, dt.datetime | None]]) -> None:
        """Set when copies fall due, all in one step."""

    def asked(self, artifacts: Sequence[str], now: dt.datetime) -> None:
        """Note that a run asked for artifacts; raises NotInCatalogue."""

    def to_review(self, now: dt.datetime, limit: int) -> list[str]:
        """Datasets with an artifact that has to be looked at again by now; a change of one of these from here on is not lost."""

    def save_reviews(self, reviews: Sequence[Review]) -> None:
        """Save when artifacts have to be looked at next, and what they lack; what changed since `to_review` is left to the next one."""

    def review_all(self) -> None:
        """Have every artifact looked at again: what the policy or the site wants has changed."""

    def shortfalls(self, limit: int) -> list[tuple[str, tuple[str, ...]]]:
        """Artifacts that are short of copies, oldest first, and what each lacks."""

    def count_short(self) -> int:
        """How many artifacts are short of copies."""

    def audit_due(self, location: str, before: dt.datetime, limit: int, now: dt.datetime) -> list[Copy]:
        """Verified copies at a location that were never read back, in the future, or last before a moment, in this order; oldest first."""

    def audited(self, night: dt.date) -> int:
        """Bytes that were read back in a night so far."""

    def add_audited(self, night: dt.date, location: str, copies: int, size: int) -> None:
        """Note that more was read back in a night."""

    def set_brake(self, location: str, why: str, now: dt.datetime) -> None:
        """Stop counting on a location until a person releases it, and keep a receipt; the first reason stays."""

    def brakes(self) -> Mapping[str, str]:
        """Locations that are stopped, and why."""

    def release_brake(self, location: str, who: str, why: str, now: dt.datetime) -> None:
        """Count on a location again, and keep a receipt; raises NotInCatalogue where it was not stopped."""

    def set_aside(self, copy: int, path: str, why: str, now: dt.datetime) -> None:
        """Note where the bytes of a damaged copy stand now, and let the copy be made anew; raises Refused where it is not damaged."""

    def asides(self, location: str | None = None) -> list[Aside]:
        """What was set aside, oldest first."""

    def save_recall(self, found: Recall) -> None:
        """Write a recall down; another of the same artifact to the same place is this one."""

    def recalls(self, state: RecallState | None = None) -> list[Recall]:
        """Recalls in some state, or all; the oldest first."""

    def identity(self, location: str) -> str | None:
        """Identity that a location had when it was registered."""

    def save_identity(self, location: str, identity: str, now: dt.datetime) -> None:
        """Register a location's identity; raises where it has another one already."""

    def media(self) -> Mapping[str, Whereabouts]:
        """Where each medium that is taken away is, by its location."""

    def save_medium(self, found: Whereabouts) -> None:
        """Write down where a medium is now, with a receipt, and have what stands on it looked at again."""

    def seen_medium(self, location: str, now: dt.datetime) -> None:
        """Note that a medium showed its identity."""

    def add_hold(self, dataset: str, reason: str, who: str, until: dt.date) -> Hold:
        """Hold a dataset until a day."""

    def last_said(self) -> tuple[int, int]:
        """Numbers of the newest hold and of the newest receipt: where neither changed, nobody held, answered or set anything aside."""

    def end_hold(self, hold: int) -> None:
        """End a hold."""

    def ever_held(self) -> list[str]:
        """Datasets that somebody ever held, in order."""

    def holds(self, dataset: str | None = None) -> list[Hold]:
        """Holds that were not ended, whatever their day."""

    def propose(self, copies: Sequence[tuple[int, Ground]], policy_digest: str, now: dt.datetime, *, notice: int | None = None) -> int:
        """Tell of copies that are to go, in a new notice or one of the same policy; those told of before are left out. 0: nothing new."""

    def notices(self, *, open_only: bool = False) -> list[Notice]:
        """Notices, oldest first; only those that still have an open proposal, where asked."""

    def proposals(self, *, notice: int | None = None, dataset: str | None = None) -> list[Proposal]:
        """Open proposals, oldest first."""

    def answer(
        self,
        notice: int,
        answer: Answer,
        who: str,
        how: str,
        note: str,
        now: dt.datetime,
        *,
        datasets: Sequence[str] = (),
        only: Collection[int] | None = None,
    ) -> list[Proposal]:
        """Answer the open proposals of a notice, of some datasets in it, or `only` of these, and keep a receipt; raises NotInCatalogue."""

    def close_proposals(self, ended: Mapping[int, str], now: dt.datetime) -> None:
        """Close open proposals, each with why it ended."""

    def add_override(self, dataset: str, check: Check, reason: str, who: str, until: dt.date, now: dt.datetime | None = None) -> Override:
        """Ask to set one check aside for a dataset until a day; it holds once it is approved."""

    def approve_override(self, override: int, who: str, how: str, now: dt.datetime) -> Override:
        """Approve an override; raises Refused where it was approved or ended before."""

    def end_override(self, override: int, who: str | None = None, now: dt.datetime | None = None) -> None:
        """End an override; raises NotInCatalogue."""

    def overrides(self, dataset: str | None = None) -> list[Override]:
        """Overrides that were not ended, whatever their day and whether approved or not."""

    def setting(self, name: str) -> str | None:
        """What was noted under a name."""

    def save_setting(self, name: str, value: str) -> None:
        """Note something under a name."""

    def lease(self, scopes: Sequence[str], use: Use, now: dt.datetime) -> AbstractContextManager[str]:
        """Use things together, for as long as the context lasts; gives the holder's name. Raises LeaseTaken."""

    def leases(self, now: dt.datetime) -> list[Lease]:
        """Leases that have not ended and whose holders live."""

    def add_receipt(self, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Keep an account of what was done, for good; returns its digest."""

    def receipts(self, kind: str | None = None, *, since: dt.datetime | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Receipts, oldest first, each with its digest; of a kind, since a moment and only the newest so many, where asked."""

    def broken_receipts(self, limit: int) -> list[int]:
        """Numbers of those of the newest so many receipts that are not what was written, or whose follower says that it follows another."""

    def last_receipt(self, kind: str) -> dict[str, Any] | None:
        """The newest receipt of a kind."""
