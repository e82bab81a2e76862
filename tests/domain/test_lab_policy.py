"""The policy that a lab starts from, and what docs/retention.md says of it."""

from __future__ import annotations

import re
import shutil
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from coldchain.dataset import Project
from coldchain.levels import IRREPLACEABLE, Level
from coldchain.origins import Origin
from coldchain.policy import Approval, Policy, Purge, Rule
from coldchain.site import Site

ROOT = Path(__file__).resolve().parents[2]
SITES = ROOT / "deployments" / "sites"
DOC = (ROOT / "docs" / "retention.md").read_text()
DISPOSABLE = {Level.CORRECTED, Level.SINGLE_CELL_IMAGES}
KEPT = {Level.MASKS, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES}

each_origin = pytest.mark.parametrize("origin", Origin)


def loaded(folder: Path, text: str | None = None) -> Policy:
    """The lab's policy, or another one, at the demo's site."""
    shutil.copy(SITES / "site.yaml", folder / "site.yaml")
    (folder / "policy.yaml").write_text(text or (SITES / "lab-policy.yaml").read_text())
    return Site.load(folder / "site.yaml").load_policy()


@pytest.fixture
def lab(tmp_path: Path) -> Policy:
    """The lab's policy, which fits the demo's site."""
    return loaded(tmp_path)


def rule(policy: Policy, level: Level, origin: Origin) -> Rule:
    """What a policy says of a level of a project of an origin and of a class that no rule names."""
    return policy.rule(level, Project(id="PRJ-0001", origin=origin))


# what it says


@each_origin
def test_raw_and_release_stand_three_two_one_for_ten_years_or_more(lab: Policy, origin: Origin) -> None:
    """What cannot be made again has three copies on two media, one off site, and never ends before ten years."""
    for level in IRREPLACEABLE:
        found = rule(lab, level, origin)
        assert (found.wanted.copies, found.wanted.media, found.wanted.off_site) == (3, 2, 1)
        assert found.lifetime is None
        assert not found.remake


@each_origin
def test_masks_and_profiles_are_kept(lab: Policy, origin: Origin) -> None:
    """Masks and profiles stand in two failure domains, and nothing lets them go."""
    for level in KEPT:
        found = rule(lab, level, origin)
        assert found.wanted.copies == 2
        assert (found.lifetime, found.disposal, found.remake) == (None, None, False)


@each_origin
def test_only_what_is_disposable_may_go_without_copies(lab: Policy, origin: Origin) -> None:
    """Corrected and single-cell images may be made again instead; elsewhere nobody lets them go but a person."""
    assert {level for level in Level if rule(lab, level, origin).remake} == DISPOSABLE
    for level in DISPOSABLE:
        disposal = rule(lab, level, origin).disposal
        assert disposal is not None
        assert disposal.approval is Approval.PERSON
        assert disposal.notice_days >= 14


def test_scratch_is_purged_by_us_before_the_cluster_does_it(lab: Policy) -> None:
    """Copies go from scratch at thirty to sixty days; nobody is asked for those whose original stands, a person for all else."""
    for each in lab.rules:
        purge = lab.purge_of(each)
        assert 30 <= purge.after_days <= purge.after_days + purge.notice_days + purge.grace_days + 2 < 60
        assert (purge.approval.original_stands, purge.approval.remake) == (Approval.NONE, Approval.PERSON)
    assert lab.high_water is not None
    assert lab.high_water.after_days < lab.purge.after_days


def test_copies_are_read_back_with_room_for_missed_nights(lab: Policy) -> None:
    """Disks are read every 30 days and tape every 180; a copy counts for half as long again after its slowest reading is due."""
    assert (lab.audit.every("nas"), lab.audit.every("cold")) == (30, 180)
    assert min(each.wanted.verified_within_days for each in lab.rules) >= 1.5 * 180
    assert lab.read_back_before_removal


# what the page says of it


def said(days: float, word: str) -> str:
    """A number of days, for the page."""
    return f"{days:g} days {word}"


def yes(approval: Approval) -> str:
    """Whose yes is needed, for the page."""
    return "a person says yes" if approval is Approval.PERSON else "nobody is asked"


def from_scratch(purge: Purge, found: Rule) -> str:
    """How copies leave scratch, for the page."""
    grounds = [f"{yes(purge.approval.original_stands)} where what is wanted stands"]
    grounds += [f"{yes(purge.approval.remake)} where it has to be made again"] if found.remake else []
    spans = (
        said(purge.after_days, "old"),
        said(purge.idle_days, "idle"),
        said(purge.notice_days, "notice"),
        said(purge.grace_days, "trash"),
    )
    return ", ".join((*spans, *grounds))


