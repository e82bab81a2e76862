"""Whether a policy fits its site: enough places for its copies, and purges that come before the cluster's own."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldchain import policy_fit
from coldchain.errors import ConfigurationError
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Policy, Rule, Wanted
from coldchain.site import Site

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"

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


def site_of(folder: Path, text: str, **changes: dict[str, Any]) -> Site:
    """The demo's site with changes of its locations, by name, and with this policy."""
    said = yaml.safe_load((SITES / "site.yaml").read_text())
    for location in said["locations"]:
        location.update(changes.get(location["name"], {}))
    (folder / "site.yaml").write_text(yaml.safe_dump(said))
    (folder / "policy.yaml").write_text(text)
    return Site.load(folder / "site.yaml")


def complaint(folder: Path, text: str, **changes: dict[str, Any]) -> str:
    """What loading the policy of such a site complains of."""
    site = site_of(folder, text, **changes)
    with pytest.raises(ConfigurationError) as caught:
        site.load_policy()
    return str(caught.value)


def test_a_policy_that_fits_is_read(tmp_path: Path) -> None:
    """What the site can give is no matter for complaint."""
    assert site_of(tmp_path, WHOLE).load_policy().name == "lab"


PURGED = "    purge: {{after_days: {}, notice_days: {}}}\n"
FOURFOLD = WHOLE.replace("copies: 3", "copies: 4")
WRONG: dict[str, tuple[str, dict[str, dict[str, Any]], int, str, str]] = {
    "more copies than places": (FOURFOLD, {}, 5, "rules.0.wanted.copies", "expected at most 3, the number of failure domains"),
    "two places in one failure domain": (WHOLE, {"backup": {"domain": "nas"}}, 5, "rules.0.wanted.copies", "(cold-archive, nas), got 3"),
    "scratch is no place": (FOURFOLD, {"scratch": {"domain": "apart"}}, 5, "rules.0.wanted.copies", "expected at most 3"),
    "more media than there are": (WHOLE, {"cold": {"medium": "disk"}}, 5, "rules.0.wanted.media", "expected at most 1"),
    "more off site than there are": (WHOLE, {"cold": {"site": "campus"}}, 5, "rules.0.wanted.off_site", "expected at most 0"),
    "the cluster is as fast": (WHOLE + "purge: {after_days: 58}\n", {}, 11, "purge.after_days", "got 58 + 0 + 2 = 60"),
    "the cluster is as fast as the notice": (
        WHOLE + "purge: {after_days: 40, notice_days: 20}\n",
        {},
        11,
        "purge.after_days",
        "together below 60, the purge_age_days of scratch, got 40 + 20 + 2 = 62",
    ),
    "the cluster is faster than a rule": (WHOLE + PURGED.format(51, 7), {}, 11, "rules.2.purge.after_days", "got 51 + 7 + 2 = 60"),
    "the cluster is faster than what the other rules use": (
        WHOLE + PURGED.format(5, 0) + "purge: {after_days: 90}\n",
        {},
        12,
        "purge.after_days",
        "got 90 + 0 + 2 = 92",
    ),
    "the cluster is faster than the default": (
        WHOLE,
        {"scratch": {"purge_age_days": 32}},
        1,
        "purge.after_days",
        "together below 32, the purge_age_days of scratch, got 30 + 0 + 2 = 32",
    ),
    "what is asked for waits longer than the cluster": (
        WHOLE + "purge: {after_days: 5, idle_days: 58}\n",
        {},
        11,
        "purge.idle_days",
        "got 58 + 0 + 2 = 60",
    ),
    "an audit of scratch": (WHOLE + "audit: {locations: {scratch: 60}}\n", {}, 11, "audit.locations.scratch", "never counts"),
    "what is asked for waits as long": (
        WHOLE + "purge: {after_days: 58, idle_days: 58}\n",
        {},
        11,
        "purge.after_days",
        "got 58 + 0 + 2 = 60",
    ),
    "an audit of nowhere": (
        WHOLE + "audit: {locations: {attic: 60}}\n",
        {},
        11,
        "audit.locations.attic",
        "the site has no such location (expected one of nas, cold, backup, got attic)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named_by_file_line_and_field(tmp_path: Path, name: str) -> None:
    """What the site cannot give is refused at its field of the policy, with what was expected and got."""
    text, changes, line, field, says = WRONG[name]
    said = complaint(tmp_path, text, **changes)
    assert f"{tmp_path / 'policy.yaml'}:{line}: {field}: " in said
    assert says in said


def test_everything_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    """Copies, purge and audit are complained of in one go."""
    said = complaint(tmp_path, FOURFOLD + "purge: {after_days: 90}\naudit: {locations: {attic: 60}}\n")
    assert all(field in said for field in ("rules.0.wanted.copies", "purge.after_days", "audit.locations.attic"))


def test_a_count_that_is_too_high_is_told_once(tmp_path: Path) -> None:
    """Where one count alone is more than the site can give, nothing is said of the counts together."""
    assert complaint(tmp_path, WHOLE, cold={"medium": "disk"}).count("rules.0.wanted") == 1


def test_media_and_off_site_have_to_come_from_one_choice(tmp_path: Path) -> None:
    """A failure domain gives its tape or its place off site, not both: two lists that would do alone do not do together."""
    text = WHOLE.replace("copies: 3", "copies: 2")
    changes = {"nas": {"domain": "one"}, "cold": {"domain": "one", "site": "campus"}, "backup": {"domain": "two"}}
    assert "off_site" in complaint(tmp_path, text, **changes)
    site = site_of(tmp_path, text, **(changes | {"nas": {"domain": "one", "site": "elsewhere"}}))
    places = [*site.locations]
    found = list(policy_fit.check(Policy.model_validate(yaml.safe_load(text)), places, "campus"))
    assert [each.place for each in found] == [("rules", 0, "wanted")]
    assert found[0].got == "2 media with 1 off site"


@pytest.mark.parametrize(
    "more",
    [
        "purge: {after_days: 57}\n",
        "purge: {after_days: 50, notice_days: 7.5}\n",
        "purge: {after_days: 50, grace_days: 90}\n",
        "purge: {after_days: 5, idle_days: 57}\n",
        "audit: {locations: {cold: 60}}\n",
        PURGED.format(57, 0),
    ],
)
def test_what_just_fits_is_read(tmp_path: Path, more: str) -> None:
    """The last value before a refusal is taken; the grace is after the removal."""
    assert site_of(tmp_path, WHOLE + more).load_policy().version == 3


def test_a_purge_that_no_rule_uses_is_no_matter(tmp_path: Path) -> None:
    """Where each rule has a purge of its own, the policy's own is not held against the cluster's."""
    rules = [{**rule, "purge": {"after_days": 5}} for rule in yaml.safe_load(WHOLE)["rules"]]
    text = yaml.safe_dump({"name": "lab", "version": 3, "rules": rules})
    assert site_of(tmp_path, text, scratch={"purge_age_days": 20}).load_policy().name == "lab"


def test_every_scratch_is_looked_at(tmp_path: Path) -> None:
    """Each place that removes files by itself is named with its own age."""
    site = site_of(tmp_path, WHOLE)
    short = Location(name="burst", root="burst", medium=Medium.DISK, domain="burst", site="campus", purge_age_days=14)
    found = list(policy_fit.check(Policy.model_validate(yaml.safe_load(WHOLE)), [*site.locations, short], site.home))
    assert ["burst" in each.what for each in found] == [True]


places = st.lists(
    st.builds(
        lambda number, medium, domain, site, age: Location(
            name=f"place{number}", root=f"place{number}", medium=medium, domain=domain, site=site, purge_age_days=age
        ),
        st.integers(0, 99),
        st.sampled_from(Medium),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["campus", "centre"]),
        st.sampled_from([None, None, 60]),
    ),
    max_size=6,
)
wishes = st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(0, 3)).filter(lambda wish: max(wish) == wish[0])


