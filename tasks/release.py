"""The gate and the release package: only what passed becomes a release."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from coldchain.errors import GateFailed
from coldchain.gate import GateReport, require_pass
from coldchain.levels import Level
from coldchain.making import Made, Outcome, Step, make
from coldchain.workspace import Workspace
from tasks.gate import validate_table
from tasks.imaging import BULK, CELLS
from tasks.running import say, work
from tasks.workspace import open_workspace

SUITES = {"single_cell_profiles": CELLS, "bulk_profiles": BULK}


@work
def make_release(dataset: str, version: str) -> tuple[Made | None, list[GateReport]]:
    """Validate the tables and put the release together; where validation fails, nothing is made and the reports say why."""
    ws = open_workspace()
    inputs = (ws.current(dataset, Level.SINGLE_CELL_PROFILES), ws.current(dataset, Level.BULK_PROFILES))
    step = Step("promote", dataset, Level.RELEASE, inputs, {"version": version})
    reports: list[GateReport] = []

    def run(folders: list[Path], target: Path) -> Outcome:
        tables = dict(zip(SUITES.items(), folders, strict=True))
        for (suite, file), folder in tables.items():
            reports.append(validate_table(folder / file, suite, target / "validation" / suite, context=gate_context(ws, dataset)))
            shutil.copyfile(folder / file, target / file)
        _keep_docs_of_failure(ws, dataset, target, reports)
        for report in reports:
            require_pass(report, on=f"{dataset}, table {report.suite}")
        (target / "README.md").write_text(_readme(ws, dataset, version, reports), encoding="utf-8")
        return Outcome(findings={"gate": [report.model_dump(mode="json") for report in reports]})

    try:
        made = make(ws, step, run)
    except GateFailed as error:
        say(str(error))
        return None, reports
    say(f"{made.artifact.label}: {'promoted' if made.new else 'stands already, nothing to do'}")
    return made, [GateReport.model_validate(each) for each in made.findings["gate"]]


def gate_context(ws: Workspace, dataset: str) -> dict[str, Any]:
    """What the gate may compare a table with: the plate's wells and channels, and the nuclei in the masks."""
    masks = ws.catalogue.activity(ws.current(dataset, Level.MASKS).activity)
    fields = [dict(field) for field in masks.findings["fields"]]
    channels = list(ws.catalogue.dataset(dataset).channels.values())
    return {"wells": sorted({field["well"] for field in fields}), "channels": channels, "fields": fields}


def failure_docs(ws: Workspace, dataset: str) -> Path:
    """Folder where the Data Docs of a failed validation are kept."""
    return ws.site.path("reports") / dataset / "validation"


def _keep_docs_of_failure(ws: Workspace, dataset: str, target: Path, reports: list[GateReport]) -> None:
    if not all(report.passed for report in reports):
        kept = failure_docs(ws, dataset)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(target / "validation", kept)


def _readme(ws: Workspace, dataset: str, version: str, reports: list[GateReport]) -> str:
    described = ws.catalogue.dataset(dataset)
    project = ws.catalogue.project(described.project)
    masks = ws.catalogue.activity(ws.current(dataset, Level.MASKS).activity)
    checks = "\n".join(
        f"- `{each.suite}` version {each.version}: {each.rows} rows, {each.checks} checks, {len(each.warnings)} warnings"
        for each in reports
    )
    return (
        f"# {dataset}, release {version}\n\n"
        f"{project.title or 'Untitled project'}. Origin of the data: {project.origin}.\n\n"
        f"- `{CELLS}`: one row a nucleus (`Metadata_*` says which, `Nuclei_*` are measurements)\n"
        f"- `{BULK}`: one row a well\n- `validation/`: the Great Expectations reports, begin with `index.html`\n\n"
        f"Channels: {', '.join(described.channels.values())}. "
        f"Nuclei were outlined by {masks.model['name']} ({masks.model['digest'][:12]}).\n\n"
        f"Validated:\n\n{checks}\n"
    )
