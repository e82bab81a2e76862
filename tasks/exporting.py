"""Handing images out in other formats."""

from __future__ import annotations

from coldchain.exporting import HandOut, hand_out
from coldchain.forms import ExportForm
from coldchain.imaging.export import export_tiff
from coldchain.levels import Level
from tasks.running import progress, say, work
from tasks.workspace import open_workspace


@work
def hand_out_tiff(form: ExportForm) -> HandOut:
    """Write a dataset's standard images as OME-TIFF at a location, each plane proved."""
    ws = open_workspace()
    artifact, to = ws.current(form.id, Level.STANDARD), form.location or ws.site.roles.scratch
    told = progress(f"OME-TIFF of {form.id}")

    def write(source: str, target: str) -> dict[str, object]:
        return export_tiff(source, target, wells=form.wells, progress=told)

    found = hand_out(ws, artifact, to, "ome-tiff", form.wells, write)
    say(f"{found.location}:{found.path}: {'written' if found.new else 'stands already, nothing to do'}")
    return found
