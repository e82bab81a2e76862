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
from coldchain.policy import Approval, Policy, Purge, Rule, Wanted

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
    """What a policy leaves out is careful: a person approves all but what stands elsewhere, survivors are read again, nothing ends."""
    policy = load(tmp_path, WHOLE)
    assert (policy.name, policy.version) == ("lab", 3)
    assert policy.purge.approval.original_stands is Approval.NONE
    assert policy.purge.approval.remake is Approval.PERSON
    assert policy.purge.after_days == 30
    assert policy.read_back_before_removal
    assert policy.rules[0].wanted.verified_within_days == 90
    assert not policy.rules[0].remake
    assert (policy.rules[0].lifetime, policy.rules[2].disposal, policy.high_water) == (None, None, None)


def test_what_ends_needs_a_person_and_time(tmp_path: Path) -> None:
    """Where a policy names a disposal or a lifetime and no more, a person approves, after a notice, and the trash has its grace."""
    policy = load(tmp_path, WHOLE.replace("remake: true", "remake: true\n    disposal: {}\n    lifetime: {years: 3}"))
    for part in (policy.rules[2].disposal, policy.rules[2].lifetime):
        assert part is not None
        assert part.approval is Approval.PERSON
        assert part.notice_days >= 14
        assert part.grace_days >= 30


RAW = "wanted: {copies: 3, media: 2, off_site: 1}"
SHORT = WHOLE.replace("{copies: 1}", "{copies: 1, verified_within_days: 20}", 1)
NUMBERS = {
    "purge.after_days": "purge: {{after_days: {}}}",
    "purge.idle_days": "purge: {{idle_days: {}}}",
    "purge.notice_days": "purge: {{notice_days: {}}}",
    "purge.grace_days": "purge: {{grace_days: {}}}",
    "high_water.start": "high_water: {{start: {}}}",
    "high_water.stop": "high_water: {{stop: {}}}",
    "high_water.after_days": "high_water: {{after_days: {}}}",
    "audit.every_days": "audit: {{every_days: {}}}",
    "audit.locations.cold": "audit: {{locations: {{cold: {}}}}}",
    "audit.bytes_a_night": "audit: {{bytes_a_night: {}}}",
    "audit.brake.failures": "audit: {{brake: {{failures: {}}}}}",
    "audit.brake.share": "audit: {{brake: {{share: {}}}}}",
    "protected_years": "protected_years: {}",
}
NO_NUMBERS = ["yes", "many", "'30'", "2026-11-21", ".nan", ".inf", "-.inf", "-1", "1.0e+300", "1" + "0" * 400, "[30]", "{days: 30}", "~"]

