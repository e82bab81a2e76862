"""Notices, their proposals and people's answers, in the catalogue."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain.errors import NotInCatalogue
from coldchain.policy import Ground
from coldchain.proposals import Answer, Notice, Proposal
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.keys import numbers
from coldchain.sql.receipts import add_to_chain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Proposals(Database):
    """Notices, their proposals and people's answers, in the catalogue."""

    def propose(self, copies: Sequence[tuple[int, Ground]], policy_digest: str, now: dt.datetime, *, notice: int | None = None) -> int:
        """Tell of copies that are to go, in a new notice or one of the same policy; those told of before are left out. 0: nothing new."""
        with self.writing.begin() as db:
            new = _not_told(db, dict(copies))
            if notice is not None:
                _known_notice(db, notice, tables.notice.c.policy == policy_digest)
            if not new:
                return notice or 0
            number = notice or _insert_notice(db, policy_digest, now)
            rows = [{"notice_id": number, "copy_id": key, "ground": ground, "told_at": now} for key, ground in new.items()]
            db.execute(sa.insert(tables.proposal), rows)
            _add_to_notice(db, number, list(new))
            return number

    def notices(self, *, open_only: bool = False) -> list[Notice]:
        """Notices, oldest first; only those that still have an open proposal, where asked."""
        left = sa.select(tables.proposal.c.notice_id, sa.func.count().label("open")).where(tables.OPEN)
        left_of = left.group_by(tables.proposal.c.notice_id).subquery()
        joined = tables.notice.join(left_of, left_of.c.notice_id == tables.notice.c.id, isouter=not open_only)
        query = sa.select(tables.notice, left_of.c.open).select_from(joined).order_by(tables.notice.c.id)
        with self.engine.connect() as db:
            return [Notice(row.id, row.told_at, row.policy, row.copies, row.bytes, row.open or 0) for row in db.execute(query)]

    def proposals(self, *, notice: int | None = None, dataset: str | None = None) -> list[Proposal]:
        """Open proposals, oldest first."""
        conditions = [tables.proposal.c.notice_id == notice] if notice is not None else []
        with self.engine.connect() as db:
            return read_proposals(db, *conditions, *([_of([dataset])] if dataset else []))

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
        """Answer the open proposals of a notice, or of some datasets in it, or of these `only`, and keep a receipt.

        Raises:
            NotInCatalogue: nothing of that is open; nothing was changed.
        """
        with self.writing.begin() as db:
            told = _known_notice(db, notice)
            concerned = [each for each in _open_in(db, notice, datasets) if only is None or each.id in only]
            keys = numbers(db, [proposal.id for proposal in concerned])
            said = {"answer": answer, "who": who, "answered_at": now, "note": note}
            db.execute(sa.update(tables.proposal).where(tables.proposal.c.id.in_(keys)).values(**said))
            answered = read_proposals(db, tables.proposal.c.id.in_(keys))
            body = {"notice": notice, "answer": answer, "how": how, "note": note, "policy": told.policy, "copies": _named(db, answered)}
            add_to_chain(db, "answer", body, who, now)
            return answered

    def close_proposals(self, ended: Mapping[int, str], now: dt.datetime) -> None:
        """Close open proposals, each with why it ended."""
        change = sa.update(tables.proposal).where(tables.OPEN, tables.proposal.c.id == sa.bindparam("key"))
        if ended:
            with self.writing.begin() as db:
                rows = [{"key": key, "why": why} for key, why in ended.items()]
                db.execute(change.values(closed_at=now, closed_why=sa.bindparam("why")), rows)


def read_proposals(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Proposal]:
    """Open proposals that fulfil conditions, oldest first."""
    joined = tables.proposal.join(tables.notice).join(tables.copy)
    query = sa.select(tables.proposal, tables.notice.c.policy).select_from(joined).where(tables.OPEN, *conditions)
    return [
        Proposal(
            id=row.id,
            notice=row.notice_id,
            copy=row.copy_id,
            ground=Ground(row.ground),
            policy=row.policy,
            told_at=row.told_at,
            answer=Answer(row.answer),
            who=row.who,
            answered_at=row.answered_at,
            note=row.note,
        )
        for row in db.execute(query.order_by(tables.proposal.c.id))
    ]


def _not_told(db: sa.Connection, copies: Mapping[int, Ground]) -> dict[int, Ground]:
    of_these = tables.proposal.c.copy_id.in_(numbers(db, list(copies)))
    told = set(db.scalars(sa.select(tables.proposal.c.copy_id).where(tables.OPEN, of_these)))
    return {key: ground for key, ground in copies.items() if key not in told}


def _insert_notice(db: sa.Connection, policy_digest: str, now: dt.datetime) -> int:
    row = {"told_at": now, "policy": policy_digest, "copies": 0, "bytes": 0}
    return int(db.execute(sa.insert(tables.notice).values(**row).returning(tables.notice.c.id)).scalar_one())


def _add_to_notice(db: sa.Connection, notice: int, copies: Sequence[int]) -> None:
    joined = tables.copy.join(tables.artifact)
    size = db.scalar(sa.select(sa.func.sum(tables.artifact.c.bytes)).select_from(joined).where(tables.copy.c.id.in_(numbers(db, copies))))
    sums = {"copies": tables.notice.c.copies + len(copies), "bytes": tables.notice.c.bytes + int(size or 0)}
    db.execute(sa.update(tables.notice).where(tables.notice.c.id == notice).values(**sums))


def _known_notice(db: sa.Connection, notice: int, *conditions: sa.ColumnElement[bool]) -> sa.Row[tuple[str]]:
    """A notice's policy; raises NotInCatalogue."""
    found = db.execute(sa.select(tables.notice.c.policy).where(tables.notice.c.id == notice, *conditions)).one_or_none()
    if found is None:
        raise NotInCatalogue("no such notice", on=notice, hint="`coldchain notices` lists those that are open")
    return found


def _open_in(db: sa.Connection, notice: int, datasets: Sequence[str]) -> list[Proposal]:
    """Open proposals of a notice, or of some datasets in it; raises NotInCatalogue where there is none, for any of these."""
    of_notice = tables.proposal.c.notice_id == notice
    for dataset in datasets:
        if not read_proposals(db, of_notice, _of([dataset])):
            raise NotInCatalogue(f"nothing is open in notice {notice} for this dataset", on=dataset, done="nothing was answered")
    found = read_proposals(db, of_notice, *([_of(datasets)] if datasets else []))
    if not found:
        raise NotInCatalogue("nothing is open in this notice", on=notice, done="nothing was answered")
    return found


def _of(datasets: Sequence[str]) -> sa.ColumnElement[bool]:
    joined = tables.artifact.join(tables.dataset)
    return tables.copy.c.artifact_id.in_(sa.select(tables.artifact.c.id).select_from(joined).where(tables.dataset.c.name.in_(datasets)))


def _named(db: sa.Connection, proposals: Sequence[Proposal]) -> list[dict[str, object]]:
    """The copies of proposals, as a receipt lists them."""
    joined = tables.copy.join(tables.artifact).join(tables.dataset)
    columns = (tables.copy.c.id, tables.copy.c.location, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
    of_these = tables.copy.c.id.in_(numbers(db, [proposal.copy for proposal in proposals]))
    rows = db.execute(sa.select(*columns).select_from(joined).where(of_these).order_by(tables.copy.c.id))
    return [{"copy": row.id, "artifact": f"{row.name}/{row.level}@{row.digest}", "location": row.location} for row in rows]