@given(places, wishes)
def test_a_wish_is_refused_just_where_no_choice_of_places_fulfils_it(found: list[Location], wish: tuple[int, int, int]) -> None:
    """Whatever the places: a wish is complained of if, and only if, no choice of one place in each failure domain fulfils it."""
    copies, media, off_site = wish
    lasting = [place for place in found if not place.transient]
    domains = {domain: [place for place in lasting if place.domain == domain] for domain in {place.domain for place in lasting}}
    possible = any(
        len(chosen) >= copies
        and len({place.medium for place in chosen}) >= media
        and sum(place.site != "campus" for place in chosen) >= off_site
        for chosen in product(*domains.values())
    )
    policy = Policy(name="any", version=1, rules=(Rule(levels=tuple(Level), wanted=Wanted(copies=copies, media=media, off_site=off_site)),))
    assert (not list(policy_fit.check(policy, found, "campus"))) is possible


def test_many_places_are_looked_at_in_no_time() -> None:
    """A site of sixty failure domains with three places each is checked without trying every choice."""
    sixty = [
        Location(name=f"p{n}-{medium}", root=f"p{n}-{medium}", medium=medium, domain=f"d{n}", site="campus")
        for n in range(60)
        for medium in Medium
    ]
    policy = Policy(name="any", version=1, rules=(Rule(levels=tuple(Level), wanted=Wanted(copies=9, media=3)),))
    assert not list(policy_fit.check(policy, sixty, "campus"))