WRONG = {
    "unknown field": (WHOLE + "colour: blue\n", 11, "colour"),
    "unknown nested field": (WHOLE + "purge:\n  after: 3\n", 12, "purge.after"),
    "no name": (WHOLE.replace("name: lab\n", ""), 1, "name"),
    "an empty name": (WHOLE.replace("name: lab", "name: ''"), 1, "name"),
    "a date for a name": (WHOLE.replace("name: lab", "name: 2026-11-21"), 1, "name"),
    "a huge version": (WHOLE.replace("version: 3", "version: 9000000000000000000000"), 2, "version"),
    "yes for a version": (WHOLE.replace("version: 3", "version: yes"), 2, "version"),
    "no rules": (WHOLE.split("rules:", maxsplit=1)[0] + "rules: []\n", 3, "rules"),
    "zero copies": (WHOLE.replace("{copies: 1}", "{copies: 0}", 1), 7, "rules.1.wanted.copies"),
    "ten copies": (WHOLE.replace("{copies: 1}", "{copies: 10}", 1), 7, "rules.1.wanted.copies"),
    "nothing wanted": (WHOLE.replace("wanted: {copies: 1}\n    remake", "remake"), 8, "rules.2.wanted"),
    "more media than copies": (WHOLE.replace("copies: 3, media: 2", "copies: 2, media: 3"), 5, "rules.0.wanted.media"),
    "more off site than copies": (WHOLE.replace("off_site: 1", "off_site: 4"), 5, "rules.0.wanted.off_site"),
    "a word for a number": (WHOLE.replace("copies: 3", "copies: many"), 5, "rules.0.wanted.copies"),
    "yes for a number": (WHOLE.replace("{copies: 1}", "{copies: yes}", 1), 7, "rules.1.wanted.copies"),
    "a fraction of a copy": (WHOLE.replace("{copies: 1}", "{copies: 1.5}", 1), 7, "rules.1.wanted.copies"),
    "read back never": (WHOLE.replace("{copies: 1}", "{verified_within_days: .inf}", 1), 7, "rules.1.wanted.verified_within_days"),
    "read back in time zero": (WHOLE.replace("{copies: 1}", "{verified_within_days: 0}", 1), 7, "rules.1.wanted.verified_within_days"),
    "a list for a rule": (WHOLE.replace("wanted: {copies: 1}", "wanted: [1]", 1), 7, "rules.1.wanted"),
    "an unknown level": (WHOLE.replace("masks", "overlays"), 6, "rules.1.levels.1"),
    "no levels": (WHOLE + "  - levels: []\n    wanted: {copies: 1}\n", 11, "rules.3.levels"),
    "an unknown origin": (WHOLE + "    origins: [friend]\n", 11, "rules.2.origins.0"),
    "no origins": (WHOLE + "    origins: []\n", 11, "rules.2.origins"),
    "an empty class": (WHOLE + "    classes: ['']\n", 11, "rules.2.classes.0"),
    "a word for remake": (WHOLE.replace("remake: true", "remake: 'no'"), 10, "rules.2.remake"),
    "a number for remake": (WHOLE.replace("remake: true", "remake: 1"), 10, "rules.2.remake"),
    "a number for the reading back": (WHOLE + "read_back_before_removal: 0\n", 11, "read_back_before_removal"),
    "an unknown approval": (WHOLE + "purge: {approval: {remake: nobody}}\n", 11, "purge.approval.remake"),
    "the approval of an older version": (WHOLE + "purge: {approval: none}\n", 11, "purge.approval"),
    "an audit location that is no name": (WHOLE + "audit: {locations: {../nas: 3}}\n", 11, "audit.locations.../nas.[key]"),
    "an empty approver": (WHOLE + "approvers: [Ada, '']\n", 11, "approvers.1"),
    "a blank approver": (WHOLE + "approvers: [' ']\n", 11, "approvers.0"),
    "an approver in a word": (WHOLE + "approvers: Ada\n", 11, "approvers"),
    "an approver of a rule twice": (WHOLE + "    approvers: [Ada, Grace, Ada]\n", 11, "rules.2.approvers.2"),
    "a later approver twice": (WHOLE + "approvers: [Ada, Grace, Grace]\n", 11, "approvers.2"),
    "an approver twice": (WHOLE + "approvers: [Ada, Grace, Ada]\n", 11, "approvers.2"),
    # what must never be let go
    "raw made again": (WHOLE.replace(RAW, RAW + "\n    remake: true"), 6, "rules.0.remake"),
    "one copy of raw": (WHOLE.replace(RAW, "wanted: {copies: 1}"), 5, "rules.0.wanted.copies"),
    "a release that is asked for nine years": (WHOLE.replace(RAW, RAW + "\n    lifetime: {years: 9}"), 6, "rules.0.lifetime.years"),
    "raw shorter than this policy protects": (
        WHOLE.replace(RAW, RAW + "\n    lifetime: {years: 14}") + "protected_years: 15\n",
        6,
        "rules.0.lifetime.years",
    ),
    "a shorter protection": (WHOLE + "protected_years: 9\n", 11, "protected_years"),
    "an endless lifetime in numbers": (WHOLE + "    lifetime: {years: 1000}\n", 11, "rules.2.lifetime.years"),
    "a lifetime of no years": (WHOLE + "    lifetime: {}\n", 11, "rules.2.lifetime.years"),
    "raw that ends without a person": (
        WHOLE.replace(RAW, RAW + "\n    lifetime: {years: 10, approval: none}"),
        6,
        "rules.0.lifetime.approval",
    ),
    # contradictions
    "disposal of what cannot be made again": (WHOLE.replace(RAW, RAW + "\n    disposal: {}"), 6, "rules.0.disposal"),
    "a level without a rule": (WHOLE.replace("standard, masks", "standard"), 4, "rules"),
    "a rule that never holds": (WHOLE + "  - levels: [raw, masks]\n    wanted: {copies: 2}\n", 11, "rules.3"),
    "a rule for a class that never holds": (
        WHOLE + "  - levels: [masks]\n    classes: [pilot]\n    wanted: {copies: 2}\n",
        11,
        "rules.3",
    ),
    "a rule for a class that has one": (
        WHOLE.replace("rules:\n", "rules:\n" + 2 * "  - levels: [masks]\n    classes: [pilot]\n    wanted: {copies: 2}\n"),
        7,
        "rules.1",
    ),
    "readings too far apart": (WHOLE + "audit: {every_days: 90}\n", 11, "audit.every_days"),
    "readings at a location too far apart": (WHOLE + "audit:\n  locations:\n    cold: 180\n", 13, "audit.locations.cold"),
    "readings too far apart for one rule": (SHORT + "audit: {every_days: 20}\n", 11, "audit.every_days"),
    "high water that never ends": (WHOLE + "high_water: {start: 0.7, stop: 0.7}\n", 11, "high_water.stop"),
    "high water later than the purge": (WHOLE + "high_water: {after_days: 31}\n", 11, "high_water.after_days"),
    "high water later than a rule's purge": (
        WHOLE + "    purge: {after_days: 5}\nhigh_water: {after_days: 6}\n",
        12,
        "high_water.after_days",
    ),
} | {
    f"{value[:12]} for {field}": (f"{WHOLE}{template.format(value)}\n", 11, field)
    for field, template in NUMBERS.items()
    for value in NO_NUMBERS
}  # fmt: skip


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


