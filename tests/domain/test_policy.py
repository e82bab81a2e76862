"""The policy file: what it may say, and how it is told what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from coldchain import yamlfile
from coldchain.dataset import Project
from coldchain.errors import ConfigurationError
from coldchain.levels import Level
from coldchain.origins import Origin
from coldchain.policy import Approval, Policy, Purge

WHOLE = """\
name: lab
version: 3
rules:
  - levels: [raw, release]
    wanted: {copies: 3, media: 2, off_site: 1}
  - levels: [standard, masks, single_cell_profiles, bulk_profiles]
    wanted: {copies: 1}
  - levels: [corrected, single_cell_images]
    wanted: {copies: 1}
    remake: true
"""


def load(folder: Path, text: str | bytes) -> Policy:
    """Read a policy from a file with this text."""
    path = folder / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return yamlfile.load(path, Policy)


def complaint(folder: Path, text: str | bytes) -> str:
    """What reading a policy with this text complains of."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text)
    return str(caught.value)


def test_a_whole_policy_is_read_with_careful_defaults(tmp_path: Path) -> None:
    """What a policy leaves out is careful: a person approves, survivors are read again, readings last 90 days."""
    policy = load(tmp_path, WHOLE)
    assert (policy.name, policy.version) == ("lab", 3)
    assert policy.purge.approval is Approval.PERSON
    assert policy.purge.after_days == 30
    assert policy.read_back_before_removal
    assert policy.rules[0].wanted.verified_within_days == 90
    assert not policy.rules[0].remake


