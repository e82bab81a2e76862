"""What is decided about a cluster, and what may travel to it: pure functions, without any worker."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from coldchain.cluster import Cluster, ClusterKind, Resubmit
from coldchain.errors import ComputeFailed, ConfigurationError, InputError, JobRefused
from coldchain.node import admit, call, describe, node_name, visible_cards
from coldchain.testing import kernels
from tasks.cluster.jobs import Job, merge, parse_names, parse_squeue, worker_job
from tasks.cluster.rules import check_items, check_kernel, check_profile, script_name
from tasks.cluster.watch import GiveUp, Limits, Replace, Sight, Wait, blameless, decide, killed, pause

LIMITS = Limits(start_timeout_s=60, total_timeout_s=600, max_lost_jobs=1)

# squeue --noheader --states=all --format='%i|%T|%N|%r' of SLURM 22.05, captured
SQUEUE = """\
10|PENDING||Resources
7|FAILED|cpu1|NonZeroExitCode
5|COMPLETED|cpu1|None
8|RUNNING|cpu1|None
4|CANCELLED|cpu2|None
9|PENDING||ReqNodeNotAvail, UnavailableNodes:cpu[1-2]
"""


def sight(*jobs: Job, now: float = 10, workers: int = 1, seen: float = 10, **more: object) -> Sight:
    """Make a look at a cluster, ten seconds after it was opened unless said otherwise."""
    return Sight(now, workers, seen, {job.id: job for job in jobs}, **more)


def lost(number: int, state: str = "CANCELLED") -> Job:
    """Make a job that is over."""
    return Job(str(number), state, node="cpu1")


def test_squeue_is_read_with_reasons_that_hold_commas() -> None:
    """State, node and reason of each job are those that squeue printed."""
    jobs = parse_squeue(SQUEUE, ["8", "9"])
    assert jobs["8"] == Job("8", "RUNNING", reason="None", node="cpu1")
    assert jobs["9"].reason == "ReqNodeNotAvail, UnavailableNodes:cpu[1-2]"
    assert set(jobs) == {"8", "9"}


def test_a_job_that_slurm_forgot_is_over() -> None:
    """A job that was asked for and is not listed counts as gone, hence as lost."""
    assert parse_squeue(SQUEUE, ["99"])["99"] == Job("99", "GONE")
    assert Job("99", "GONE").over


@pytest.mark.parametrize("line", ["", "slurm_load_jobs error: Unable to contact slurm controller", "12|RUNNING"])
def test_lines_that_are_no_jobs_are_passed_over(line: str) -> None:
    """Whatever else squeue prints is no job."""
    assert parse_squeue(line, []) == {}


@pytest.mark.parametrize(("state", "over"), [("PENDING", False), ("RUNNING", False), ("COMPLETING", False), ("TIMEOUT", True)])
def test_only_final_states_are_over(state: str, over: bool) -> None:
    """A job that may still work, or is just ending, is not over."""
    assert Job("1", state).over is over


def test_the_end_of_a_job_is_kept() -> None:
    """What ended a job is not overwritten when SLURM has forgotten it."""
    assert merge({"1": lost(1, "TIMEOUT")}, {"1": Job("1", "GONE")})["1"].state == "TIMEOUT"
    assert merge({"1": Job("1", "PENDING")}, {"1": Job("1", "RUNNING")})["1"].state == "RUNNING"


def test_a_working_cluster_is_left_alone() -> None:
    """Running jobs and a worker: nothing to do."""
    assert decide(sight(Job("1", "RUNNING")), LIMITS) == Wait()


def test_a_lost_job_is_replaced_within_the_limit() -> None:
    """One loss is allowed here: it is replaced."""
    assert decide(sight(lost(1), Job("2", "RUNNING")), LIMITS) == Replace(frozenset({"1"}))


def test_one_loss_too_many_ends_it_and_names_each_job() -> None:
    """The second loss of a site that allows one ends the computation, with state and node of both."""
    decision = decide(sight(lost(1), lost(2, "NODE_FAIL")), LIMITS)
    assert isinstance(decision, GiveUp)
    assert decision.error is ComputeFailed
    assert decision.got == "job 1 CANCELLED on cpu1; job 2 NODE_FAIL on cpu1"
    assert decision.jobs == ("1", "2")


@pytest.mark.parametrize(("state", "word"), [("TIMEOUT", "walltime"), ("OUT_OF_MEMORY", "memory"), ("FAILED", "logs")])
def test_the_hint_follows_from_how_jobs_ended(state: str, word: str) -> None:
    """Who reads the error is told which field of the profile to change."""
    decision = decide(sight(lost(1, state), lost(2, state)), LIMITS)
    assert isinstance(decision, GiveUp)
    assert word in decision.hint


@pytest.mark.parametrize(
    ("states", "resubmit", "goes_on"),
    [
        (["NODE_FAIL"] * 2, {"node": 2}, True),
        (["NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED"], {"node": 2}, False),
        (["PREEMPTED", "REVOKED"], {"preempted": 2}, True),
        (["PREEMPTED", "REVOKED"], {"preempted": 1}, False),
        (["CANCELLED"], {"cancelled": 1}, True),
        (["CANCELLED"], {"cancelled": 0}, False),
        (["CANCELLED", "NODE_FAIL", "PREEMPTED"], {}, True),
        (["OUT_OF_MEMORY"], {}, False),
        (["OUT_OF_MEMORY"], {"out_of_memory": 1}, True),
        (["FAILED"], {"failed": 1}, True),
        (["FAILED", "COMPLETED"], {"failed": 1}, False),
        (["GONE", "A_NEW_STATE_OF_SLURMS"], {"failed": 0}, False),
        (["TIMEOUT", "DEADLINE"], {"walltime": 2}, True),
        (["TIMEOUT", "DEADLINE"], {"walltime": 1}, False),
    ],
)
def test_lost_jobs_are_replaced_as_the_policy_says(states: list[str], resubmit: dict[str, int], goes_on: bool) -> None:
    """Each cause has its own number of replacements; one more ends the computation and names the cause's jobs."""
    limits = replace(LIMITS, max_lost_jobs=99, resubmit=Resubmit(**resubmit))
    jobs = [lost(number, state) for number, state in enumerate(states, start=1)]
    decision = decide(sight(*jobs, finished={job.id: 1 for job in jobs}), limits)
    assert isinstance(decision, Replace if goes_on else GiveUp)
    if isinstance(decision, Replace):
        assert decision.lost == {job.id for job in jobs if job.over}
    else:
        assert "resubmit" in (decision.expected or "")


