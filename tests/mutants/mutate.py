"""Take the guards out one by one, and see a test go red for each: `make mutants`.

Each mutant is one small change of a module that decides or removes: a condition that always holds or never does, an `and` for an `or`,
an `any` for an `all`, a comparison off by one, a raise or an effect that is not there. The tests of that module run on a copy of the
tree; where they stay green, the mutant survived. Survivors that were judged stand in survivors.txt with the reason; any other one is a
missing test. Before any mutant, the same tests have to be green on the copy as it is, and red where the module cannot be imported.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name("survivors.txt")
PARTS = ("coldchain", "tasks", "flows", "deployments", "tests", "pyproject.toml", "prefect.yaml", "README.md", "LICENSE")

GOLDEN, PROPERTIES = "tests/domain/retention/test_golden.py", "tests/domain/retention/test_properties.py"
RETENTION = (GOLDEN, "tests/domain/retention/test_plan.py", "tests/domain/retention/test_consent.py", PROPERTIES)
SWEEPING = ("tests/domain/test_sweeping.py", "tests/domain/test_sweeping_people.py")
TESTS = {
    "coldchain/clock.py": ("tests/domain/test_clock.py",),
    "coldchain/dues.py": ("tests/domain/test_dues.py", *RETENTION),
    "coldchain/standing.py": RETENTION,
    "coldchain/consent.py": RETENTION,
    "coldchain/retention.py": RETENTION,
    "coldchain/placing.py": RETENTION,
    "coldchain/overrides.py": RETENTION,
    "coldchain/validation.py": RETENTION,
    "coldchain/ledger.py": RETENTION,
    "coldchain/planning.py": ("tests/domain/test_planning.py",),
    "coldchain/removing.py": (*SWEEPING, "tests/domain/test_attacks.py"),
    "coldchain/sweeping.py": SWEEPING,
    "coldchain/reviewing.py": ("tests/domain/test_reviewing.py",),
    "coldchain/sql/deletions.py": ("tests/domain/test_catalogue.py", *SWEEPING),
    "coldchain/auditing.py": ("tests/domain/test_auditing.py",),
    "coldchain/reading.py": ("tests/domain/test_auditing.py", *SWEEPING),
    "coldchain/repairing.py": ("tests/domain/test_repairing.py",),
    "coldchain/approving.py": ("tests/domain/test_approving.py",),
    "coldchain/policy.py": ("tests/domain/test_policy.py",),
    "coldchain/contradictions.py": ("tests/domain/test_policy.py",),
    "coldchain/policy_fit.py": ("tests/domain/test_policy_fit.py",),
}
"""Modules that decide or remove, and the tests that have to notice, the quickest first."""

SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
CALLS = {"any": "all", "all": "any", "min": "max", "max": "min"}


# what is changed


@dataclass(frozen=True)
class Mutant:
    """One change of one line of a module; its name stays the same while the line does, wherever that stands."""

    module: str
    line: int
    name: str
    source: str


def mutants(module: str, root: Path = ROOT) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines; those that write the same module down are one."""
    tree = ast.parse((root / module).read_text(encoding="utf-8"))
    owners, seen, names = _owners(tree), {ast.unparse(tree)}, Counter[str]()
    found = []
    for number, node in enumerate(ast.walk(tree)):
        for change in changes(node):
            changed = copy.deepcopy(tree)
            apply(changed, number, change)
            source = ast.unparse(ast.fix_missing_locations(changed))
            if source in seen:
                continue
            seen.add(source)
            name = f"{module} | {owners[node]} | {ast.unparse(node).strip().split(chr(10), 1)[0]} | {change}"
            names[name] += 1
            again = f" ({names[name]})" if names[name] > 1 else ""
            found.append(Mutant(module, getattr(node, "lineno", 0) or _line(node), name + again, source))
    return sorted(found, key=lambda mutant: mutant.line)


def _owners(tree: ast.Module) -> dict[ast.AST, str]:
    """Name of the function or class that each node stands in."""
    found: dict[ast.AST, str] = {}
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    for node, owner in waiting:
        found[node] = owner
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inner = f"{owner}.{node.name}".lstrip(".") if named else owner
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
    return found


def _line(node: ast.AST) -> int:
    """Line of a node that has none of its own: a comprehension's."""
    return min((child.lineno for child in ast.walk(node) if isinstance(child, ast.expr)), default=0)


