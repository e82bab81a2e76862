"""The stand-in for Globus: what the real SDK sees of it is what the service's documents say."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from globus_sdk import ClientApp, DeleteData, GlobusAppConfig, TransferClient, TransferData
from globus_sdk.scopes import GCSCollectionScopes
from globus_sdk.transport import RetryConfig

from coldchain.testing.globus import Cloud, Trouble
from coldchain.testing.globus.documents import PENDING_AT_MOST
from tests.contracts.bench_globus import HERE, THERE, running


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Two collections, each a folder; a task is ACTIVE for two looks."""
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "a").write_bytes(b"aaaa")
    (tmp_path / "here" / "b").write_bytes(b"bb")
    with running(tmp_path / "there", tmp_path / "here", polls=2) as cloud:
        yield cloud


def client(cloud: Cloud, retries: int = 0, secret: str = "") -> TransferClient:
    """The real SDK, as an application."""
    config = GlobusAppConfig(token_storage="memory")  # noqa: S106 - where, not what
    app = ClientApp("test", client_id=cloud.client_id, client_secret=secret or cloud.client_secret, config=config)
    return TransferClient(app=app, retry_config=RetryConfig(max_retries=retries, backoff=lambda _context: 0.01))


def transfer(*names: str, **options: Any) -> TransferData:
    """A transfer from here to there."""
    data = TransferData(HERE, THERE, **options)
    for name in names:
        data.add_item(f"/{name}", f"/in/{name}")
    return data


def ended(asking: TransferClient, data: Any, looks: int = 8) -> dict[str, Any]:
    """Submit a task, and look at it until it has ended, or so often."""
    send = asking.submit_delete if data["DATA_TYPE"] == "delete" else asking.submit_transfer
    task = send(data)["task_id"]
    found: dict[str, Any] = {}
    for _look in range(looks):
        found = dict(asking.get_task(task).data)
        if found["status"] in {"SUCCEEDED", "FAILED"}:
            break
    return found


def refused(status: int, code: str, call: Any, *given: Any, **named: Any) -> globus_sdk.GlobusAPIError:
    """The error of a call, with status and code as they are documented."""
    with pytest.raises(globus_sdk.GlobusAPIError) as raised:
        call(*given, **named)
    assert (raised.value.http_status, raised.value.code) == (status, code)
    return raised.value


def codes(asking: TransferClient, task: str) -> list[str]:
    """Codes of a task's events, the last first."""
    return [event["code"] for event in asking.task_event_list(task)]


def test_files_really_move_after_a_while(cloud: Cloud, tmp_path: Path) -> None:
    """A task is ACTIVE before it has SUCCEEDED, and then the bytes stand there."""
    asking = client(cloud)
    accepted = asking.submit_transfer(transfer("a", "b"))
    assert (accepted["code"], accepted["DATA_TYPE"]) == ("Accepted", "transfer_result")
    assert asking.get_task(accepted["task_id"])["status"] == "ACTIVE"
    assert not (tmp_path / "there" / "in").exists()
    assert asking.task_wait(accepted["task_id"], timeout=5, polling_interval=1)
    found = asking.get_task(accepted["task_id"])
    assert (found["status"], found["files"], found["files_transferred"], found["bytes_transferred"]) == ("SUCCEEDED", 2, 2, 6)
    assert (tmp_path / "there" / "in" / "a").read_bytes() == b"aaaa"
    assert codes(asking, accepted["task_id"]) == ["SUCCEEDED", "STARTED"]
    assert [each["source_path"] for each in asking.task_successful_transfers(accepted["task_id"])] == ["/a", "/b"]


def test_a_submission_is_one_task_however_often_it_is_sent(cloud: Cloud) -> None:
    """The same submission_id is the same task, and is said to be a duplicate."""
    asking = client(cloud)
    data = transfer("a", submission_id=asking.get_submission_id()["value"])
    first, second = asking.submit_transfer(data), asking.submit_transfer(data)
    assert first["task_id"] == second["task_id"]
    assert second["code"] == "Duplicate"
    assert len(cloud.tasks) == 1