def test_contradictions_are_told_together(tmp_path: Path) -> None:
    """Contradictions of the whole policy are told in one go, each at its field."""
    said = complaint(tmp_path, WHOLE.replace("standard, masks", "standard") + "approvers: [Ada, Ada]\naudit: {every_days: 90}\n")
    assert all(f" {field}: " in said for field in ("rules", "approvers.1", "audit.every_days"))


def test_a_contradiction_says_what_is_expected_and_what_to_try(tmp_path: Path) -> None:
    """A contradiction names what was expected, what was got, and what to do about it."""
    said = complaint(tmp_path, WHOLE.replace(RAW, RAW + "\n    lifetime: {years: 9}"))
    assert "raw, release cannot be made again (expected at least 10, the `protected_years`, got 9)" in said
    assert "try put it before them, or take it out" in complaint(tmp_path, WHOLE + "  - levels: [raw]\n    wanted: {copies: 2}\n")
    assert "below 20, the `verified_within_days` of rules.1, got 20" in complaint(tmp_path, SHORT + "audit: {every_days: 20}\n")


def test_a_level_without_a_rule_is_named(tmp_path: Path) -> None:
    """A policy that says nothing of a level is refused: nothing would protect it."""
    assert "got masks for own, collaborator_academic" in complaint(tmp_path, WHOLE.replace("standard, masks", "standard"))


def test_a_rule_for_an_origin_does_not_stand_for_all(tmp_path: Path) -> None:
    """A level that only some origins have a rule for is refused, and the others are named."""
    said = complaint(tmp_path, WHOLE + "    origins: [own, public]\n")
    assert "got corrected for collaborator_academic, collaborator_industry" in said


def test_a_rule_for_a_class_does_not_stand_for_all(tmp_path: Path) -> None:
    """A level that only some classes have a rule for is refused."""
    assert "got corrected for own, " in complaint(tmp_path, WHOLE + "    classes: [pilot]\n")


def test_rules_for_single_origins_stand_for_all_together(tmp_path: Path) -> None:
    """Every origin may have a rule of its own, without one for all."""
    parts = "  - levels: [corrected, single_cell_images]\n    wanted: {copies: 1}\n    origins: "
    whole = WHOLE + "    origins: [own, public]\n" + parts + "[collaborator_academic, collaborator_industry]\n"
    for origin in Origin:
        assert load(tmp_path, whole).rule(Level.CORRECTED, Project(id="PRJ-0001", origin=origin)).remake is (origin in {"own", "public"})


@pytest.mark.parametrize(
    "before",
    [
        "  - levels: [masks]\n    wanted: {copies: 2}\n",
        "  - levels: [masks]\n    classes: [pilot]\n    wanted: {copies: 2}\n",
        "  - levels: [masks]\n    origins: [own]\n    wanted: {copies: 2}\n",
    ],
)
def test_a_rule_that_holds_in_part_is_taken(tmp_path: Path, before: str) -> None:
    """A rule that speaks of something that those before it do not speak of is no contradiction."""
    assert len(load(tmp_path, WHOLE.replace("rules:\n", "rules:\n" + before)).rules) == 4


