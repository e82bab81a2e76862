"""Answers and holds from the Prefect UI's forms, on a real Prefect server: who answers is established, and no key is ever seen."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

import deployments
from coldchain import accepting, approving, making
from coldchain.approvers import Person, code_of, step_of
from coldchain.dataset import Dataset, Project
from coldchain.errors import ConfigurationError, LocationUnreachable, NotInCatalogue, Refused
from coldchain.files import no_progress
from coldchain.forms_retention import AcceptForm, ApproveForm, HoldForm
from coldchain.gate import Failure, GateReport, Severity, report
from coldchain.levels import Level
from coldchain.policy import Ground
from coldchain.proposals import Answer
from coldchain.protection import release
from coldchain.suite import load_suite
from coldchain.workspace import Workspace
from deployments.server import ServerInfo
from tasks import approving as at_work
from tasks.workspace import open_workspace

pytestmark = pytest.mark.server

A, B = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
ENGINEER = Person("engineer", "test")


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A site where ada and grace approve, and that has told, in notice 1, of a copy of each of two datasets."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    with (tmp_path / "policy.yaml").open("a") as policy:
        policy.write("\napprovers: [ada, grace]\n")
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    space = open_workspace()
    space.register()
    space.catalogue.save_project(Project(id="PRJ-0001"))
    for name in ("PLATE-A", "PLATE-B"):
        space.catalogue.save_dataset(Dataset(project="PRJ-0001", name=name, pattern="plain", channels={1: "DNA"}))
        folder = tmp_path / "acquisition" / name
        folder.mkdir(parents=True)
        (folder / "a.tif").write_text(name)
        making.take_in(space, making.Step("ingest", f"PRJ-0001/{name}", Level.RAW), folder, "nas", no_progress)
    told = [(copy.id, Ground.LIFETIME) for copy in space.catalogue.copies()]
    assert space.catalogue.propose(told, space.policy.digest, space.now()) == 1
    yield space
    release(tmp_path)
    space.catalogue.close()


@pytest.fixture
def key(ws: Workspace, prefect_server: ServerInfo) -> Iterator[bytes]:
    """Key of ada's codes, as her phone got it."""
    del prefect_server
    yield key_in(at_work.add_approver(ws, "ada", ENGINEER))
    forget("ada")


def key_in(address: str) -> bytes:
    """The key that a phone reads from an address."""
    return base64.b32decode(parse_qs(urlsplit(address).query)["secret"][0])


def forget(name: str) -> None:
    """Take a name's block from the session's server."""
    from prefect.blocks.system import Secret

    Secret.delete(at_work.block(name))


def form(ws: Workspace, key: bytes, beside: int = 1, **more: Any) -> ApproveForm:
    """The form as ada fills it now, her phone half a minute fast: on a slow machine that code lasts longest."""
    said = {"notice": 1, "answer": "yes", "name": "ada", "code": code_of(key, step_of(ws.now()) + beside)}
    return ApproveForm.model_validate(said | more)


def answers(ws: Workspace) -> dict[str, Answer]:
    """What was answered, by dataset."""
    return {each.dataset: each.answer for each in approving.told(ws, 1)}


def artifacts(key: str) -> list[Any]:
    """Artifacts with a key, the newest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return sorted(found, key=lambda each: each.created, reverse=True)


def test_a_yes_from_the_form_is_kept_with_who_and_how(ws: Workspace, key: bytes) -> None:
    """The named dataset is answered, the other is not; the receipt names the run; the notice is shown before and after."""
    from flows.approve import approve

    said = approve(form(ws, key, datasets=[A], note="all archived"))

    assert said.startswith("ada said yes to 1 copies")
    assert "checked again" in said
    assert answers(ws) == {A: Answer.YES, B: Answer.NONE}
    receipt = ws.catalogue.last_receipt("answer")
    assert (receipt["who"], receipt["note"]) == ("ada", "all archived")
    assert receipt["how"].startswith("Prefect UI, one-time code, run ")
    shown = artifacts("notice-1")[:2]
    assert all(A in each.data and B not in each.data for each in shown)
    assert ["yes (ada)" in each.data for each in shown] == [True, False]
    assert "nobody answered" in shown[1].data


def test_the_same_code_again_answers_nothing(ws: Workspace, key: bytes) -> None:
    """Whoever reads the code in a run's parameters, and starts the run again, is refused."""
    from flows.approve import approve

    filled = form(ws, key, answer="no")
    approve(filled)
    with pytest.raises(Refused, match="do not go together"):
        approve(filled.model_copy(update={"answer": "yes"}))
    assert answers(ws) == {A: Answer.NO, B: Answer.NO}


