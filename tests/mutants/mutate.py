"""Take the guards out one by one, and see a test go red for each: `make mutants`.

Each mutant is one small change of a module that decides or removes: a condition that always holds or never does, an `and` for an `or`,
a comparison off by one, a raise or an effect that is not there. The tests of that module run on a copy of the tree; where they stay
green, the mutant survived. Survivors that were judged stand in survivors.txt with the reason; any other one is a missing test.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name("survivors.txt")
PARTS = ("coldchain", "tasks", "flows", "deployments", "tests", "pyproject.toml", "prefect.yaml", "README.md", "LICENSE")

RETENTION = ("tests/domain/retention",)
SWEEPING = ("tests/domain/test_sweeping.py", "tests/domain/test_sweeping_people.py")
TESTS = {
    "coldchain/dues.py": (*RETENTION, "tests/domain/test_dues.py"),
    "coldchain/standing.py": RETENTION,
    "coldchain/consent.py": RETENTION,
    "coldchain/retention.py": RETENTION,
    "coldchain/placing.py": RETENTION,
    "coldchain/overrides.py": RETENTION,
    "coldchain/ledger.py": RETENTION,
    "coldchain/planning.py": ("tests/domain/test_planning.py", *SWEEPING),
    "coldchain/removing.py": (*SWEEPING, "tests/domain/test_attacks.py"),
    "coldchain/sweeping.py": SWEEPING,
    "coldchain/reviewing.py": ("tests/domain/test_reviewing.py", *SWEEPING),
    "coldchain/auditing.py": ("tests/domain/test_auditing.py",),
    "coldchain/reading.py": ("tests/domain/test_auditing.py", *SWEEPING),
    "coldchain/repairing.py": ("tests/domain/test_repairing.py",),
    "coldchain/approving.py": ("tests/domain/test_approving.py",),
    "coldchain/policy.py": ("tests/domain/test_policy.py",),
}
"""Modules that decide or remove, and the tests that have to notice."""

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


@dataclass(frozen=True)
class Mutant:
    """One change of one line of a module."""

    module: str
    line: int
    text: str
    change: str
    source: str

    @property
    def name(self) -> str:
        """Module, changed line and change: it stays the same while the line does."""
        return f"{self.module} | {self.text} | {self.change}"


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    source = (ROOT / module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    seen: set[str] = set()
    for number, node in enumerate(ast.walk(tree)):
        for change in changes(node):
            changed = copy.deepcopy(tree)
            apply(changed, number, change)
            found = Mutant(
                module,
                getattr(node, "lineno", 0),
                ast.unparse(node).split("\n", 1)[0],
                change,
                ast.unparse(ast.fix_missing_locations(changed)),
            )
            if found.source not in seen:
                seen.add(found.source)
                yield found


def changes(node: ast.AST) -> list[str]:
    """What can be changed about a node."""
    found = []
    if isinstance(node, ast.If | ast.IfExp | ast.comprehension) and "TYPE_CHECKING" not in ast.unparse(node):
        tests = node.ifs if isinstance(node, ast.comprehension) else [node.test]
        found += [f"condition {number} always" for number in range(len(tests))] + [
            f"condition {number} never" for number in range(len(tests))
        ]
    if isinstance(node, ast.BoolOp):
        found += ["and/or swapped", *(f"operand {number} left out" for number in range(len(node.values)))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found.append("not left out")
    if isinstance(node, ast.Compare):
        found += [f"comparison {number} swapped" for number, op in enumerate(node.ops) if type(op) in SWAPS]
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
    else:
        _replace(tree, node, ast.Pass())


def _condition(node: ast.AST, index: int, value: ast.Constant) -> None:
    if isinstance(node, ast.comprehension):
        node.ifs[index] = value
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = value


def _junction(node: ast.BoolOp, kind: str, rest: str) -> None:
    if kind == "operand":
        del node.values[int(rest.split(maxsplit=1)[0])]
        node.values *= 3 - len(node.values) if len(node.values) == 1 else 1
    else:
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _replace(tree: ast.Module, old: ast.AST, new: ast.stmt) -> None:
    for node in ast.walk(tree):
        for _name, value in ast.iter_fields(node):
            if isinstance(value, list) and old in value:
                value[value.index(old)] = new


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether the tests stay green with a mutant in place of its module."""
    target = folder / mutant.module
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source, encoding="utf-8")
    tests = [name for name in TESTS[mutant.module] if (folder / name).exists()]
    environment = os.environ | {"PYTHONPATH": str(folder), "COLDCHAIN_EXAMPLES": "15", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=120", "-m", "not long", *tests]
    try:
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(original, encoding="utf-8")
    return run.returncode == 0


def known() -> dict[str, str]:
    """Survivors that were judged, and why each may live."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines() if KNOWN.exists() else []
    pairs = (line.rsplit(" # ", 1) for line in lines if " # " in line and not line.startswith("#"))
    return {name.strip(): reason.strip() for name, reason in pairs}


def main() -> int:
    """Try every mutant; exit code 1 where one survives that nobody has judged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", default=sorted(TESTS), help="modules; all where none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant")
    arguments = parser.parse_args()
    work = [each for module in arguments.modules if (ROOT / module).exists() for each in mutants(module)][:: arguments.every]
    judged, alive = known(), []
    with tempfile.TemporaryDirectory() as temporary:
        folders: SimpleQueue[Path] = SimpleQueue()
        for number in range(arguments.workers):
            folders.put(_copy_tree(Path(temporary) / str(number)))

        def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
            folder = folders.get()
            try:
                return mutant, survives(mutant, folder)
            finally:
                folders.put(folder)

        with ThreadPoolExecutor(arguments.workers) as pool:
            for mutant, lives in pool.map(attempt, work):
                if lives:
                    alive.append(mutant)
                    print(f"{'judged' if mutant.name in judged else 'ALIVE'}: {mutant.module}:{mutant.line}: {mutant.name}", flush=True)
    unjudged = [mutant for mutant in alive if mutant.name not in judged]
    print(f"{len(work)} mutants, {len(work) - len(alive)} killed, {len(alive) - len(unjudged)} judged, {len(unjudged)} alive")
    return 1 if unjudged else 0


def _copy_tree(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


if __name__ == "__main__":
    sys.exit(main())
