"""Old against new after a reprocessing: what is compared, and what people look at before they choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from coldchain.copies import Artifact
from coldchain.errors import ColdchainError
from coldchain.files import write_durably
from coldchain.imaging import partitions, pictures
from coldchain.imaging.comparison import MasksComparison, compare_masks
from coldchain.imaging.comparison_tables import Correlation, correlate, read_profiles
from coldchain.levels import Level
from coldchain.making import local_folder
from coldchain.provenance import Activity
from coldchain.workspace import Workspace
from tasks.comparison_html import Page, Pair, as_html, as_markdown
from tasks.planning_reprocess import changes
from tasks.reprocessing import Done
from tasks.running import in_run, progress, say, work
from tasks.show import key
from tasks.workspace import open_workspace

FOLDER = "reports"
PAIRS = 6
"""Fields that are shown side by side."""

SHOWN = 500


@dataclass
class _Compared:
    """What could be compared, and why something could not be."""

    masks: MasksComparison | None = None
    profiles: Correlation | None = None
    picture: bytes = b""
    notes: list[str] = field(default_factory=list)


@work
def compare(done: Done) -> str:
    """Hold what was made beside against what is current, leave a report, and show it; says in one line what differs."""
    return report(open_workspace(), done)


def report(ws: Workspace, done: Done) -> str:
    """The same, outside of a run, too; the report is one HTML file below `reports`, beside the site file."""
    if not done.other:
        said = f"{done.dataset}: what was made has the same bytes as what is current"
        say(said)
        return said
    found = _compared(ws, done)
    page = Page(done.dataset, _pairs(ws, done), found.masks, found.profiles, found.picture, tuple(found.notes))
    name = f"{FOLDER}/{done.dataset}/comparison-{next(iter(done.other.values())).digest[:12]}.html"
    target = ws.site.path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_durably(target, as_html(page).encode())
    say(f"{page.headline}; report: {name}")
    if in_run():
        _show(page, name)
    return f"{page.headline}; report: {name}"


def _compared(ws: Workspace, done: Done) -> _Compared:
    found = _Compared()
    _try(found, "masks", lambda: _masks(ws, done, found))
    _try(found, "bulk profiles", lambda: _profiles(ws, done, found))
    return found


def _try(found: _Compared, what: str, compare_: Callable[[], None]) -> None:
    """Compare, or note why that cannot be: a report of the rest is better than none."""
    try:
        compare_()
    except ColdchainError as error:
        found.notes.append(f"The {what} could not be compared: {error.what} ({error.on}).")


def _masks(ws: Workspace, done: Done, found: _Compared) -> None:
    if Level.MASKS not in done.other or Level.MASKS not in done.old:
        found.notes.append("The masks are the same.")
        return
    old, new = (str(local_folder(ws, each[Level.MASKS])) for each in (done.old, done.new))
    found.masks = compare_masks(old, new, progress(f"objects of {done.dataset}"))
    worst = [(each.well, each.field, f"{each.old} to {each.new}, {each.matched} match") for each in found.masks.worst[:PAIRS]]
    if worst:
        images = local_folder(ws, {**done.old, **done.new}[Level.CORRECTED])
        found.picture = pictures.pair_sheet(str(images), old, new, worst, title=f"{done.dataset}: old (left) and new")


def _profiles(ws: Workspace, done: Done, found: _Compared) -> None:
    if Level.BULK_PROFILES not in done.other or Level.BULK_PROFILES not in done.old:
        found.notes.append("The bulk profiles are the same.")
        return
    tables = (partitions.find(local_folder(ws, each[Level.BULK_PROFILES]), partitions.WELLS) for each in (done.old, done.new))
    found.profiles = correlate(*(read_profiles(Path(table)) for table in tables))


def _pairs(ws: Workspace, done: Done) -> tuple[Pair, ...]:
    return tuple(_pair(ws, level, done.old.get(level), new) for level, new in done.other.items())


def _pair(ws: Workspace, level: Level, old: Artifact | None, new: Artifact) -> Pair:
    now = ws.catalogue.activity(new.activity)
    before = ws.catalogue.activity(old.activity) if old else None
    return Pair(str(level), old.digest[:12] if old else "", new.digest[:12], _how(before, now), new.bytes - old.bytes if old else new.bytes)


def _how(before: Activity | None, now: Activity) -> str:
    """What was done otherwise: parameters, and versions of the code."""
    then: Mapping[str, Any] = before.parameters if before else {}
    said = list(changes(then, now.parameters))
    if before and before.code_version != now.code_version:
        said.append(f"coldchain {before.code_version} → {now.code_version}")
    return ", ".join(said) or "other inputs"


def _show(page: Page, name: str) -> None:
    create_markdown_artifact(as_markdown(page, name), key=key(page.dataset, "comparison"), description=page.headline)
    if page.masks is not None:
        wells = [{"well": well, "old": old, "new": new, "change": new - old} for well, (old, new) in page.masks.wells.items()]
        create_table_artifact(wells[:SHOWN], key=key(page.dataset, "comparison-wells"), description=f"Objects by well of {page.dataset}")
    if page.profiles is not None:
        rows = [{"feature": name, "correlation": _round(value)} for name, value in _lowest(page.profiles.features)]
        create_table_artifact(
            rows[:SHOWN], key=key(page.dataset, "comparison-features"), description=f"Correlation by feature of {page.dataset}"
        )
    if page.picture:
        uri = pictures.data_uri(page.picture)
        create_image_artifact(uri, key=key(page.dataset, "comparison-fields"), description=f"Fields of {page.dataset} that differ most")


def _lowest(values: Mapping[str, float | None]) -> list[tuple[str, float | None]]:
    return sorted(values.items(), key=lambda item: (np.inf if item[1] is None else item[1], item[0]))


def _round(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)