def test_the_total_holds_whatever_the_causes() -> None:
    """`max_lost_jobs` ends it though no cause has had more than its own number."""
    jobs = [lost(1), lost(2, "NODE_FAIL"), lost(3, "PREEMPTED")]
    assert isinstance(decide(sight(*jobs), replace(LIMITS, max_lost_jobs=3)), Replace)
    decision = decide(sight(*jobs), replace(LIMITS, max_lost_jobs=2))
    assert isinstance(decision, GiveUp)
    assert "max_lost_jobs" in (decision.expected or "")


def test_a_walltime_without_any_item_says_to_raise_it() -> None:
    """A job that met its walltime and had finished nothing would do so again: it is not replaced, however many may be."""
    limits = replace(LIMITS, max_lost_jobs=99, resubmit=Resubmit(walltime=9))
    decision = decide(sight(lost(1, "TIMEOUT"), lost(2, "TIMEOUT"), finished={"1": 4}), limits)
    assert isinstance(decision, GiveUp)
    assert (decision.jobs, decision.got) == (("2",), "job 2 TIMEOUT on cpu1")
    assert "raise `walltime`" in decision.hint


@pytest.mark.parametrize(
    ("alone", "joined", "silent"), [(29, True, False), (30, True, True), (30, False, False), (59, False, False), (60, False, True)]
)
def test_a_job_without_its_worker_is_lost_though_it_runs(alone: float, joined: bool, silent: bool) -> None:
    """A worker that went away has half a minute to come back; one that never came has as long as a first one."""
    known = {"alone": {"1": alone}, "joined": frozenset({"1"} if joined else ())}
    decision = decide(sight(Job("1", "RUNNING"), Job("2", "RUNNING"), **known), LIMITS)
    assert decision == (Replace(frozenset(), frozenset({"1"})) if silent else Wait())


