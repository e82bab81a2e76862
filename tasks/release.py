"""The gate and the release package: only what passed becomes a release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain.accepting import acceptances, note
from coldchain.copies import Artifact
from coldchain.errors import GateFailed, IntegrityError
from coldchain.gate import Acceptance, GateReport, require_pass
from coldchain.imaging import partitions
from coldchain.levels import Level
from coldchain.literal import literal
from coldchain.making import Made, Outcome, Step, make
from coldchain.manifest import MANIFEST
from coldchain.rerunning import manifest_here
from coldchain.workspace import Workspace
from tasks.gate import Word, summarise, validate_table
from tasks.running import say, work
from tasks.workspace import open_workspace


@dataclass(frozen=True)
class Judged:
    """A table that the gate judges: by which suite, of which level's artifact, by which name there, and whether it may be absent."""

    suite: str
    level: Level
    table: str
    needed: bool = False


TABLES = (
    Judged("single_cell_profiles", Level.SINGLE_CELL_PROFILES, partitions.CELLS, needed=True),
    Judged("embeddings", Level.SINGLE_CELL_PROFILES, partitions.EMBEDDINGS),
    Judged("bulk_profiles", Level.BULK_PROFILES, partitions.WELLS, needed=True),
    Judged("wells_normalized", Level.BULK_PROFILES, partitions.NORMALIZED),
    Judged("wells_selected", Level.BULK_PROFILES, partitions.SELECTED),
    Judged("treatments", Level.BULK_PROFILES, partitions.TREATMENTS),
    Judged("reproducibility", Level.BULK_PROFILES, partitions.REPRODUCIBILITY),
)
"""Tables of a release, in the order in which they are judged."""

LEVELS = (Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES)
EARLIER = 20
"""Earlier plates of the project, the newest ones, that drift is told by."""


@work
def make_release(dataset: str, version: str) -> tuple[Made | None, list[GateReport]]:
    """Validate the tables and put the release together; where validation fails, nothing is made and the reports say why."""
    ws = open_workspace()
    inputs = {level: ws.current(dataset, level) for level in LEVELS}
    step = Step("promote", dataset, Level.RELEASE, tuple(inputs.values()), {"version": version})
    reports: list[GateReport] = []

    def run(folders: list[Path], target: Path) -> Outcome:
        held = {level: _taken(inputs[level], folder, target / level) for level, folder in zip(LEVELS, folders, strict=True)}
        context = gate_context(ws, dataset)
        found = judge_tables(held, {level: each.id for level, each in inputs.items()}, target, context, acceptances(ws, dataset))
        reports.extend(report for _, report in found)
        note(ws, dataset, found)
        _keep_docs_of_failure(ws, dataset, target, reports)
        for report in reports:
            require_pass(report, on=f"{dataset}, table {report.suite}")
        (target / "README.md").write_text(_readme(ws, dataset, version, reports), encoding="utf-8")
        _write_accepted(target, reports)
        wells = partitions.find(held[Level.BULK_PROFILES], partitions.WELLS)
        kept = summarise(wells, dataset, "bulk_profiles", context=context)
        return Outcome(findings={"gate": [report.model_dump(mode="json") for report in reports], "summary": kept.model_dump(mode="json")})

    try:
        made = make(ws, step, run)
    except GateFailed as error:
        say(str(error))
        return None, reports
    say(f"{made.artifact.label}: {'promoted' if made.new else 'stands already, nothing to do'}")
    return made, [GateReport.model_validate(each) for each in made.findings["gate"]]


def _taken(artifact: Artifact, folder: Path, target: Path) -> Path:
    """Copy tables into the release before they are judged; raises IntegrityError where they are not the bytes that the artifact names."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(MANIFEST))
    if (got := manifest_here(target).digest) != artifact.digest:
        raise IntegrityError(
            "tables are not what was made",
            on=artifact.label,
            expected=artifact.digest,
            got=got,
            done="nothing was promoted",
            hint="`audit` or `coldchain verify` finds the damaged copy, `repair` mends it",
        )
    return target


def judge_tables(
    held: Mapping[Level, Path], artifacts: Mapping[Level, str], target: Path, context: Mapping[str, Any], accepted: Sequence[Acceptance]
) -> list[tuple[str, GateReport]]:
    """Hold every table of a plate's profiles against its suite; each report with its artifact. Raises LayoutError where one is missing."""
    found = []
    for each in TABLES:
        there = partitions.tables_of(held[each.level], each.table)
        if there or each.needed:
            parquet = partitions.find(held[each.level], each.table)
            word = Word(artifacts[each.level], accepted)
            found.append((word.table, validate_table(parquet, each.suite, target / "validation" / each.suite, context=context, word=word)))
    return found


