"""`coldchain notices`, `approve`, `refuse`, `override` and `approver`, as a person types them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import deployments
from coldchain import accepting, making
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.gate import Failure, Severity, report
from coldchain.levels import Level
from coldchain.overrides import Check
from coldchain.policy import Ground
from coldchain.protection import release
from coldchain.suite import load_suite
from coldchain.workspace import Workspace
from deployments import cli_accept, cli_approve
from tasks import approving as at_work
from tasks.workspace import open_workspace

ME = pwd.getpwuid(os.getuid()).pw_name
DATASET = "PRJ-0001/PLATE-A"
app = typer.Typer()
cli_approve.add(app)
cli_accept.add(app)


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The demo's site, with one raw copy on the NAS that notice 1 tells of."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    space = open_workspace()
    space.register()
    space.catalogue.save_project(Project(id="PRJ-0001"))
    space.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    folder = tmp_path / "acquisition" / "PLATE-A"
    folder.mkdir(parents=True)
    (folder / "a.tif").write_text("pixels")
    making.take_in(space, making.Step("ingest", DATASET, Level.RAW), folder, "nas", no_progress)
    (copy,) = space.catalogue.copies()
    space.catalogue.propose([(copy.id, Ground.LIFETIME)], space.policy.digest, space.now())
    yield space
    release(tmp_path)
    space.catalogue.close()


def run(*words: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def name_approver(ws: Workspace, name: str) -> None:
    """Let the policy name one approver."""
    with ws.site.path("policy.yaml").open("a") as policy:
        policy.write(f"\napprovers: [{name}]\n")


def test_open_notices_are_listed_and_shown(ws: Workspace) -> None:
    """A number, when, how many; with the number each copy, its ground, when it may go, and the reasons."""
    assert run("notices").output.startswith("notice 1, told ")
    assert json.loads(run("notices", "--json").output)[0]["open"] == 1
    shown = run("notices", 1).output
    assert f"{DATASET}/raw@" in shown
    assert "on the ground lifetime" in shown
    assert "nobody answered" in shown
    (copy,) = json.loads(run("notices", 1, "--json").output)
    assert (copy["dataset"], copy["answer"]) == (DATASET, "none")
    ws.catalogue.close_proposals({each.id: "test" for each in ws.catalogue.proposals()}, ws.now())
    assert run("notices").output == "No notice is open.\n"
    assert run("notices", 1).exit_code == 1


def test_who_answers_is_the_operating_systems_user(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """`approve` and `refuse` write down the user that runs them, whatever $USER says; the latest counts."""
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("LOGNAME", "ada")
    name_approver(ws, ME)
    assert run("approve", 1, "--note", "seen").output.startswith(f"{ME} said yes to 1 copies")
    assert json.loads(run("refuse", 1, "--dataset", DATASET, "--json").output)["answer"] == "no"
    said = [(each["who"], each["answer"], each["note"]) for each in ws.catalogue.receipts("answer")]
    assert said == [(ME, "yes", "seen"), (ME, "no", "")]
    assert f"uid {os.getuid()} {ME}@" in ws.catalogue.last_receipt("answer")["how"]


def test_who_is_no_approver_is_refused(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 1 and plain words; an approver's name in the environment does not help."""
    name_approver(ws, "ada")
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "ada")
    result = run("approve", 1)
    assert result.exit_code == 1
    assert f"{ME} may not answer for all of notice 1" in result.output
    assert "Traceback" not in result.output
    assert ws.catalogue.receipts("answer") == []


def test_a_dataset_that_is_not_told_of_is_refused(ws: Workspace) -> None:
    """A misspelt dataset, or an empty one, is not the whole notice."""
    for dataset in ("PRJ-0001/PLATE-B", ""):
        result = run("approve", 1, "--dataset", dataset)
        assert result.exit_code == 1
        assert "nothing is open in notice 1" in result.output
    assert ws.catalogue.receipts("answer") == []