def changes(node: ast.AST) -> list[str]:
    """What can be changed about a node."""
    found = []
    if isinstance(node, ast.If | ast.IfExp | ast.comprehension) and "TYPE_CHECKING" not in ast.unparse(node):
        tests = node.ifs if isinstance(node, ast.comprehension) else [node.test]
        found += [f"condition {number} {how}" for how in ("always", "never") for number in range(len(tests))]
    if isinstance(node, ast.While):
        found.append("condition 0 never")
    if isinstance(node, ast.BoolOp):
        found += ["and/or swapped", *(f"operand {number} left out" for number in range(len(node.values)))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found.append("not left out")
    if isinstance(node, ast.Compare):
        found += [f"comparison {number} swapped" for number, op in enumerate(node.ops) if type(op) in SWAPS]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        found.append(f"{node.func.id}/{CALLS[node.func.id]} swapped")
    if isinstance(node, ast.Raise | ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        found.append("left out")
    return found


def apply(tree: ast.Module, number: int, change: str) -> None:
    """Make a change in a copy of the tree."""
    node = list(ast.walk(tree))[number]
    kind, _, rest = change.partition(" ")
    if kind == "condition":
        _condition(node, int(rest.split(maxsplit=1)[0]), ast.Constant(rest.endswith("always")))
    elif isinstance(node, ast.BoolOp):
        _junction(node, kind, rest)
    elif isinstance(node, ast.UnaryOp):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Compare):
        index = int(rest.split(maxsplit=1)[0])
        node.ops[index] = SWAPS[type(node.ops[index])]()
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        node.func.id = CALLS[node.func.id]
    else:
        _replace(tree, node, ast.Pass())


def _condition(node: ast.AST, index: int, value: ast.Constant) -> None:
    if isinstance(node, ast.comprehension):
        node.ifs[index] = value
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = value


def _junction(node: ast.BoolOp, kind: str, rest: str) -> None:
    if kind == "operand":
        del node.values[int(rest.split(maxsplit=1)[0])]
        node.values *= 2 if len(node.values) == 1 else 1  # `x and x` is x
    else:
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _replace(tree: ast.Module, old: ast.AST, new: ast.stmt) -> None:
    for node in ast.walk(tree):
        for _name, value in ast.iter_fields(node):
            if isinstance(value, list) and old in value:
                value[value.index(old)] = new


# where it is tried


@dataclass(frozen=True)
class Bench:
    """A copy of the tree, with bytecode, in which one mutant at a time is tried."""

    folder: Path

    def passes(self, tests: Sequence[str], limit: float, *, bytecode: bool = False) -> bool:
        """Whether tests are green within so many seconds; the log says more. Examples are the same in every run."""
        more = {"PYTHONPATH": str(self.folder), "COLDCHAIN_EXAMPLES": "15", "PYTHONDONTWRITEBYTECODE": "" if bytecode else "1"}
        options = ["-q", "-x", "-p", "no:cacheprovider", "--assert=plain", "--tb=line", "--hypothesis-profile=ci", f"--timeout={limit}"]
        command = [sys.executable, "-m", "pytest", *options, "-m", "not long", *tests]
        environment = os.environ | more | {"TMPDIR": str(self.folder.parent)}
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)
            return _ends_well(process, limit)

    @property
    def log(self) -> Path:
        """What the last run printed."""
        return self.folder.with_suffix(".log")

    def with_source(self, module: str, source: str, work: Callable[[], bool]) -> bool:
        """Do work while a module has another source, and another time than the original, so that no bytecode of that fits it."""
        target = self.folder / module
        original, was = target.read_bytes(), target.stat()
        target.write_text(source, encoding="utf-8")
        os.utime(target, (was.st_atime, was.st_mtime + 3600))
        try:
            return work()
        finally:
            target.write_bytes(original)
            os.utime(target, ns=(was.st_atime_ns, was.st_mtime_ns))


def _ends_well(process: subprocess.Popen[bytes], limit: float) -> bool:
    """Whether a run ends with exit code 0. A test that hangs is ended by its own limit; this one is for what hangs outside of a test."""
    try:
        return process.wait(2 * limit) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prepare(folder: Path) -> Bench:
    """Copy the tree; times are kept, so that bytecode fits where a copy is copied."""
    folder.mkdir(parents=True)
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(ROOT / name, folder / name)
    return Bench(folder)


def baseline(bench: Bench, module: str) -> float:
    """Seconds after which tests of a mutant are ended. Leaves bytecode; exits where the tests would tell nothing about a mutant."""
    tests = TESTS[module]
    if missing := [name for name in (module, *tests) if not (bench.folder / name).exists()]:
        sys.exit(f"mutate: {module}: there is no {', '.join(missing)}")
    started = time.monotonic()
    if not bench.passes(tests, 600, bytecode=True):
        print(bench.log.read_text(errors="replace")[-3000:], file=sys.stderr)
        sys.exit(f"mutate: {module}: its tests are not green before anything is changed: {' '.join(tests)}")
    limit = 30 + 5 * (time.monotonic() - started)
    same = ast.unparse(ast.parse((bench.folder / module).read_text(encoding="utf-8")))
    if not bench.with_source(module, same, lambda: bench.passes(tests, limit)):
        sys.exit(f"mutate: {module}: its tests are not green where it is only laid out anew: {' '.join(tests)}")
    if bench.with_source(module, "raise ImportError('taken out')\n", lambda: bench.passes(tests, limit)):
        sys.exit(f"mutate: {module}: its tests are green without it: they look at another copy, or do not use it: {' '.join(tests)}")
    return limit