def test_classes_have_rules_of_their_own(tmp_path: Path) -> None:
    """A rule for one class hides none for another, nor one that speaks of a class more."""
    rule = "  - levels: [masks]\n    classes: [{}]\n    wanted: {{copies: {}}}\n"
    both = WHOLE.replace("rules:\n", "rules:\n" + rule.format("pilot", 2) + rule.format("pilot, thesis", 3))
    policy = load(tmp_path, both)
    copies = {
        name: policy.rule(Level.MASKS, Project(id="PRJ-0001", retention_class=name)).wanted.copies for name in ("pilot", "thesis", "x")
    }
    assert copies == {"pilot": 2, "thesis": 3, "x": 1}


@pytest.mark.parametrize(
    "more",
    [
        "audit: {every_days: 89}",
        "high_water: {after_days: 30}",
        "    lifetime: {years: 1}",
        "    lifetime: {years: 100}",
        "    lifetime: {years: 1, approval: none}",
        "approvers: [Ada, Grace]",
    ],
)
def test_what_just_fits_is_taken(tmp_path: Path, more: str) -> None:
    """The last value before a refusal is taken."""
    assert load(tmp_path, f"{WHOLE}{more}\n").name == "lab"


@pytest.mark.parametrize("years", [10, 100])
def test_raw_may_end_after_ten_years_with_a_person(tmp_path: Path, years: int) -> None:
    """Ten years are enough for raw and release, where a person has to say yes."""
    lifetime = load(tmp_path, WHOLE.replace(RAW, f"{RAW}\n    lifetime: {{years: {years}}}")).rules[0].lifetime
    assert lifetime is not None
    assert lifetime.approval is Approval.PERSON


def test_a_policy_made_without_a_file_is_refused_too() -> None:
    """What must never be let go is refused wherever a policy comes from."""
    with pytest.raises(ValidationError, match="one copy is not enough"):
        Policy(name="made", version=1, rules=(Rule(levels=tuple(Level), wanted=Wanted(copies=1)),))


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


def test_a_rule_may_have_a_purge_and_approvers_of_its_own(tmp_path: Path) -> None:
    """What a rule says of them holds for it; where it says nothing, the policy's own do."""
    policy = load(tmp_path, WHOLE + "    purge: {after_days: 5}\n    approvers: [Grace]\npurge: {after_days: 9}\napprovers: [Ada]\n")
    assert [policy.purge_of(rule).after_days for rule in policy.rules] == [9, 9, 5]
    assert [policy.approvers_of(rule) for rule in policy.rules] == [("Ada",), ("Ada",), ("Grace",)]


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
        ("version: 010\n", "not written plainly"),
        ("version: 0x10\n", "not written plainly"),
        ("version: 0b1\n", "not written plainly"),
        ("version: 1:30\n", "not written plainly"),
        ("purge: {after_days: 1:30.5}\n", "not written plainly"),
        ("name: !!timestamp soon\n", "cannot be read"),
        ("name: !!int ''\n", "not written plainly"),
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


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: lab\nrules: [\n", ":3"),
        ("name: lab\nnote: a\x00b\n", ":2"),
        ("name: lab\n\tversion: 1\n", ":2"),
        ("name: lab\nname: other\n", ":2: name\n"),
        ("name: lab\npurge:\n  after_days: 1\n  after_days: 2\n", ":4: purge.after_days\n"),
        ("name: lab\npurge:\n  after_days: !!float soon\n", ":3: purge.after_days\n"),
        ("name: lab\npurge:\n  ~: 1\n", ":3: purge\n"),
        ("name: lab\nrules:\n  - wanted: {copies: 010}\n", ":3: rules.0.wanted.copies\n"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_no_yaml_is_named_by_its_line(tmp_path: Path, text: str, where: str) -> None:
    """What cannot be read as YAML is named by its file and line, and by its field where there is one."""
    assert f"on: {tmp_path / 'policy.yaml'}{where}" in complaint(tmp_path, text)


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


def test_a_complaint_of_what_is_not_one_value_says_no_value(tmp_path: Path) -> None:
    """A rule that never holds is wrong as a whole: nothing is said to have been got."""
    said = complaint(tmp_path, WHOLE + "  - levels: [raw, masks]\n    wanted: {copies: 2}\n")
    assert "never holds" in said
    assert "got None" not in said