def from_lasting(found: Rule) -> str:
    """How copies leave lasting places, for the page."""
    if (disposal := found.disposal) is None:
        return "never"
    spans = (said(disposal.idle_days, "idle"), said(disposal.notice_days, "notice"), said(disposal.grace_days, "trash"))
    return ", ".join((*spans, yes(disposal.approval)))


def cells(policy: Policy, level: Level, origin: Origin) -> tuple[str, ...]:
    """What the policy says of a level and origin, for the page."""
    found = rule(policy, level, origin)
    wanted = f"{found.wanted.copies} {'copy' if found.wanted.copies == 1 else 'copies'}"
    wanted += f" on {found.wanted.media} media" if found.wanted.media > 1 else ""
    wanted += f", {found.wanted.off_site} off site" if found.wanted.off_site else ""
    ends = f"{found.lifetime.years} years, {yes(found.lifetime.approval)}" if found.lifetime else "for ever"
    return (
        wanted,
        said(found.wanted.verified_within_days, "").strip(),
        ends,
        from_scratch(policy.purge_of(found), found),
        from_lasting(found),
    )


def levels_table(policy: Policy) -> str:
    """What the policy says of each level and origin; origins of which it says the same are in one row."""
    rows = [
        "| level | origin | wanted | read back within | kept | leaves scratch | leaves lasting places |",
        "|---|---|---|---|---|---|---|",
    ]
    for level in Level:
        groups: dict[tuple[str, ...], list[Origin]] = {}
        for origin in Origin:
            groups.setdefault(cells(policy, level, origin), []).append(origin)
        for words, origins in groups.items():
            named = "each" if len(origins) == len(Origin) else ", ".join(f"`{origin}`" for origin in origins)
            rows.append(f"| `{level}` | {named} | {' | '.join(words)} |")
    return "\n".join(rows)


def parts_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, alone, in a list or not at all."""
    kinds = (field.annotation, *typing.get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def default_of(field: FieldInfo) -> str:
    """A field's default, for the page."""
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "needed"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, StrEnum | int | float):
        return f"`{str(value).lower()}`"
    return {(): "empty", tuple(Origin): "all"}.get(value, "none") if isinstance(value, tuple) else "empty" if value == {} else "none"


def fields(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """A row for each field of a policy file. A rule's own purge has the fields of the policy's, which are there once."""
    for name, field in model.model_fields.items():
        part = parts_of(field)
        words = field.description or (part.__doc__ if part else None)
        assert words, f"{above}{name} has no description"
        yield f"| `{above}{name}` | {default_of(field)} | {words[0].lower()}{words[1:].rstrip('.')} |"
        if part and not (part is Purge and above):
            yield from fields(part, f"{above}{name}{'[]' if typing.get_origin(field.annotation) is tuple else ''}.")


def test_the_page_says_of_each_level_and_origin_what_the_policy_says(lab: Policy) -> None:
    """The page's table of levels is the policy's; where it is not, put this one in its place."""
    expected = levels_table(lab)
    assert expected in DOC, f"docs/retention.md must hold this table:\n\n{expected}\n"


def test_the_page_names_every_field() -> None:
    """The page's table of fields is the models'; where it is not, put this one in its place."""
    expected = "\n".join(("| field | default | what it says |", "|---|---|---|", *fields(Policy)))
    assert expected in DOC, f"docs/retention.md must hold this table:\n\n{expected}\n"


def examples() -> list[str]:
    """The rules that the page shows."""
    return re.findall(r"```yaml\n(  - levels.*?)```", DOC, re.DOTALL)


def test_the_pages_examples_fit_before_the_labs_rules(tmp_path: Path) -> None:
    """What the page shows can be put before the rules of the lab's policy as it stands there."""
    lab = (SITES / "lab-policy.yaml").read_text()
    policy = loaded(tmp_path, lab.replace("\nrules:\n", "\nrules:\n" + "".join(examples())))
    assert len(policy.rules) > len(loaded(tmp_path).rules)
    assert rule(policy, Level.MASKS, Origin.COLLABORATOR_INDUSTRY).approvers
    pilot = policy.rule(Level.MASKS, Project(id="PRJ-0001", retention_class="pilot"))
    assert pilot.lifetime is not None
    assert rule(policy, Level.MASKS, Origin.OWN).lifetime is None


def test_the_comment_on_ten_years_can_be_taken_as_it_is(tmp_path: Path) -> None:
    """The lifetime that the lab's policy shows in a comment is taken, where somebody puts it into the rule."""
    text = (SITES / "lab-policy.yaml").read_text()
    shown = re.search(r"#\s+(lifetime: \{.*\})", text)
    assert shown
    changed = text.replace("off_site: 1, verified_within_days: 270}", f"off_site: 1, verified_within_days: 270}}\n    {shown[1]}")
    lifetime: Any = rule(loaded(tmp_path, changed), Level.RAW, Origin.OWN).lifetime
    assert (lifetime.years, lifetime.approval) == (10, Approval.PERSON)