def test_a_job_that_was_cancelled_for_its_silence_counts_as_silent() -> None:
    """SLURM calls it cancelled, by us; what is counted is why, and once."""
    limits = replace(LIMITS, max_lost_jobs=9, resubmit=Resubmit(cancelled=0, silent=1))
    assert isinstance(decide(sight(lost(1), silenced=frozenset({"1"})), limits), Replace)
    still = sight(Job("1", "RUNNING"), silenced=frozenset({"1"}), alone={"1": 1.0})
    assert decide(still, limits) == Replace(frozenset(), frozenset({"1"}))
    assert isinstance(decide(sight(lost(1), lost(2), silenced=frozenset({"1", "2"})), limits), GiveUp)


@pytest.mark.parametrize("gone", ["scratch does not hold this run's token any more", "the dask scheduler is not running any more"])
def test_what_cannot_be_done_without_ends_it_at_once(gone: str) -> None:
    """A vanished scratch or scheduler is said first, whatever else is wrong."""
    decision = decide(sight(lost(1), refusals=("no",), gone=gone), LIMITS)
    assert isinstance(decision, GiveUp)
    assert decision.error is ComputeFailed
    assert gone in decision.got


def test_a_controller_that_does_not_answer_a_submission_is_no_refusal() -> None:
    """What may go through at the next attempt is a transient error."""
    words = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    decision = decide(sight(refusals=(words,)), LIMITS)
    assert isinstance(decision, GiveUp)
    assert decision.error is ComputeFailed


@pytest.mark.parametrize(
    ("state", "spared"),
    [("TIMEOUT", True), ("NODE_FAIL", True), ("PREEMPTED", True), ("CANCELLED", True), ("OUT_OF_MEMORY", False), ("FAILED", False)],
)
def test_an_item_is_not_blamed_for_what_befell_its_job(state: str, spared: bool) -> None:
    """An item that lost two workers is computed again where SLURM ended the second one's job; an item may not exhaust memory twice."""
    assert blameless(lost(1, state)) is spared
    assert not blameless(Job("1", "RUNNING"))


def test_names_of_jobs_that_still_run() -> None:
    """What is over is not adopted; a worker's name ends with its job."""
    assert parse_names("7|RUNNING|coldchain-a-1\n8|COMPLETED|coldchain-a-1\n9|PENDING|x\nnoise\n") == {"7": "coldchain-a-1", "9": "x"}
    assert (worker_job("coldchain-segment-0a1b-c0ffee00-17"), worker_job("coldchain-a"), worker_job("")) == ("17", "", "")


def test_a_worker_that_ended_in_order_is_lost_too() -> None:
    """A worker that cannot import our code exits with 0: SLURM calls it completed, and no worker of ours completes by itself."""
    assert isinstance(decide(sight(lost(1, "COMPLETED"), lost(2, "COMPLETED")), LIMITS), GiveUp)


def test_a_refusal_ends_it_in_slurms_words() -> None:
    """What sbatch said is what the error says."""
    decision = decide(sight(refusals=("sbatch: error: invalid partition specified: gpux",)), LIMITS)
    assert isinstance(decision, GiveUp)
    assert (decision.error, decision.got) == (JobRefused, "sbatch: error: invalid partition specified: gpux")


@pytest.mark.parametrize(("now", "seen", "ends"), [(59, 0, False), (60, 0, True), (100, 50, False), (111, 50, True)])
def test_no_worker_for_the_start_timeout_ends_it(now: float, seen: float, ends: bool) -> None:
    """Without any worker the wait lasts `start_timeout_s`, counted from when one was last there."""
    decision = decide(sight(Job("1", "PENDING", reason="Resources"), now=now, workers=0, seen=seen), LIMITS)
    assert isinstance(decision, GiveUp) is ends
    if isinstance(decision, GiveUp):
        assert "job 1 PENDING (Resources)" in decision.got


def test_an_unanswering_controller_is_named_when_no_worker_comes() -> None:
    """SLURM being down ends nothing by itself, but is given as the reason when the wait is over."""
    down = "squeue: Unable to contact slurm controller"
    assert decide(sight(unanswered=down), LIMITS) == Wait()
    decision = decide(sight(unanswered=down, now=61, workers=0, seen=0), LIMITS)
    assert isinstance(decision, GiveUp)
    assert down in decision.got


