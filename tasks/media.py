"""Disks and tapes that are taken away, as tasks: checked in, checked out, and shown."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import shelving
from coldchain.media import State
from coldchain.shelving import Looked
from tasks.running import work
from tasks.show import key
from tasks.sweep_media import day
from tasks.workspace import open_workspace

SHOWN = 500


@work
def check_in(location: str, place: str) -> str:
    """Write down where a medium goes that is put in; raises InputError where it is not the right one."""
    return checked_in(shelving.check_in(open_workspace(), location, place))


@work
def check_out(location: str, holder: str, short: Sequence[str], *, lost: bool, dry_run: bool) -> str:
    """Write down who has a medium, or that it is lost, unless it is a dry run; says what is short of copies then."""
    if dry_run:
        return f"Dry run, nothing was written down: without {location} {short_of(short)}"
    found = shelving.check_out(open_workspace(), location, holder, lost=lost)
    return f"{location} is {found}; {short_of(short)}"


@task(cache_policy=NO_CACHE)
def show_short(location: str) -> list[str]:
    """Show what would be short of copies without a medium; raises InputError where there is no such one."""
    found = shelving.short_without(open_workspace(), location)
    rows = [{"artifact": name, "would lack": "; ".join(reasons)} for name, reasons in found.items()]
    create_table_artifact(rows[:SHOWN], key=key("without", location), description=f"Without {location} {short_of(list(found))}")
    return list(found)


@task(cache_policy=NO_CACHE)
def show_media() -> None:
    """Show every medium, where it is, and by when it has to be read again."""
    rows = [row(each) for each in shelving.look(open_workspace())]
    create_table_artifact(rows, key="media", description="Disks and tapes that are taken away")


def checked_in(found: Looked) -> str:
    """What a check-in means, in one line."""
    if found.where.state is State.IN:
        return f"{found.location} is put in, and stays here"
    until = f", and what is on it counts until {day(found.counts_until)}" if found.counts_until else ""
    return f"{found.location} is {found.where}{until}" + ("; unmount it, and take it there" if found.here else "")


def short_of(names: Sequence[str]) -> str:
    """How much has too few copies, and the first of it."""
    if not names:
        return "nothing more falls short of copies"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} more fall short of copies: {', '.join(names[:3])}{more}"


def row(found: Looked) -> dict[str, str]:
    """A medium as a line of a table."""
    where = found.where
    return {
        "location": found.location,
        "label": found.label,
        "barcode": found.barcode,
        "state": f"{where.state}, another is put in" if found.other else f"{where.state}, put in" if found.here else str(where.state),
        "place": where.place,
        "who has it": where.holder,
        "since": day(where.since),
        "last seen": day(where.seen_at) if where.seen_at else "",
        "oldest reading": day(found.read_at) if found.read_at else "",
        "read again by": day(found.read_again) if found.read_again else "",
        "counts until": day(found.counts_until) if found.counts_until and not where.gone else "",
    }
