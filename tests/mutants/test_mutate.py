"""The tool that takes the guards out: what it changes, and what it says of those that survive."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import mutate

MODULE = '''
def guard(copies, location):
    """A guard."""
    if location is None or not copies:
        raise ValueError
    return any(copy.read for copy in copies if copy.read >= 3)


def guard_again(location):
    return 1 if location is None else 2 if location is None else 3
'''
CHANGES = {
    "if location is None or not copies: | condition 0 always": "if True:",
    "if location is None or not copies: | condition 0 never": "if False:",
    "location is None or not copies | and/or swapped": "if location is None and (not copies):",
    "location is None or not copies | operand 0 left out": "if not copies or not copies:",
    "location is None or not copies | operand 1 left out": "if location is None or location is None:",
    "location is None | comparison 0 swapped": "if location is not None or not copies:",
    "not copies | not left out": "if location is None or not (not copies):",
    "raise ValueError | left out": "pass",
    "any((copy.read for copy in copies if copy.read >= 3)) | any/all swapped": "all((copy.read for copy in copies if copy.read >= 3))",
    "for copy in copies if copy.read >= 3 | condition 0 never": "any((copy.read for copy in copies if False))",
    "copy.read >= 3 | comparison 0 swapped": "copy.read > 3",
}


@pytest.fixture
def found(tmp_path: Path) -> list[mutate.Mutant]:
    """Mutants of a small module."""
    (tmp_path / "m.py").write_text(MODULE)
    return mutate.mutants("m.py", tmp_path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_guard_is_taken_out(found: list[mutate.Mutant], change: str) -> None:
    """Each kind of guard is changed, and nothing else of the module."""
    (mutant,) = (each for each in found if each.name == f"m.py | guard | {change}")
    same = ast.unparse(ast.parse(MODULE)).splitlines()
    changed = [line for line in mutant.source.splitlines() if line not in same]
    assert len(changed) == 1
    assert CHANGES[change].replace("not (not copies)", "not not copies") in changed[0]


def test_every_mutant_is_another_and_has_a_name_of_its_own(found: list[mutate.Mutant]) -> None:
    """No mutant is the module itself, none is there twice, and what was judged of one is not held to be said of another."""
    sources = [each.source for each in found]
    assert ast.unparse(ast.parse(MODULE)) not in sources
    assert len(set(sources)) == len(sources) == len({each.name for each in found})
    assert [each.name for each in found if each.name.endswith("swapped (2)")] == [
        "m.py | guard_again | location is None | comparison 0 swapped (2)"
    ]


def test_a_reason_holds_for_the_names_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, then their reason, indented; a block that lacks one of them is refused."""
    monkeypatch.setattr(mutate, "KNOWN", tmp_path / "survivors.txt")
    assert mutate.known() == {}
    mutate.KNOWN.write_text("# what this is\n\na | b | c\na | b | d\n    It is\n    a cache.\n\na | e | f\n    Words only.\n")
    assert mutate.known() == {"a | b | c": "It is a cache.", "a | b | d": "It is a cache.", "a | e | f": "Words only."}
    mutate.KNOWN.write_text("a | b | c\n")
    with pytest.raises(SystemExit, match="without a reason"):
        mutate.known()


def test_what_was_judged_and_is_no_more_is_stale(found: list[mutate.Mutant]) -> None:
    """Of the modules at hand, and of those that nobody tries; what stands there of another module is left to its own run."""
    judged = dict.fromkeys([found[0].name, "m.py | guard | gone | left out", "n.py | x | y | z", "coldchain/dues.py | x | y | z"], "why")
    assert mutate.stale(judged, {"m.py": found}) == ["m.py | guard | gone | left out", "n.py | x | y | z"]


def test_every_test_that_has_to_notice_is_there() -> None:
    """A module that is tried, and each of its tests, exists."""
    names = {name for module, tests in mutate.TESTS.items() for name in (module, *tests)}
    assert [name for name in sorted(names) if not (mutate.ROOT / name).exists()] == []