def test_the_total_timeout_ends_it_though_workers_work() -> None:
    """After `total_timeout_s` the computation is given up."""
    decision = decide(sight(Job("1", "RUNNING"), now=600, seen=600), LIMITS)
    assert isinstance(decision, GiveUp)
    assert "out of time" in decision.what


def test_an_item_that_kills_workers_is_named() -> None:
    """The error names the item, shortened, and what SLURM says of the jobs."""
    why = killed({"field": "A01" * 200}, sight(lost(1, "OUT_OF_MEMORY")))
    assert "A01" in why.got
    assert len(why.got) < 400
    assert "memory" in why.hint


def test_slurms_controller_is_asked_ever_more_rarely() -> None:
    """A look a second at first, one in half a minute in the end."""
    assert [pause(elapsed) for elapsed in (0, 100, 10_000)] == [1, 5, 30]


def module_level(item: dict) -> dict:
    """Stand for a function of somebody else's module."""
    return item


@pytest.mark.parametrize(
    "kernel", [module_level, lambda item: item, functools.partial(kernels.square), json.dumps, len, functools.partial(module_level)]
)
def test_foreign_kernels_are_refused(kernel: object) -> None:
    """Only what workers can import from the installed package travels."""
    with pytest.raises(InputError, match="cannot travel"):
        check_kernel(kernel)


def test_a_function_inside_a_function_of_coldchain_is_refused() -> None:
    """A name that a module of coldchain does not have at its top level cannot be imported by a worker."""

    def inner(item: dict) -> dict:
        return item

    inner.__module__ = "coldchain.testing.kernels"
    with pytest.raises(InputError, match="cannot travel"):
        check_kernel(inner)


def test_kernels_of_coldchain_travel() -> None:
    """A top-level function of the package is accepted."""
    check_kernel(kernels.square)


@pytest.mark.parametrize("value", [Path("/x"), {1: 2}, [object()], {"deep": [{"er": b"bytes"}]}, {1, 2}])
def test_items_that_are_not_plain_are_refused_with_their_place(value: object) -> None:
    """Paths, bytes, sets, objects and keys that are no text do not travel; the error says where they stand."""
    with pytest.raises(InputError, match=r"items\[1\]"):
        check_items([{"number": 1}, {"value": value}])


def test_an_item_that_is_no_dict_is_refused() -> None:
    """Kernels take dicts."""
    with pytest.raises(InputError, match=r"items\[0\]: str"):
        check_items(["field"])


def test_plain_items_travel() -> None:
    """Text, numbers, true, false, none, lists and dicts of them are accepted."""
    check_items([{"a": 1, "b": [1.5, None, True, {"c": "text\n"}]}])


@pytest.mark.parametrize("hostile", ["x\n#SBATCH --uid=0", "../../etc/cron.d/x", "  ", "$(reboot)", "é" * 300])
def test_job_names_hold_nothing_but_letters_digits_and_dashes(hostile: str) -> None:
    """A dataset's name cannot write into the job script or out of the log folder."""
    name = script_name(hostile)
    assert name
    assert len(name) <= 60
    assert "/" not in name
    assert name.isprintable()
    assert not set(name) & set("$()\n #")


@pytest.mark.parametrize(
    "field",
    [
        {"partition": "cpu\n#SBATCH --uid=0"},
        {"python": "/opt/my python"},
        {"memory": "lots"},
        {"qos": "long run"},
        {"interface": "ib0;reboot"},
        {"constraint": "a100 h100"},
        {"constraint": "a100$(reboot)"},
        {"directives": ("--exclude=node7 --uid=0",)},
        {"directives": ("-p cpu",)},
        {"directives": ("--comment=$(reboot)",)},
        {"directives": ("--job-name=mine",)},
        {"directives": ("--requeue",)},
        {"directives": ("--partition=gpu",)},
        {"directives": ("--arr=0-3",)},
        {"directives": ("--no-req",)},
        {"local_disk": "tmp"},
        {"local_disk": "$(reboot)"},
        {"local_disk": "/local/`id`"},
        {"local_disk": "${TMPDIR:-$(id)}"},
        {"local_disk": '/local/"x'},
        {"gres": "gpu:2"},
        {"gres": "gpu:a100:4"},
        {"gres": "gpu:a100:1,gpu:h100"},
    ],
)
def test_profiles_that_cannot_be_written_into_a_script_are_refused(field: dict, tmp_path: Path) -> None:
    """A value with blanks or line ends would change the script."""
    with pytest.raises(ConfigurationError):
        check_profile(Cluster(kind=ClusterKind.SLURM, **field), tmp_path)


