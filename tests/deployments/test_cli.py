"""The command, where things are not as they should be: plain words, exit codes, and nothing harmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import deployments
from deployments.cli import app
from tasks.workspace import open_workspace


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The demo's site, registered and empty."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    open_workspace(tmp_path / "site.yaml").register()
    return tmp_path / "site.yaml"


def run(*words: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_site_that_is_wrong_is_named_by_file_line_and_field(site: Path) -> None:
    """No stack trace: the file, the line, the field, and what is wrong with it."""
    site.write_text(site.read_text().replace("medium: tape", "medium: papyrus"))
    result = run("status", "--site", site)
    line = next(number for number, text in enumerate(site.read_text().splitlines(), 1) if "papyrus" in text)
    assert result.exit_code == 1
    assert f"site.yaml:{line}: locations.2.medium" in result.output
    assert "Traceback" not in result.output


def test_errors_are_json_where_json_is_asked_for(site: Path) -> None:
    """A program that asks gets the kind of error and its message."""
    result = run("why", site, "--site", site, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["error"] == "NotInCatalogue"


def test_a_hold_without_reason_or_day_is_refused(site: Path) -> None:
    """A hold that says neither why nor until when is not kept."""
    assert run("hold", "PRJ-0001/X", "--site", site).exit_code != 0
    assert run("hold", "PRJ-0001/X", "--reason", "r", "--until", "2099-01-01", "--site", site).exit_code == 1
    assert json.loads(run("status", "--site", site, "--json").output)["holds"] == []


def test_the_doctor_finds_a_location_that_is_not_mounted(site: Path) -> None:
    """An empty mount point is not the NAS: the doctor says so, and with exit code 1."""
    shutil.rmtree(site.parent / "nas")
    (site.parent / "nas").mkdir()
    result = run("doctor", "--site", site, "--json")
    wrong = [finding for finding in json.loads(result.output) if not finding["ok"]]
    assert result.exit_code == 1
    assert [finding["what"] for finding in wrong] == ["nas: identity"]
    assert "mount it" in wrong[0]["hint"]


def test_the_heartbeat_is_the_last_sweep(site: Path) -> None:
    """`doctor --heartbeat` looks at nothing else: exit code 1 and one plain line until a sweep that was no dry run has ended."""
    shutil.rmtree(site.parent / "nas")
    assert run("sweep", "--site", site).exit_code == 0
    missing = run("doctor", "--heartbeat", "--site", site, "--json")
    assert missing.exit_code == 1
    assert [finding["what"] for finding in json.loads(missing.output)] == ["heartbeat"]
    assert run("sweep", "--remove", "--site", site).exit_code == 0
    assert run("doctor", "--heartbeat", "--hours", "1", "--site", site).exit_code == 0


def test_the_doctor_does_not_take_another_medium_for_a_location(site: Path) -> None:
    """`--register` gives no second identity to a location that was registered as another medium."""
    shutil.rmtree(site.parent / "nas" / ".coldchain")
    result = run("doctor", "--register", "--site", site)
    assert result.exit_code == 1
    assert "not the store it was" in result.output


def test_the_sweep_removes_nothing_unless_it_is_told_to(site: Path) -> None:
    """`coldchain sweep` is a dry run; on an empty site it finds nothing to do."""
    report = json.loads(run("sweep", "--site", site, "--json").output)
    assert report["dry_run"] is True
    assert report["removed"]["count"] == 0
    assert run("sweep", "--remove", "--site", site).exit_code == 0


def test_clean_refuses_a_folder_that_is_no_demo(tmp_path: Path) -> None:
    """Only a demo is thrown away."""
    (tmp_path / "precious").write_text("data")
    result = run("demo", "--clean", "--folder", tmp_path)
    assert result.exit_code == 1
    assert (tmp_path / "precious").read_text() == "data"


def test_clean_throws_a_demo_away(site: Path) -> None:
    """The demo's whole folder goes, and only that."""
    assert run("demo", "--clean", "--folder", site.parent).exit_code == 0
    assert not site.parent.exists()


def test_the_storage_table_is_printed(site: Path) -> None:
    """Each row with its limits, its cost and its source; the site's own rows stand for the built-in ones."""
    words = ", ".join(f"{name}: x" for name in ("longevity", "versioning", "access", "speed", "cost", "source"))
    site.write_text(f"{site.read_text()}\nsolutions:\n  zenodo: {{title: Ours, {words}, looked_up: 2026-11-02}}\n")
    shown = run("solutions", "--site", site)
    assert shown.exit_code == 0
    assert "largest file 0.104858 GB" in shown.output
    assert "Ours" in shown.output
    rows = json.loads(run("solutions", "--site", site, "--json").output)
    assert rows["zenodo"]["title"] == "Ours"
    assert rows["figshare"]["deposit_bytes"] == 20_000_000_000
    assert run("solutions", "--site", site.with_name("none.yaml")).exit_code == 0