def test_wrong_codes_and_names_answer_nothing_and_lock(ws: Workspace, key: bytes) -> None:
    """A name that nobody has fails in the same words as a wrong code; five wrong codes lock out the right one too."""
    said = set()
    for name in ["bob", *["ada"] * 5]:
        with pytest.raises(Refused) as refused:
            at_work.identify.fn(name, code_of(key, step_of(ws.now()) + 1000))
        said.add(str(refused.value).replace(name, "NAME"))
    assert len(said) == 1
    with pytest.raises(Refused, match="locked"):
        at_work.identify.fn("ada", code_of(key, step_of(ws.now())))
    assert answers(ws) == {A: Answer.NONE, B: Answer.NONE}


def test_who_is_established_and_no_approver_answers_nothing(ws: Workspace, prefect_server: ServerInfo) -> None:
    """A right code is not enough where the policy names others."""
    from flows.approve import approve

    del prefect_server
    bobs = key_in(at_work.add_approver(ws, "bob", ENGINEER))
    with pytest.raises(Refused, match="bob may not answer"):
        approve(form(ws, bobs, name="bob"))
    forget("bob")
    assert answers(ws) == {A: Answer.NONE, B: Answer.NONE}
    assert ws.catalogue.receipts("answer") == []


def test_a_notice_that_is_not_there_uses_up_no_code(ws: Workspace, key: bytes) -> None:
    """A mistyped number is said at once, and the same code serves for the right one."""
    from flows.approve import approve

    with pytest.raises(NotInCatalogue, match="nothing is open"):
        approve(form(ws, key, notice=7))
    approve(form(ws, key))
    assert answers(ws) == {A: Answer.YES, B: Answer.YES}


