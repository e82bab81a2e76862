"""What people look at in the Prefect UI: pictures, tables and reports, as Prefect artifacts."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

from prefect import task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import status
from coldchain.errors import NotInCatalogue
from coldchain.gate import GateReport
from coldchain.imaging import correct, heatmap, likeness, measure, partitions, pictures
from coldchain.imaging.imagezarr import image_overlay_sheet, image_sheet
from coldchain.imaging.platezarr import PLATE, plate_info
from coldchain.levels import Level
from coldchain.making import Made, local_folder
from coldchain.report import Report
from tasks import quality_table, sweep_tables
from tasks.recipes import today
from tasks.running import say
from tasks.segmenting import is_collection
from tasks.sweep_html import page_of
from tasks.sweeping import as_markdown, title
from tasks.workspace import open_workspace

Parameters = ParamSpec("Parameters")


def ended(*made: Made | None) -> str:
    """Say in one line what a flow left behind."""
    return "; ".join(f"{each.artifact.label} ({'made' if each.new else 'stood already'})" for each in made if each is not None)


def key(*words: str) -> str:
    """Artifact key: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def showing(draw: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Make a task of a picture; where its data was removed since, say so, and leave the older picture."""

    @functools.wraps(draw)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except NotInCatalogue as error:
            say(f"not drawn again: {error}")

    return task(run, name=f"show {draw.__name__}", cache_policy=NO_CACHE)


@showing
def fields(dataset: str) -> None:
    """Show each field of the standard images."""
    ws = open_workspace()
    folder = local_folder(ws, ws.current(dataset, Level.STANDARD))
    if (folder / PLATE).is_dir():
        channel = plate_info(folder / PLATE).channels[0]
        sheet, what = pictures.thumbnail_sheet(str(folder), channel), f"Fields of {dataset}, channel {channel}"
    else:
        sheet, what = image_sheet(str(folder)), f"Images of {dataset}"
    create_image_artifact(pictures.data_uri(sheet), key=key(dataset, "fields"), description=what)


@showing
def quality(dataset: str) -> None:
    """Show the quality table, the flagged fields first."""
    ws = open_workspace()
    table = quality_table.rows(local_folder(ws, ws.current(dataset, Level.CORRECTED)) / correct.QUALITY)
    flagged = sum(row["flags"] != "" for row in table)
    create_table_artifact(table, key=key(dataset, "quality"), description=f"Quality of {dataset}: {flagged} of {len(table)} images flagged")


@showing
def outlines(dataset: str) -> None:
    """Show the outlines of the nuclei over the images."""
    ws = open_workspace()
    masks = ws.current(dataset, Level.MASKS)
    images = ws.current(dataset, Level.STANDARD if is_collection(ws, dataset) else Level.CORRECTED)
    sheet = _outlines(local_folder(ws, images), local_folder(ws, masks))
    create_image_artifact(pictures.data_uri(sheet), key=key(dataset, "masks"), description=f"Outlines of the nuclei of {dataset}")


def _outlines(images: Path, masks: Path) -> bytes:
    if not (images / PLATE).is_dir():
        return image_overlay_sheet(str(images), str(masks))
    return pictures.plate_overlay_sheet(str(images), str(masks), flagged=measure.flagged_fields(images / correct.QUALITY))


@showing
def plate_map(dataset: str) -> None:
    """Show the number of nuclei of each well on the plate."""
    ws = open_workspace()
    bulk = local_folder(ws, ws.current(dataset, Level.BULK_PROFILES))
    if partitions.tables_of(bulk, partitions.SELECTED):
        _likeness(dataset, bulk)
    for name, values in quality_table.wells(partitions.find(bulk, partitions.WELLS)).items():
        drawn = heatmap.plate_heatmap(values, f"{dataset}: {name}")
        create_image_artifact(pictures.data_uri(drawn), key=key(dataset, "plate", name), description=f"{name} by well of {dataset}")


def _likeness(dataset: str, bulk: Path) -> None:
    """Show how alike wells are, and the replicates of each treatment."""
    drawn = likeness.likeness(partitions.find(bulk, partitions.SELECTED), f"{dataset}: wells alike")
    if drawn is not None:
        about = f"Correlation of the profiles of all wells of {dataset}, treatment by treatment"
        create_image_artifact(pictures.data_uri(drawn), key=key(dataset, "wells", "alike"), description=about)
    if partitions.tables_of(bulk, partitions.REPRODUCIBILITY):
        table = quality_table.replicates(partitions.find(bulk, partitions.REPRODUCIBILITY))
        create_table_artifact(table, key=key(dataset, "replicates"), description=f"How alike the replicates of {dataset} are")


@showing
def gate(dataset: str, reports: Sequence[GateReport]) -> None:
    """Show what the gate says, and each broken rule as a row: expectation, column, count, examples."""
    text = "\n".join(report.markdown() for report in reports)
    create_markdown_artifact(f"# Gate of {dataset}\n\n{text}", key=key(dataset, "gate"), description=f"Validation of {dataset}")
    broken = [row for report in reports for row in report.broken()]
    found = f"What the gate found of {dataset}: {sum(len(report.failures) for report in reports)} failed, {len(broken)} rows in all"
    create_table_artifact(broken, key=key(dataset, "gate-found"), description=found)


@showing
def swept(report: Report) -> None:
    """Show what a sweep did, or would do."""
    about = title(report)
    create_markdown_artifact(as_markdown(report, page_of(report)), key="sweep", description=f"{about}: what it did, and why")
    create_table_artifact(sweep_tables.goes(report), key="sweep-goes", description=f"{about}: what goes")
    create_table_artifact(sweep_tables.falls_due(report), key="sweep-falls-due", description=f"{about}: what falls due in 30 days")
    create_table_artifact(sweep_tables.stands(report), key="sweep-space", description=f"{about}: space by location, level and state")


@showing
def copies(dataset: str | None = None) -> None:
    """Show which artifact stands where, when it was last read back, and what of it counts."""
    ws = open_workspace()
    places = [location.name for location in ws.site.locations]
    histories = {dataset: ws.history(dataset)} if dataset else ws.histories()
    known = status.versions(histories, today(ws, histories.values()))
    table = [
        {
            **({} if dataset else {"dataset": row.dataset}),
            "level": row.level,
            "current": "yes" if row.current else "no",
            "counts": row.counted,
            "wanted": row.wanted,
            "covered": row.protected,
            **{place: row.copies.get(place, "") for place in places},
            "MB": round(row.bytes / 1e6, 2),
            "artifact": row.digest,
            "stale": "; ".join(row.stale),
            "falls due": f"{row.falls_due:%Y-%m-%d %H:%M}" if row.falls_due else "",
        }
        for row in status.rows(ws.ledger(), ws.policy, ws.now(), dataset, known)
    ]
    create_table_artifact(
        table, key=key(dataset or "all", "copies"), description=f"Copies of {dataset or 'everything'}, as the catalogue counts them"
    )