def test_what_is_no_submission_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """Documents are looked at as the service looks at them."""
    asking = client(cloud)
    refused(400, "ClientError.BadRequest.NoTransferItems", asking.submit_transfer, transfer())
    refused(400, "ClientError.BadRequest", asking.submit_transfer, transfer("a", submission_id="made-up"))
    refused(400, "ClientError.BadRequest", asking.submit_transfer, transfer("a", additional_fields={"verify_cheksum": True}))
    refused(400, "ClientError.BadRequest", asking.submit_transfer, transfer("a", label="two\nlines"))
    refused(400, "ClientError.BadRequest", asking.submit_transfer, transfer("a", deadline="2001-01-01"))
    refused(400, "InvalidPath", asking.submit_transfer, transfer("a\r\nb"))
    refused(404, "EndpointNotFound", asking.submit_transfer, _elsewhere())
    cloud.most_items = 1
    refused(413, "LimitExceeded", asking.submit_transfer, transfer("a", "b"))
    assert not cloud.tasks
    assert not list((tmp_path / "there").iterdir())


def _elsewhere() -> TransferData:
    data = TransferData(HERE, "00000000-0000-0000-0000-000000000000")
    data.add_item("/a", "/a")
    return data


def test_a_user_has_a_hundred_tasks_at_most_of_which_three_work(cloud: Cloud) -> None:
    """One more is refused; the fourth waits."""
    cloud.polls = 1000
    asking = client(cloud)
    tasks = [asking.submit_transfer(transfer("a"))["task_id"] for _number in range(PENDING_AT_MOST)]
    refused(409, "TooManyPendingJobs", asking.submit_transfer, transfer("a"))
    assert asking.get_task(tasks[2])["nice_status"] is None
    assert asking.get_task(tasks[3])["nice_status"] == "Queued"


@pytest.mark.parametrize(
    ("level", "there", "moved"),
    [
        (None, b"aaaa", 1),
        ("exists", b"x", 0),
        ("size", b"xxxx", 0),
        ("size", b"x", 1),
        ("mtime", b"xxxx", 0),
        ("checksum", b"xxxx", 1),
        ("checksum", b"aaaa", 0),
    ],
)
def test_sync_levels(cloud: Cloud, tmp_path: Path, level: Any, there: bytes, moved: int) -> None:
    """What stands there already is left alone as the level says, and is counted as skipped."""
    (tmp_path / "there" / "in").mkdir()
    (tmp_path / "there" / "in" / "a").write_bytes(there)
    found = ended(client(cloud), transfer("a", **({"sync_level": level} if level else {})))
    assert (found["files_transferred"], found["files_skipped"]) == (moved, 1 - moved)
    assert (tmp_path / "there" / "in" / "a").read_bytes() == (b"aaaa" if moved else there)


def test_a_checksum_of_ones_own(cloud: Cloud) -> None:
    """SHA-256 that is right goes through; a wrong one is the task's end."""
    asking, data = client(cloud), TransferData(HERE, THERE)
    data.add_item("/a", "/a", external_checksum=hashlib.sha256(b"aaaa").hexdigest(), checksum_algorithm="SHA256")
    assert ended(asking, data)["status"] == "SUCCEEDED"
    data = TransferData(HERE, THERE)
    data.add_item("/b", "/b", external_checksum="0" * 64, checksum_algorithm="SHA256")
    found = ended(asking, data)
    assert (found["status"], found["fatal_error"]["code"]) == ("FAILED", "EXTERNAL_CHECKSUM_MISMATCH")


def test_other_bytes_are_sent_again_until_they_are_right(cloud: Cloud, tmp_path: Path) -> None:
    """With verify_checksum a file that arrives spoilt is a fault, and comes again; without it nobody notices."""
    cloud.let(Trouble.CORRUPTS, "/a", times=1)
    found = ended(client(cloud), transfer("a", verify_checksum=True))
    assert (found["status"], found["faults"]) == ("SUCCEEDED", 1)
    assert (tmp_path / "there" / "in" / "a").read_bytes() == b"aaaa"
    cloud.let(Trouble.CORRUPTS, "/a", times=1)
    assert ended(client(cloud), transfer("a"))["faults"] == 0
    assert (tmp_path / "there" / "in" / "a").read_bytes() != b"aaaa"


def test_a_deadline_ends_a_task(cloud: Cloud) -> None:
    """What cannot be read is tried again, and is an error of the task until then."""
    asking = client(cloud)
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.5)
    task = asking.submit_transfer(transfer("none", deadline=deadline))["task_id"]
    for _look in range(4):
        found = asking.get_task(task)
    assert (found["status"], found["nice_status"], found["is_ok"]) == ("ACTIVE", "FILE_NOT_FOUND", False)
    while asking.get_task(task)["status"] == "ACTIVE":
        pass
    found = asking.get_task(task)
    assert (found["status"], found["fatal_error"]["code"]) == ("FAILED", "EXPIRED")


