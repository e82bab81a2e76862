"""The gate's pages: the static site of Great Expectations, made to stand alone.

As built, its pages fetch their style, scripts and logo from a dozen hosts, carry the time of the run, and need a script to show their
index. A lab's release is read years later and offline: here they get a style of their own and an index that needs no script.
"""

from __future__ import annotations

import re
import shutil
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.errors import InputError
from coldchain.gate import failure_mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.data_context.types.base import DataContextConfig

    from coldchain.gate import Acceptance, Failure, GateReport

_MARK = '<meta name="generator" content="coldchain gate">'
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
_STYLE_LINK = re.compile(r"<link\b[^>]*>")
_IMAGE = re.compile(r"<img\b[^>]*>")
_FILTER = re.compile(
    r'<div class="card mb-3">\s*<div class="card-header p-2">\s*<strong>Actions<.*?(?=<div class="card d-md-block)', re.DOTALL
)
_TRACEBACK = re.compile(r"<code\b[^>]*>\s*Traceback.*?</code>", re.DOTALL)  # it holds this machine's paths
_FETCHED_STYLE = re.compile(r"url\(['\"]?https?://[^)]*\)")
_ABROAD = re.compile(r'<a\b[^>]*href="https?://[^>]*>(.*?)</a>', re.DOTALL)
_TIME = re.compile(
    r"(/ gate / |Run Time.*?|ge_load_time.*?)(?:\d{8}T\d{6}\.\d{6}Z|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))", re.DOTALL
)
_RANDOM = re.compile(r"(?<=collapse-body-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def staging_of(docs: Path) -> Path:
    """Return the folder beside `docs` in which the site is built; raises InputError where `docs` holds something that is not ours."""
    if docs.is_symlink() or (docs.exists() and not _is_ours(docs)):
        raise InputError("the folder for the pages holds something else", on=docs, expected="nothing, or an earlier site of the gate")
    return docs.with_name(f".{docs.name}.building")


def site_settings(target: Path) -> DataContextConfig:
    """Return the settings of a context in memory: pages into `target`, no telemetry, no progress bars; `target` is emptied."""
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(target.absolute())}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": store}
    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"gate": site},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )


def show_as_text(context: EphemeralDataContext) -> None:
    """Escape what tables hold, and columns as headings, before pages are built: the library writes them into its pages as they are.

    A cell's `<meta http-equiv=refresh …>` would lead a reader elsewhere, and its `<!--` would hide every failure below it.
    """
    from great_expectations import ExpectationSuite

    results, suites = context.validation_results_store, context.expectations_store
    for key in results.list_keys():
        said = results.get(key)
        for each in said.results:
            each.result, each.exception_info = _as_text(each.result), _as_text(each.exception_info)
            _head_as_text(each.expectation_config.kwargs)
        results.set(key, said)
    for key in suites.list_keys():
        asked = suites.get(key)
        for each in asked["expectations"]:
            _head_as_text(each.kwargs)
        suites.set(key, ExpectationSuite(**asked))


def _head_as_text(arguments: dict[str, Any]) -> None:
    if "column" in arguments:
        arguments["column"] = escape(arguments["column"])


def _as_text(value: Any) -> Any:
    """A value with every text in it escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {_as_text(name): _as_text(each) for name, each in value.items()}
    return [_as_text(each) for each in value] if isinstance(value, list | tuple) else value


def publish(said: GateReport, docs: Path) -> None:
    """Make the site that was built beside `docs` stand alone, put the report in front as `index.html`, and rename it into place."""
    built = staging_of(docs)
    pages = {_page_name(page.relative_to(built)): _settle(page.read_text("utf-8")) for page in _pages(built)}
    shutil.rmtree(built)
    built.mkdir()
    pages["index.html"] = _index(said, sorted(pages))
    for name, text in pages.items():
        (built / name).write_text(text, "utf-8")
    if docs.exists():
        shutil.rmtree(docs)
    built.rename(docs)


def _is_ours(docs: Path) -> bool:
    if not docs.is_dir():
        return False
    index = docs / "index.html"
    return not any(docs.iterdir()) or (index.is_file() and _MARK in index.read_text("utf-8", errors="replace"))


def _pages(built: Path) -> list[Path]:
    return sorted(page for folder in ("validations", "expectations") for page in (built / folder).rglob("*.html"))


def _page_name(page: Path) -> str:
    """Name a page by what it shows: the library's own path holds the time of the run, and a stem of source and table."""
    return f"answers-{page.stem.split('-')[-1]}.html" if page.parts[0] == "validations" else f"rules-{page.name}"