def gate_context(ws: Workspace, dataset: str) -> dict[str, Any]:
    """What the gate may compare a table with: the plate's wells, channels and map, the nuclei in the masks, and earlier plates."""
    masks, described = ws.catalogue.activity(ws.current(dataset, Level.MASKS).activity), ws.catalogue.dataset(dataset)
    fields = [dict(field) for field in masks.findings["fields"]]
    return {
        "wells": sorted({field["well"] for field in fields}),
        "channels": list(described.channels.values()),
        "fields": fields,
        "plate_map": described.plate_map,
        "earlier": earlier_plates(ws, dataset),
    }


def earlier_plates(ws: Workspace, dataset: str) -> list[Mapping[str, Any]]:
    """Summaries of the project's other plates, as their newest releases left them; the newest plates first."""
    project = dataset.split("/", 1)[0]
    newest = {each.dataset: each for each in ws.catalogue.artifacts(level=Level.RELEASE) if each.dataset.startswith(f"{project}/")}
    newest.pop(dataset, None)
    latest = sorted(newest.values(), key=lambda each: each.made_at, reverse=True)[:EARLIER]
    findings = [ws.catalogue.activity(each.activity).findings for each in latest]
    return [each["summary"] for each in findings if "summary" in each]


def failure_docs(ws: Workspace, dataset: str) -> Path:
    """Folder where the Data Docs of a failed validation are kept."""
    return ws.site.path("reports") / dataset / "validation"


def _keep_docs_of_failure(ws: Workspace, dataset: str, target: Path, reports: list[GateReport]) -> None:
    if not all(report.passed for report in reports):
        kept = failure_docs(ws, dataset)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(target / "validation", kept)


def _write_accepted(target: Path, reports: Sequence[GateReport]) -> None:
    """Write what people accepted beside the pages of the gate, where they accepted something."""
    if accepted := [each.model_dump(mode="json") for report in reports for each in report.accepted]:
        (target / "validation" / "accepted.json").write_text(json.dumps(accepted, indent=2) + "\n", encoding="utf-8")


def _readme(ws: Workspace, dataset: str, version: str, reports: list[GateReport]) -> str:
    described = ws.catalogue.dataset(dataset)
    project = ws.catalogue.project(described.project)
    masks = ws.catalogue.activity(ws.current(dataset, Level.MASKS).activity)
    checks = "\n".join(
        f"- `{each.suite}` version {each.version}: {each.rows} rows, {each.checks} checks, {len(each.warnings)} warnings"
        + (f", {len(each.left_out)} rules left out" if each.left_out else "")
        for each in reports
    )
    words = "".join(f"- `{report.suite}`: {literal(each.message)}\n" for report in reports for each in report.accepted)
    accepted = f"\nAccepted by a person, who said why (`validation/accepted.json`):\n\n{words}" if words else ""
    return (
        f"# {dataset}, release {version}\n\n"
        f"{literal(project.title) or 'Untitled project'}. Origin of the data: {project.origin}.\n\n"
        f"- `single_cell_profiles/{partitions.CELLS}`: one row a nucleus (`Metadata_*` says which, `Nuclei_*` are measurements)\n"
        f"- `bulk_profiles/{partitions.WELLS}`: one row a well\n"
        f"- `validation/`: the Great Expectations reports, begin with `index.html`\n\n"
        f"Channels: {literal(', '.join(described.channels.values()))}. "
        f"Nuclei were outlined by {masks.model['name']} ({masks.model['digest'][:12]}).\n\n"
        f"Validated:\n\n{checks}\n{accepted}"
    )