# what is told


def known() -> dict[str, str]:
    """Survivors that were judged, and why each may live: lines with names, then the reason, indented, that holds for all of them."""
    found: dict[str, str] = {}
    text = KNOWN.read_text(encoding="utf-8") if KNOWN.exists() else ""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        names = [line.strip() for line in lines if not line.startswith(" ")]
        reason = " ".join(line.strip() for line in lines if line.startswith(" "))
        if bool(names) is not bool(reason):
            sys.exit(f"mutate: survivors.txt: a name without a reason, or a reason without a name: {lines[0]}")
        found |= dict.fromkeys(names, reason)
    return found


def stale(judged: dict[str, str], work: dict[str, list[Mutant]]) -> list[str]:
    """Names that were judged and that no mutant has any more, of the modules at hand and of modules that are none."""
    names = {mutant.name for found in work.values() for mutant in found}
    modules = {name: name.split(" | ", 1)[0] for name in judged}
    return [name for name in judged if name not in names and (modules[name] in work or modules[name] not in TESTS)]


@dataclass
class Tally:
    """Mutants that were tried so far, of how many, and those that survived and that nobody has judged."""

    total: int
    judged: dict[str, str]
    done: int = 0
    alive: int = 0

    def add(self, mutant: Mutant, *, lives: bool) -> None:
        """Count a mutant, and tell of one that survived, or that was judged and does not any more."""
        self.done += 1
        self.alive += lives and mutant.name not in self.judged
        if lives or mutant.name in self.judged:
            said = "ALIVE" if mutant.name not in self.judged else "judged" if lives else "judged, but killed"
            print(f"{said}: line {mutant.line}: {mutant.name}", flush=True)
        if sys.stderr.isatty() or self.done % 25 == 0 or self.done == self.total:
            end = "\r" if sys.stderr.isatty() and self.done < self.total else "\n"
            print(f"{self.done} of {self.total}", end=end, file=sys.stderr, flush=True)


def summary(module: str, results: Sequence[tuple[Mutant, bool]], judged: dict[str, str], seconds: float) -> str:
    """What became of a module's mutants, in one line."""
    lives = [mutant.name in judged for mutant, lives in results if lives]
    killed, known_ones = len(results) - len(lives), sum(lives)
    return f"{module}: {len(results)} mutants, {killed} killed, {known_ones} judged, {len(lives) - known_ones} alive, {seconds:.0f} s"


def attempts(work: Sequence[Mutant], benches: Sequence[Bench], limit: float) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant, and whether it survives."""
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
        bench = free.get()
        try:
            return mutant, bench.with_source(mutant.module, mutant.source, lambda: bench.passes(TESTS[mutant.module], limit))
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        yield from pool.map(attempt, work)


def main() -> int:
    """Try every mutant; exit code 1 where one survives that nobody has judged, or one that was judged is no more."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", default=sorted(TESTS), help="modules; all where none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant")
    arguments = parser.parse_args()
    if unknown := [module for module in arguments.modules if module not in TESTS]:
        parser.error(f"no tests are named for {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("mutate: ended"))  # the copies go with it
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a private folder is made in it
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=memory, ignore_cleanup_errors=True) as temporary:
        return _main(arguments, Path(temporary))


def _main(arguments: argparse.Namespace, temporary: Path) -> int:
    first = prepare(temporary / "0")
    work = {module: mutants(module, first.folder) for module in arguments.modules}
    limits = {module: baseline(first, module) for module in work}
    others = [Bench(Path(shutil.copytree(first.folder, temporary / str(number)))) for number in range(1, arguments.workers)]
    chosen = {module: found[:: arguments.every] for module, found in work.items()}
    tally, lines = Tally(sum(map(len, chosen.values())), known()), []
    for module, found in chosen.items():
        started, results = time.monotonic(), []
        for mutant, lives in attempts(found, [first, *others], limits[module]):
            tally.add(mutant, lives=lives)
            results.append((mutant, lives))
        lines.append(summary(module, results, tally.judged, time.monotonic() - started))
    gone = stale(tally.judged, work)
    print("\n".join([f"STALE: no mutant has this name any more: {name}" for name in gone] + lines))
    return 1 if tally.alive or gone else 0


if __name__ == "__main__":
    sys.exit(main())