def _settle(text: str) -> str:
    """Return a page without scripts, hosts, times and random names; the same answers give the same page."""
    for fetched in (_SCRIPT, _STYLE_LINK, _IMAGE, _FILTER, _TRACEBACK, _FETCHED_STYLE):
        text = fetched.sub("", text)
    text = _ABROAD.sub(r"\1", text)
    text = re.sub(r'href="(?:\.\./)+expectations/([^"/]+)"', r'href="rules-\1"', text)
    text = re.sub(r'href="(?:\.\./)*index\.html"', 'href="index.html"', text)
    text = _TIME.sub(r"\1", text)
    return _numbered(text).replace("<head>", f"<head>{_head()}", 1)


def _head() -> str:
    """Return what each page begins with: no script may run and nothing is fetched, whatever a table holds."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    style = files("tasks").joinpath("datadocs.css").read_text("utf-8")
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">{_MARK}<style>\n{style}</style>'


def _numbered(text: str) -> str:
    numbers: dict[str, str] = {}
    return _RANDOM.sub(lambda found: numbers.setdefault(found.group(), f"n{len(numbers) + 1}"), text)


def _index(said: GateReport, pages: list[str]) -> str:
    verdict = "passed" if said.passed else "did not pass"
    links = "".join(f'<li><a href="{escape(page)}">{escape(page.removesuffix(".html").replace("-", " "))}</a></li>' for page in pages)
    return "\n".join(
        [
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{_head()}<title>Gate: {verdict}</title></head><body>',
            f'<h1 class="{"passed" if said.passed else "failed"}">The gate {verdict}</h1>',
            f"<p>{said.rows} rows, {said.checks} checks of {escape(said.suite)} version {said.version}</p>",
            _table("Why it did not pass", said.failures),
            _accepted(said.accepted),
            _table("Worth a look", said.warnings),
            _left_out(said.left_out),
            f"<h2>Every check, as Great Expectations shows it</h2><ul>{links}</ul></body></html>",
        ]
    )


def _table(title: str, found: tuple[Failure, ...]) -> str:
    if not found:
        return ""
    return _drawn(title, ("column", "rule", "what was found", "for example", "mark"), (_cells(failure) for failure in found))


def _accepted(found: tuple[Acceptance, ...]) -> str:
    """Return what a person accepted, by whom, how that was established, when and why."""
    if not found:
        return ""
    rows = (
        (*_cells(each.failure)[:4], escape(f"{each.who} ({each.how}), {each.at:%Y-%m-%d %H:%M} UTC"), escape(each.reason)) for each in found
    )
    return _drawn("Accepted by a person", ("column", "rule", "what was found", "for example", "accepted by", "why"), rows)


def _left_out(found: tuple[str, ...]) -> str:
    return f"<h2>Left out</h2><ul>{''.join(f'<li>{escape(each)}</li>' for each in found)}</ul>" if found else ""


def _drawn(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    drawn = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{title}</h2><table class='table'><tr><th>{'<th>'.join(head)}</tr>{drawn}</table>"


def _cells(failure: Failure) -> tuple[str, ...]:
    examples = "<br>".join(escape(example) for example in failure.examples)
    return escape(failure.column or "(table)"), escape(failure.says), escape(failure.found), examples, failure_mark(failure)