def test_source_errors_can_be_skipped(cloud: Cloud) -> None:
    """Then the task succeeds, and says apart what it left out."""
    asking = client(cloud)
    found = ended(asking, transfer("a", "none", skip_source_errors=True))
    assert (found["status"], found["subtasks_skipped_errors"]) == ("SUCCEEDED", 1)
    skipped = list(asking.task_skipped_errors(found["task_id"]))
    assert [(each["source_path"], each["error_code"]) for each in skipped] == [("/none", "FILE_NOT_FOUND")]


def test_a_quota_ends_a_task_where_it_is_told_so(cloud: Cloud) -> None:
    """Without fail_on_quota_errors it is tried again."""
    cloud.let(Trouble.QUOTA)
    assert ended(client(cloud), transfer("a", fail_on_quota_errors=True))["fatal_error"]["code"] == "QUOTA_EXCEEDED"
    assert ended(client(cloud), transfer("a"))["status"] == "ACTIVE"


def test_credentials_that_run_out_and_come_back(cloud: Cloud) -> None:
    """A task is INACTIVE, for which the SDK's task_wait is no success; with new ones it goes on."""
    cloud.let(Trouble.INACTIVE)
    asking = client(cloud)
    found = ended(asking, transfer("a"))
    assert (found["status"], found["nice_status"]) == ("INACTIVE", "NO_CREDENTIALS")
    cloud.mend()
    cloud.finish()
    assert asking.get_task(found["task_id"])["status"] == "SUCCEEDED"


def test_pauses_and_cancels(cloud: Cloud) -> None:
    """A paused task says why; a canceled one has failed, and cannot be canceled again."""
    cloud.let(Trouble.PAUSED)
    asking = client(cloud)
    found = ended(asking, transfer("a"), looks=2)
    assert (found["status"], found["is_paused"]) == ("ACTIVE", True)
    assert asking.task_pause_info(found["task_id"])["pause_rules"][0]["message"] == "maintenance"
    assert asking.cancel_task(found["task_id"])["code"] == "Canceled"
    assert asking.cancel_task(found["task_id"])["code"] == "TaskComplete"
    assert asking.get_task(found["task_id"])["fatal_error"]["code"] == "CANCELED"


def test_folders_move_whole(cloud: Cloud, tmp_path: Path) -> None:
    """Recursive items bring what stands below, and no link."""
    (tmp_path / "here" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "er" / "x").write_bytes(b"x")
    (tmp_path / "here" / "deep" / "link").symlink_to("er/x")
    data = TransferData(HERE, THERE)
    data.add_item("/deep", "/deep", recursive=True)
    assert ended(client(cloud), data)["files_transferred"] == 1
    assert [str(each.relative_to(tmp_path / "there")) for each in (tmp_path / "there").rglob("x")] == ["deep/er/x"]


def test_deletes(cloud: Cloud, tmp_path: Path) -> None:
    """A folder goes only where that is said; what is missing is an error or not; a link goes, and not what it leads to."""
    asking = client(cloud)

    def delete(path: str, **options: Any) -> str:
        data = DeleteData(HERE, **options)
        data.add_item(path)
        return str(ended(asking, data, looks=5)["status"])

    (tmp_path / "here" / "deep").mkdir()
    (tmp_path / "here" / "link").symlink_to("a")
    assert delete("/deep") == "ACTIVE"
    assert delete("/deep", recursive=True) == "SUCCEEDED"
    assert delete("/deep") == "ACTIVE"
    assert delete("/deep", ignore_missing=True) == "SUCCEEDED"
    assert delete("/link") == "SUCCEEDED"
    assert sorted(each.name for each in (tmp_path / "here").iterdir()) == ["a", "b"]


def test_folders_are_listed(cloud: Cloud, tmp_path: Path) -> None:
    """Page by page, filtered, with links for what they are, and names that are no UTF-8 as Latin-1 behind U+FFFD."""
    for name in ("link", "void"):
        (tmp_path / "here" / name).symlink_to({"link": "a", "void": "nowhere"}[name])
    (tmp_path / "here" / os.fsdecode(b"caf\xe9")).touch()
    asking = client(cloud)
    found = {entry["name"]: (entry["type"], entry["link_target"]) for entry in asking.operation_ls(HERE, path="/")}
    assert found == {
        "a": ("file", None),
        "b": ("file", None),
        "\ufffdcafé": ("file", None),
        "link": ("file", "a"),
        "void": ("invalid_symlink", "nowhere"),
    }
    page = asking.operation_ls(HERE, path="/", limit=2, offset=1)
    assert ([entry["name"] for entry in page], page["total"]) == (["b", "\ufffdcafé"], 5)
    assert [entry["name"] for entry in asking.operation_ls(HERE, path="/", filter="name:~v*")] == ["void"]
    assert asking.operation_stat(HERE, path="/a")["size"] == 4