def test_a_block_of_another_maker_answers_nothing(ws: Workspace, key: bytes) -> None:
    """Whoever may write blocks, and puts one of their own in ada's place, makes no codes that count."""
    from prefect.blocks.system import Secret

    Secret(value="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").save(at_work.block("ada"), overwrite=True)
    for guess in (base64.b32decode("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), key):
        with pytest.raises(Refused):
            at_work.identify.fn("ada", code_of(guess, step_of(ws.now())))


def read_all(server: ServerInfo) -> str:
    """Every text of every table of the server's database but the blocks', and its log."""
    with sqlite3.connect(server.home / "prefect.db") as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for name in tables if not name.startswith("block_document") for row in db.execute(f'SELECT * FROM "{name}"')]  # noqa: S608 - its own names
    return repr(rows) + server.log.read_text(errors="replace")


def test_no_key_is_seen_anywhere(ws: Workspace, prefect_server: ServerInfo, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither the key nor the block's half stands in runs, parameters, states, logs, artifacts, events, receipts or errors; and what
    the server's API tells of the block to anybody who asks is not the key.
    """
    from flows.approve import approve

    key = key_in(at_work.add_approver(ws, "ada", ENGINEER))
    half = at_work.read_half("ada")
    assert half
    with pytest.raises(Refused) as refused:
        approve(form(ws, key, 1000))
    approve(form(ws, key))
    url = f"{prefect_server.url_api}/block_types/slug/secret/block_documents/name/{at_work.block('ada')}?include_secrets=true"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own server
        told = json.load(answer)["data"]["value"]
    forget("ada")

    _flush()
    out = capfd.readouterr()
    read = read_all(prefect_server)
    assert "do not go together" in read
    assert "yes (ada)" in read
    seen = read + out.out + out.err + str(refused.value) + repr(ws.catalogue.receipts())
    for secret in (base64.b32encode(key).decode(), key.hex(), repr(key)[2:-1], half):
        assert secret not in seen
    assert told == half
    assert base64.b32encode(key).decode() not in told


def _flush() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=10, at_exit=False)


def test_a_key_needs_a_server_to_keep_its_half(ws: Workspace) -> None:
    """Without a server, or with one that is silent, no key is made, and the next try makes one."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ConfigurationError, match="no Prefect server"):
        at_work.add_approver(ws, "ada", ENGINEER)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(LocationUnreachable, match="does not answer"):
            at_work.add_approver(ws, "ada", ENGINEER)
        with pytest.raises(LocationUnreachable, match="does not answer"):
            at_work.read_half("ada")
    assert ws.catalogue.receipts("approver") == []


def test_a_second_key_leaves_the_first_one_whole(ws: Workspace, key: bytes) -> None:
    """Asking again for a name that has a key is refused before its block is touched."""
    with pytest.raises(Refused, match="has a key"):
        at_work.add_approver(ws, "ada", ENGINEER)
    assert at_work.identify.fn("ada", code_of(key, step_of(ws.now()))).name == "ada"


def test_a_hold_from_the_form_keeps_the_dataset(ws: Workspace, prefect_server: ServerInfo) -> None:
    """No code is asked, and the name is written down as not established."""
    from flows.hold import hold

    del prefect_server
    said = hold(HoldForm(project="PRJ-0001", dataset="PLATE-A", days=30, reason="a reviewer", name="Grace"))
    (held,) = ws.catalogue.holds(A)
    assert said == f"Hold {held.id}: nothing of {A} is removed until {held.until}."
    assert (held.reason, held.who) == ("a reviewer", "Grace (Prefect UI, not established)")
    assert held.until == approving.last_day(ws.now(), 30)


@pytest.mark.parametrize(
    "change",
    [{"answer": "maybe"}, {"answer": None}, {"datasets": [""]}, {"datasets": ["PLATE-A"]}, {"name": "a/b"}, {"code": "12345"},
     {"code": "12345\n"}, {"code": "١٢٣٤٥٦"}, {"notice": 0}, {"password": "x"}],
)  # fmt: skip
def test_a_form_that_is_filled_wrongly_is_refused(change: dict[str, Any]) -> None:
    """No answer is no answer, and an empty line among the datasets is not the whole notice."""
    right = {"notice": 1, "answer": "yes", "name": "ada", "code": "123456"}
    ApproveForm.model_validate(right)
    with pytest.raises(ValidationError):
        ApproveForm.model_validate(right | change)
    assert "answer" in ApproveForm.model_json_schema()["required"]


def test_a_long_notice_is_shown_in_part_and_says_so(ws: Workspace) -> None:
    """What does not fit is counted, and the command that shows it is named."""
    (first, _second) = approving.told(ws, 1)
    text = at_work.as_markdown(1, [first] * 502)
    assert "2 more: `coldchain notices 1` shows all" in text
    assert text.count(first.artifact) == 500


TABLE = f"{A}/bulk_profiles@" + "ab" * 32


def found_by_the_gate(ws: Workspace) -> GateReport:
    """A report of one failure, noted as `promote` notes it."""
    failure = Failure(
        rule="controls-present",
        says="every control well of the plate map has nuclei",
        expectation="expect_column_values_to_be_between",
        column="nuclei",
        severity=Severity.CRITICAL,
        unexpected_count=1,
        unexpected_percent=25.0,
        examples=("Well B02, control positive: 0",),
        found="1 of 4 (25 %)",
    )
    said = report(load_suite("bulk_profiles"), 4, 20, [failure], table=TABLE, accepted=accepting.acceptances(ws, A))
    accepting.note(ws, A, [(TABLE, said)])
    return said


def accept_form(ws: Workspace, key: bytes, mark: str, **more: Any) -> AcceptForm:
    """The form as ada fills it now."""
    said = {"project": "PRJ-0001", "dataset": "PLATE-A", "mark": mark, "reason": "the well dried out", "name": "ada"}
    return AcceptForm.model_validate(said | {"code": code_of(key, step_of(ws.now()) + 1)} | more)


def test_a_failure_of_the_gate_is_accepted_from_the_form(ws: Workspace, key: bytes) -> None:
    """Who accepts is established by the code, the table of what was found is shown before and after, and the gate opens."""
    from flows.accept import accept

    (failure,) = found_by_the_gate(ws).failures
    said = accept(accept_form(ws, key, failure.mark))
    assert "accepted by ada" in said
    assert found_by_the_gate(ws).passed
    receipt = ws.catalogue.last_receipt("acceptance")
    assert receipt["who"] == "ada"
    assert receipt["acceptance"]["how"].startswith("Prefect UI, one-time code, run ")
    after, before = (json.loads(each.data)[0] for each in artifacts("prj-0001-plate-a-gate-found")[:2])
    assert (before["what"], after["what"]) == ("does not pass", "accepted by ada")
    assert {name: before[name] for name in ("expectation", "column", "count", "examples", "mark")} == {
        "expectation": "expect_column_values_to_be_between",
        "column": "nuclei",
        "count": 1,
        "examples": "Well B02, control positive: 0",
        "mark": failure.mark,
    }


def test_a_wrong_code_accepts_nothing(ws: Workspace, key: bytes) -> None:
    """The flow fails, and the gate stays closed."""
    from flows.accept import accept

    (failure,) = found_by_the_gate(ws).failures
    with pytest.raises(Refused, match="do not go together"):
        accept(accept_form(ws, key, failure.mark, code=code_of(key, step_of(ws.now()) + 1000)))
    assert not found_by_the_gate(ws).passed


def test_the_gate_shows_a_table_of_what_it_found(ws: Workspace, key: bytes) -> None:
    """Beside its words, promote leaves a table that names expectation, column, count and examples."""
    from prefect import flow

    from tasks import show

    said = found_by_the_gate(ws)

    @flow
    def shown() -> None:
        """Show it."""
        show.gate(A, [said])

    shown()
    (row,) = json.loads(artifacts("prj-0001-plate-a-gate-found")[0].data)
    assert (row["table"], row["what"], row["count"], row["column"]) == ("bulk_profiles", "does not pass", 1, "nuclei")
    assert said.failures[0].mark in artifacts("prj-0001-plate-a-gate")[0].data
    assert key