def test_an_override_takes_two_people(ws: Workspace) -> None:
    """Asked for, listed as not counting, refused to the one who asked, approved for another one's, ended."""
    assert run("override", "list").output == "No override.\n"
    added = run("override", "add", DATASET, "--check", "off_site", "--until", "2099-01-01", "--reason", "the archive is closed")
    assert "Override 1 waits" in added.output
    assert "does not count" in run("override", "list").output
    refused = run("override", "approve", 1)
    assert refused.exit_code == 1
    assert "a second person has to approve" in refused.output
    other = ws.catalogue.add_override(DATASET, Check.COPIES, "because", "ada", ws.now().date(), ws.now())
    assert f"approved by {ME}" in run("override", "approve", other.id).output
    assert [each["approved_by"] for each in json.loads(run("override", "list", "--json").output)] == ["", ME]
    assert run("override", "end", 1).output == "Override 1 has ended.\n"
    assert [each.id for each in ws.catalogue.overrides()] == [other.id]
    assert ws.catalogue.last_receipt("override")["who"] == ME


def test_no_override_is_of_all_checks(ws: Workspace) -> None:
    """Only one of the policy's own words is taken."""
    result = run("override", "add", DATASET, "--check", "all", "--until", "2099-01-01", "--reason", "r")
    assert result.exit_code == 2
    assert ws.catalogue.overrides() == []


@pytest.mark.server
def test_a_key_is_printed_once_and_alone(ws: Workspace, prefect_server: object) -> None:
    """The address is the only line on standard output, so that it can be piped into a program that draws it; it is not kept."""
    from prefect.blocks.system import Secret

    del prefect_server
    result = run("approver", "add", "ada")
    assert result.stdout.startswith("otpauth://totp/Coldchain%20demo:ada?secret=")
    assert result.stdout.count("\n") == 1
    again = run("approver", "add", "ada")
    assert again.exit_code == 1
    assert "otpauth" not in again.output
    assert ws.catalogue.last_receipt("approver")["who"] == ME
    assert run("approver", "remove", "ada").output == "ada has no key any more.\n"
    assert run("approver", "remove", "ada").exit_code == 1
    Secret.delete(at_work.block("ada"))


def test_a_key_for_somebody_else_needs_the_right_to_change_the_policy(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not write the policy file could otherwise answer in any approver's name."""
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    result = run("approver", "add", "ada")
    assert result.exit_code == 1
    assert "may not make a key for somebody else" in result.output
    assert asked == [(ws.site.path("policy.yaml"), os.W_OK)]
    assert ws.catalogue.receipts("approver") == []


def test_a_failure_of_the_gate_is_accepted_by_its_mark(ws: Workspace) -> None:
    """`coldchain accept` lists what the gate found, refuses what nobody may accept, and accepts one failure as the system's user."""
    suite, table = load_suite("bulk_profiles"), f"{DATASET}/bulk_profiles@" + "ab" * 32
    said: dict[str, Any] = {"says": "a rule", "expectation": "expect_column_to_exist", "column": "x", "severity": Severity.CRITICAL}
    said |= {"unexpected_count": 1, "unexpected_percent": None, "found": "1 of 4"}
    nothing = run("accept", DATASET)
    assert "nothing to accept" in nothing.output
    found = report(suite, 4, 20, [Failure(rule="one", **said), Failure(rule="two", final=True, **said)], table=table)
    accepting.note(ws, DATASET, [(table, found)])
    one, two = found.failures
    listed = run("accept", DATASET).output
    assert f"{one.mark}  x: 1 of 4 (rule: a rule)" in listed
    assert "nobody may accept" in listed
    assert run("accept", DATASET, two.mark, "--reason", "never mind").exit_code == 1
    assert run("accept", DATASET, one.mark).exit_code == 1
    assert accepting.acceptances(ws, DATASET) == []
    done = run("accept", DATASET, one.mark, "--reason", "known")
    assert f"accepted by {ME}" in done.output
    assert json.loads(run("accept", DATASET, one.mark, "--reason", "again", "--json").output)["reason"] == "known"