WRONG = {
    "unknown field": (WHOLE + "colour: blue\n", 11, "colour"),
    "unknown nested field": (WHOLE + "purge:\n  after: 3\n", 12, "purge.after"),
    "zero copies": (WHOLE.replace("{copies: 1}", "{copies: 0}", 1), 7, "rules.1.wanted.copies"),
    "more media than copies": (WHOLE.replace("copies: 3, media: 2", "copies: 2, media: 3"), 5, "rules.0.wanted"),
    "more off site than copies": (WHOLE.replace("off_site: 1", "off_site: 4"), 5, "rules.0.wanted"),
    "a word for a number": (WHOLE.replace("copies: 3", "copies: many"), 5, "rules.0.wanted.copies"),
    "yes for a number": (WHOLE.replace("{copies: 1}", "{copies: yes}", 1), 7, "rules.1.wanted.copies"),
    "a list for a rule": (WHOLE.replace("wanted: {copies: 1}", "wanted: [1]", 1), 7, "rules.1.wanted"),
    "an unknown level": (WHOLE.replace("masks", "overlays"), 6, "rules.1.levels.1"),
    "raw made again": (WHOLE.replace("off_site: 1}", "off_site: 1}\n    remake: true"), 4, "rules.0"),
    "endless purge": (WHOLE + "purge: {after_days: .inf}\n", 11, "purge.after_days"),
    "absurd purge": (WHOLE + "purge: {after_days: 1.0e+300}\n", 11, "purge.after_days"),
    "endless grace": (WHOLE + "purge: {grace_days: .inf}\n", 11, "purge.grace_days"),
    "absurd audit": (WHOLE + "audit_after_days: 1.0e+300\n", 11, "audit_after_days"),
    "negative purge": (WHOLE + "purge: {after_days: -1}\n", 11, "purge.after_days"),
    "no number at all": (WHOLE + "purge: {after_days: .nan}\n", 11, "purge.after_days"),
    "an unknown approval": (WHOLE + "purge: {approval: nobody}\n", 11, "purge.approval"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_complaint_names_file_line_and_field(tmp_path: Path, name: str) -> None:
    """A wrong value is named by its file, its line and its field."""
    text, line, field = WRONG[name]
    assert f"{tmp_path / 'policy.yaml'}:{line}: {field}: " in complaint(tmp_path, text)


def test_every_complaint_is_made_at_once(tmp_path: Path) -> None:
    """Two mistakes are told in one go."""
    said = complaint(tmp_path, WHOLE.replace("copies: 3", "copies: many") + "colour: blue\n")
    assert "rules.0.wanted.copies" in said
    assert "colour" in said


def test_a_level_without_a_rule_is_named(tmp_path: Path) -> None:
    """A policy that says nothing of a level is refused: nothing would protect it."""
    assert "speaks of: masks" in complaint(tmp_path, WHOLE.replace("standard, masks", "standard"))


@pytest.mark.parametrize("limit", ["origins: [own]", "classes: [pilot]"])
def test_a_rule_for_some_does_not_stand_for_all(tmp_path: Path, limit: str) -> None:
    """A level that only some origins or classes have a rule for is refused."""
    assert "speaks of: corrected, single_cell_images" in complaint(tmp_path, WHOLE + f"    {limit}\n")


def test_one_copy_of_what_cannot_be_made_again_is_refused(tmp_path: Path) -> None:
    """Raw and release want two copies at least."""
    said = complaint(tmp_path, WHOLE.replace("{copies: 3, media: 2, off_site: 1}", "{copies: 1}"))
    assert "at least two copies" in said


def test_the_first_rule_that_fits_holds(tmp_path: Path) -> None:
    """Origin and retention class choose among rules, in the order of the file."""
    special = "  - levels: [standard]\n    origins: [collaborator_industry]\n    classes: [pilot]\n    wanted: {copies: 2}\nversion: 3\n"
    policy = load(
        tmp_path, WHOLE.replace("version: 3\n", "").replace("rules:\n", "rules:\n" + special.replace("version: 3\n", "")) + "version: 3\n"
    )
    pilot = Project(id="PRJ-0001", origin=Origin.COLLABORATOR_INDUSTRY, retention_class="pilot")
    assert policy.rule(Level.STANDARD, pilot).wanted.copies == 2
    assert policy.rule(Level.STANDARD, pilot.model_copy(update={"retention_class": "standard"})).wanted.copies == 1
    assert policy.rule(Level.STANDARD, Project(id="PRJ-0001", retention_class="pilot")).wanted.copies == 1


def test_a_policy_cannot_be_changed() -> None:
    """A policy in use is frozen."""
    with pytest.raises(ValidationError):
        Purge().grace_days = 3.0


# the file itself


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no fields"),
        ("- a\n- b\n", "holds no fields"),
        ("name: [\n", "not YAML"),
        ("name: lab\nname: other\n", "a field stands twice"),
        ("rules:\n  - wanted: {copies: 1, copies: 2}\n", "a field stands twice"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        (b"name: \xff\xfe\n", "cannot be read"),
        ("name: a\x00b\n", "not YAML"),
        ("name: !!python/object/apply:os.system [id]\n", "name: Input should be a valid string"),
        ("name: !!bool maybe\n", "cannot be read"),
        ("name: !!timestamp soon\n", "cannot be read"),
        ("name: !!int ''\n", "cannot be read"),
        ("name: " + "9" * 5000 + "\n", "cannot be read"),
        ("<<: {name: lab}\n", "cannot be read"),
        ("? [a, b]\n: 1\n", "not a word"),
        ("~: 1\n", "not a word"),
        ("a: " + "[" * 30 + "]" * 30 + "\n", "nested too deeply"),
        ("a: " + "[" * 100_000 + "\n", "nested too deeply"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("#" * (1 << 20) + "\nname: lab\n", "too large"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_hostile_file_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    """Whatever stands in the file, reading it ends with a clear error that names it."""
    said = complaint(tmp_path, text)
    assert says in said
    assert "policy.yaml" in said


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    """A few lines that would unfold into thousands of millions of values are refused at once."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "too many values" in complaint(tmp_path, "\n".join(lines) + "\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigurationError, match=r"none\.yaml"):
        yamlfile.load(tmp_path / "none.yaml", Policy)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in the place of the file is named."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        yamlfile.load(tmp_path, Policy)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A pipe in the place of the file is refused, and not waited for."""
    os.mkfifo(tmp_path / "policy.yaml")
    code = "import sys; from pathlib import Path; from coldchain import yamlfile, policy; yamlfile.load(Path(sys.argv[1]), policy.Policy)"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "policy.yaml")], capture_output=True, text=True, timeout=60, check=False
    )
    assert "not a file" in ran.stderr