def test_folders_are_made_and_renamed(cloud: Cloud, tmp_path: Path) -> None:
    """One at a time, and never over another."""
    asking = client(cloud)
    assert asking.operation_mkdir(HERE, path="/deep")["code"] == "DirectoryCreated"
    refused(502, "ExternalError.MkdirFailed.Exists", asking.operation_mkdir, HERE, path="/deep")
    refused(404, "NotFound", asking.operation_mkdir, HERE, path="/none/deep")
    refused(404, "NotFound", asking.operation_stat, HERE, path="/none")
    refused(404, "NotFound", asking.operation_ls, HERE, path="/none")
    refused(502, "ExternalError.DirListingFailed.NotDirectory", asking.operation_ls, HERE, path="/a")
    refused(502, "EndpointError", asking.operation_ls, HERE, path="/" + "y" * 300)
    refused(502, "ExternalError.RenameFailed.Exists", asking.operation_rename, HERE, oldpath="/a", newpath="/deep")
    assert asking.operation_rename(HERE, oldpath="/a", newpath="/deep/a")["code"] == "FileRenamed"
    assert (tmp_path / "here" / "deep" / "a").exists()
    cloud.let(Trouble.DENIED, "/deep")
    refused(403, "EndpointPermissionDenied", asking.operation_ls, HERE, path="/deep")


def test_nothing_outside_a_collection_is_reached(cloud: Cloud) -> None:
    """Whatever the path says."""
    refused(403, "EndpointPermissionDenied", client(cloud).operation_ls, HERE, path="/../there")
    assert ended(client(cloud), transfer("../there/x"))["nice_status"] == "PERMISSION_DENIED"


def test_a_secret_that_is_wrong(cloud: Cloud) -> None:
    """Globus Auth gives no token."""
    with pytest.raises(globus_sdk.AuthAPIError) as raised:
        client(cloud, secret="wrong").get_submission_id()  # noqa: S106 - wrong on purpose
    assert raised.value.http_status == 401


def test_a_token_that_ran_out_is_renewed_by_the_sdk(cloud: Cloud) -> None:
    """401 once, then another token."""
    asking = client(cloud, retries=1)
    asking.get_submission_id()
    cloud.tokens.clear()
    assert asking.get_submission_id()["value"]


def test_a_consent_that_a_collection_wants(cloud: Cloud) -> None:
    """It is named, and what an application asks for it has."""
    cloud.needs_consent = {THERE}
    asking = client(cloud)
    error = refused(403, "ConsentRequired", asking.operation_ls, THERE, path="/")
    assert error.info.consent_required.required_scopes == [
        f"urn:globus:auth:scope:transfer.api.globus.org:all[*{GCSCollectionScopes(THERE).data_access}]"
    ]
    assert list(client(cloud).add_app_data_access_scope(THERE).operation_ls(THERE, path="/")) == []


@pytest.mark.parametrize("trouble", [Trouble.REQUEST_IS_LOST, Trouble.ANSWER_IS_LOST, Trouble.TOO_MANY_REQUESTS, Trouble.UNAVAILABLE])
def test_what_the_sdk_tries_again(cloud: Cloud, trouble: Trouble) -> None:
    """A line that is cut, 429 and 503 pass, and without trying again they are errors."""
    cloud.let(trouble, "submission_id", times=2)
    with pytest.raises((globus_sdk.NetworkError, globus_sdk.TransferAPIError)):
        client(cloud).get_submission_id()
    assert client(cloud, retries=1).get_submission_id()["value"]


def test_wrong_success(cloud: Cloud, tmp_path: Path) -> None:
    """A task may say that all is well where half of a file stands, or nothing of it."""
    cloud.let(Trouble.TRUNCATES, "/a")
    cloud.let(Trouble.LEAVES_OUT, "/b")
    found = ended(client(cloud), transfer("a", "b", verify_checksum=True))
    assert (found["status"], found["files_transferred"], found["faults"]) == ("SUCCEEDED", 2, 0)
    assert {each.name: each.read_bytes() for each in (tmp_path / "there" / "in").iterdir()} == {"a": b"aa"}