@pytest.mark.parametrize(
    "field",
    [
        {"constraint": "(a100|h100)&ib"},
        {"directives": ("--exclude=node[7-9]", "--exclusive", "--comment=cold-chain")},
        {"local_disk": "$TMPDIR"},
        {"local_disk": "$TMPDIR/coldchain"},
        {"local_disk": "/local/${SLURM_JOB_ID}/spill"},
        {"gres": "gpu:a100:1", "qos": "gpu_long", "interface": "ib0", "account": "nor-2026"},
        {"gres": "gpu:4", "gpu": False},
    ],
)
def test_what_centres_ask_for_is_taken(field: dict, tmp_path: Path) -> None:
    """Features, more options of sbatch, variables of the node and one card a worker pass."""
    check_profile(Cluster(kind=ClusterKind.SLURM, **field), tmp_path)


def test_a_scratch_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nothing is started for a scratch that nobody can see."""
    with pytest.raises(ConfigurationError, match="scratch"):
        check_profile(Cluster(), tmp_path / "missing")


def test_a_process_with_another_version_runs_no_kernel(tmp_path: Path) -> None:
    """The check at the door of every kernel names the node, the version expected and the one found."""
    token = tmp_path / "token"
    token.write_text("t")
    with pytest.raises(ConfigurationError, match="another version") as caught:
        call(kernels.die, {}, {"version": "9.9.9", "token_file": str(token), "token": "t"})
    assert caught.value.expected == "9.9.9"


@pytest.mark.parametrize("content", [None, "stale"])
def test_a_process_that_sees_another_scratch_runs_no_kernel(tmp_path: Path, content: str | None) -> None:
    """A scratch without this run's token, or with another one, is not this run's scratch."""
    token = tmp_path / "token"
    if content:
        token.write_text(content)
    with pytest.raises(ComputeFailed, match="does not see the scratch"):
        admit(describe()["coldchain"], str(token), "t")


def allowed(token: Path) -> str:
    """Admit this process to a run that needs a GPU."""
    token.write_text("t")
    admit.cache_clear()
    return admit(describe()["coldchain"], str(token), "t", "needed")


@pytest.mark.parametrize(
    ("devices", "visible", "cards"),
    [
        (2, None, ["0", "1"]),
        (2, "1", ["1"]),
        (1, "MIG-1, MIG-2", ["MIG-1", "MIG-2"]),
        (2, "", []),
        (2, "-1", []),
        (2, "NoDevFiles", []),
        (0, "0", []),
        (0, None, []),
    ],
)
def test_a_process_sees_the_cards_that_open_and_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int, visible: str | None, cards: list[str]
) -> None:
    """A GPU counts where a device file opens and CUDA_VISIBLE_DEVICES, if it is set, names a card; else no kernel is run."""
    for number in range(devices):
        (tmp_path / f"card{number}").touch()
    monkeypatch.setenv("COLDCHAIN_GPU_DEVICES", f"{tmp_path}/card*")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_cards() == cards
    if cards:
        assert allowed(tmp_path / "token") == node_name()
    else:
        with pytest.raises(ComputeFailed, match="shows no GPU") as caught:
            allowed(tmp_path / "token")
        assert caught.value.on == node_name()


def test_a_device_that_does_not_open_is_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the job's limits keep away, or that has no driver behind it, is not a card."""
    (tmp_path / "card0").symlink_to(tmp_path / "nothing")
    monkeypatch.setenv("COLDCHAIN_GPU_DEVICES", f"{tmp_path}/card*")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_cards() == []
