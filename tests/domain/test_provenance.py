"""How an artifact was made, for programs and for a person in ten years."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from coldchain import provenance
from coldchain.copies import Artifact
from coldchain.levels import Level
from coldchain.provenance import Activity

THEN = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
MASKS = Artifact("PRJ-0001/PLATE-A", Level.MASKS, "ab" * 32, 3, 4096, "act", THEN)
SEGMENT = Activity(
    "act",
    "segment",
    "f" * 64,
    ("PRJ-0001/PLATE-A/corrected@cd",),
    {"channel": "DNA | blue"},
    "0.1.0",
    "e" * 64,
    "ada@lab",
    THEN,
    THEN,
    {"digest": "99"},
    {"cpus": 2},
    "job 7",
)


def test_the_same_step_has_the_same_fingerprint() -> None:
    """Order of parameters does not matter; name, dataset, inputs, their order and every parameter do."""
    one = provenance.fingerprint("segment", "D", ["a", "b"], {"x": 1, "y": 2})
    assert one == provenance.fingerprint("segment", "D", ["a", "b"], {"y": 2, "x": 1})
    others = [
        provenance.fingerprint("correct", "D", ["a", "b"], {"x": 1, "y": 2}),
        provenance.fingerprint("segment", "E", ["a", "b"], {"x": 1, "y": 2}),
        provenance.fingerprint("segment", "D", ["b", "a"], {"x": 1, "y": 2}),
        provenance.fingerprint("segment", "D", ["a,b"], {"x": 1, "y": 2}),
        provenance.fingerprint("segment", "D", ["a", "b"], {"x": 1, "y": 3}),
        provenance.fingerprint("segment", "D", ["a", "b"], {"x": "1", "y": 2}),
    ]
    assert len({one, *others}) == 7


def test_the_record_is_json_and_the_same_each_time() -> None:
    """The machine's record has artifact and activity, and the same bytes for the same input."""
    said = json.loads(provenance.to_json(MASKS, SEGMENT))
    assert said["artifact"]["id"] == MASKS.id
    assert said["activity"]["model"] == {"digest": "99"}
    assert said["activity"]["inputs"] == ["PRJ-0001/PLATE-A/corrected@cd"]
    assert provenance.to_json(MASKS, SEGMENT) == provenance.to_json(MASKS, SEGMENT)


def test_the_readme_tells_what_how_and_of_what() -> None:
    """A person finds what it is, how it was made, with which model on which hardware, and how to check it."""
    text = provenance.readme(MASKS, SEGMENT)
    for said in (
        "PRJ-0001/PLATE-A",
        "masks",
        "ab" * 32,
        "segment",
        "0.1.0",
        "ada@lab",
        "corrected@cd",
        '"digest": "99"',
        '"cpus": 2',
        "job 7",
        "sha256sum -c",
    ):
        assert said in text
    assert "DNA \\| blue" in text


def test_a_hostile_value_stays_in_its_cell() -> None:
    """A newline in a name or a parameter does not break the table."""
    hostile = Artifact("PRJ-0001/PLATE-A", Level.MASKS, "ab" * 32, 3, 4096, "act", THEN)
    activity = Activity("act", "seg\n# ment", "f", (), {}, "1", "e", "ada\n| eve", THEN, THEN)
    rows = [line for line in provenance.readme(hostile, activity).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 13
    assert all(line.endswith("|") for line in rows)


def test_two_builds_of_one_version_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is known by its files: a changed one is another build, whatever the version says."""
    digests = set()
    for content in ("one", "two", "one"):
        installed = tmp_path / content / "coldchain-0.1.0.dist-info"
        installed.mkdir(parents=True, exist_ok=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.4\nName: coldchain\nVersion: 0.1.0\n")
        (installed / "RECORD").write_text(f"coldchain/node.py,sha256={content},1\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / content)
            digests.add(provenance.build_digest.__wrapped__())
    assert len(digests) == 2


def test_who_and_hardware_are_known() -> None:
    """User, host, processors and Python are written down."""
    assert "@" in provenance.who()
    assert {"host", "cpus", "machine", "system", "python"} <= provenance.hardware().keys()
    assert len(provenance.lock_digest()) == 64
