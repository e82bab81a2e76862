"""Write the golden cases: each states its actions by hand here, and the reasons are recorded for review. Tests never run this.

Run it with `python tests/domain/retention/write_cases.py` after a reason's words were changed on purpose, and read the diff.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coldchain import retention
from coldchain.testing.ledgers import read_case, written

HERE = Path(__file__).parent
NOW, READ = "2030-01-15T12:00:00+00:00", "2030-01-10"

Values = dict[str, Any]


def copy(key: int, of: str, at: str, **more: Any) -> Values:
    """A verified copy, read back five days ago, unless said otherwise."""
    return {"id": key, "of": of, "at": at, "read": READ, **more}


def scratch(key: int, of: str, **more: Any) -> Values:
    """A copy on scratch, due since New Year unless said otherwise."""
    return copy(key, of, "scratch", **{"due": "2030-01-01", **more})


def three(of: str, first: int = 11) -> list[Values]:
    """Three copies on two media, one off site."""
    return [copy(first, of, "nas"), copy(first + 1, of, "backup"), copy(first + 2, of, "cold")]


STAGED = [scratch(1, "standard"), copy(2, "standard", "nas")]
CHAIN = {"corrected": ["standard"], "single_cell_images": ["corrected", "masks"], "masks": ["corrected"]}
STANDARD = {"artifacts": ["standard"], "copies": STAGED}
ASKS = {"purge": {"after_days": 30, "approval": {"original_stands": "person", "remake": "person"}}}

LASTING = {"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}}
REST = {"levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}}
REMADE = {"levels": ["corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True}
DISPOSED = {**REMADE, "disposal": {"idle_days": 180, "notice_days": 14, "grace_days": 30}}
DISPOSAL = {"policy": {"rules": [LASTING, REST, DISPOSED]}}
LIVED = {"policy": {"rules": [{**LASTING, "lifetime": {"years": 10}}, {**REST, "lifetime": {"years": 10}}, REMADE]}}
OLD = "2019-12-01"
TWO_OF_RAW = {"policy": {"rules": [{"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}, REST, REMADE]}}


def told(key: int, day: str = "2030-01-01", **more: Any) -> Values:
    """A proposal to remove a copy, told on New Year."""
    return {"copy": key, "told": day, **more}


def yes(key: int, **more: Any) -> Values:
    """The same, with ada's yes."""
    return told(key, **{"answer": "yes", "who": "ada", "answered": "2030-01-02", **more})


def disposed(*, made: str = "2029-01-01", **more: Any) -> Values:
    """Corrected images on the NAS whose parents stand, and which the policy lets go after half a year without demand."""
    return {
        "artifacts": ["standard", "corrected"],
        "made": {"corrected": made},
        "made_from": {"corrected": ["standard"]},
        "copies": [copy(2, "standard", "nas"), copy(3, "corrected", "nas", created=made)],
        **DISPOSAL,
        **more,
    }


def lived(level: str = "masks", **more: Any) -> Values:
    """An artifact of ten years ago, at three places."""
    return {"artifacts": [level], "made": {level: OLD}, "copies": three(level), **LIVED, **more}


def overridden(check: str, **more: Any) -> Values:
    """An approved override of one check."""
    return {"check": check, "reason": "the tape robot is broken", "who": "ada", "until": "2030-02-01", "approved_by": "grace", **more}


# name: (what it shows, action of each copy, case)
CASES: dict[str, tuple[str, dict[int, str], Values]] = {
    "staged_input_goes": ("A staged input whose original stands on the NAS goes.", {1: "remove", 2: "keep"}, STANDARD),
    "staged_input_not_due": (
        "A staged input stays until its day.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", due="2030-02-01"), STAGED[1]]},
    ),
    "due_by_the_policy": (
        "A copy without a day of its own falls due by its age.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", due=None, created="2029-12-16"), STAGED[1]]},
    ),
    "not_due_by_the_policy": (
        "A copy without a day of its own is not due before the policy's age.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", due=None, created="2029-12-17"), STAGED[1]]},
    ),
    "original_missing": ("A staged input without an original stays.", {1: "keep"}, {"artifacts": ["standard"], "copies": STAGED[:1]}),
    "three_two_one": (
        "A scratch copy of raw goes where three copies on two media stand, one off site.",
        {1: "remove", 11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), *three("raw")]},
    ),
    "short_of_copies": (
        "Two copies of raw are one short.",
        {1: "keep", 11: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), three("raw")[0], three("raw")[2]]},
    ),
    "short_of_media": (
        "Three copies on one medium are not on two.",
        {1: "keep", 11: "keep", 12: "keep", 13: "keep"},
        {
            "artifacts": ["raw"],
            "locations": {"cold": {"medium": "disk", "domain": "cold", "site": "centre"}},
            "copies": [scratch(1, "raw"), *three("raw")],
        },
    ),
    "short_of_off_site": (
        "Three copies at home are none off site.",
        {1: "keep", 11: "keep", 12: "keep", 13: "keep"},
        {
            "artifacts": ["raw"],
            "locations": {"cold": {"medium": "tape", "domain": "cold", "site": "campus"}},
            "copies": [scratch(1, "raw"), *three("raw")],
        },
    ),
    "same_failure_domain_once": (
        "Two copies that would be lost together count once.",
        {1: "keep", 11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), copy(11, "raw", "nas"), copy(12, "raw", "shelf"), copy(13, "raw", "cold")]},
    ),
    "best_of_a_failure_domain": (
        "Of copies that would be lost together, the one that serves best counts, not the one read last.",
        {1: "remove", 11: "keep", 12: "keep", 13: "keep", 14: "keep"},
        {
            "artifacts": ["release"],
            "locations": {
                "library": {"medium": "tape", "domain": "nas", "site": "campus"},
                "cold": {"medium": "disk", "domain": "cold", "site": "centre"},
            },
            "copies": [
                scratch(1, "release"),
                copy(11, "release", "library", read="2030-01-02"),
                copy(12, "release", "nas"),
                copy(13, "release", "backup"),
                copy(14, "release", "cold"),
            ],
        },
    ),
    "unreachable_original": (
        "A copy at a place that cannot be reached does not count.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "unreachable": ["nas"]},
    ),
    "unreachable_scratch": (
        "A copy whose own place cannot be reached stays.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "unreachable": ["scratch"]},
    ),
    "never_read_back": (
        "An original that was never read back does not count.",
        {1: "keep", 2: "verify"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "nas", read=None)]},
    ),
    "read_back_too_long_ago": (
        "An original that was read back before the window does not count.",
        {1: "keep", 2: "verify"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "nas", read="2029-10-17T11:59:59")]},
    ),
    "read_back_at_the_edge": (
        "An original that was read back exactly as long ago as the policy lets still counts.",
        {1: "remove", 2: "verify"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "nas", read="2029-10-17T12:00:00")]},
    ),
    "read_back_in_the_future": (
        "A reading in the future tells of a wrong clock, and does not count.",
        {1: "keep", 2: "verify"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "nas", read="2030-01-16")]},
    ),
    "made_in_the_future": (
        "A copy that was made in the future stays: some clock is wrong.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", created="2030-01-16"), STAGED[1]]},
    ),
    "hold_active": (
        "A person's hold keeps.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "holds": [{"reason": "paper in review", "who": "ada", "until": "2030-03-01"}]},
    ),
    "hold_ends_today": (
        "A hold lasts through its last day.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "holds": [{"reason": "paper in review", "who": "ada", "until": "2030-01-15"}]},
    ),
    "hold_of_yesterday_elsewhere_on_earth": (
        "A hold's last day has not ended while it is still that day somewhere.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "now": "2030-01-16T11:59:00+00:00", "holds": [{"reason": "paper in review", "who": "ada", "until": "2030-01-15"}]},
    ),
    "hold_ended": (
        "A hold that has ended keeps nothing.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "now": "2030-01-16T12:00:00+00:00", "holds": [{"reason": "paper in review", "who": "ada", "until": "2030-01-15"}]},
    ),
    "in_use": (
        "A copy of what a run is using stays.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "leases": [{"of": "standard", "use": "read", "until": "2030-01-15T12:10:00+00:00"}]},
    ),
    "remade_from_standing_parents": (
        "A corrected level without copies elsewhere goes, since its standard stands.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard", "corrected"], "made_from": CHAIN, "copies": [scratch(1, "corrected"), copy(2, "standard", "nas")]},
    ),
    "remade_parent_short": (
        "A corrected level stays where its standard does not stand.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard", "corrected"],
            "made_from": CHAIN,
            "copies": [scratch(1, "corrected"), copy(2, "standard", "nas", state="suspect", detail="'0/c/0': expected a, got b")],
        },
    ),
    "remade_parent_only_on_scratch": (
        "A corrected level stays where its standard is only on scratch, and so does that.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard", "corrected"], "made_from": CHAIN, "copies": [scratch(1, "corrected"), scratch(2, "standard")]},
    ),
    "remade_unknown_activity": (
        "What nobody wrote down cannot be made again.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard", "corrected"], "copies": [scratch(1, "corrected"), copy(2, "standard", "nas")]},
    ),
    "remade_unknown_input": (
        "What was made from something unknown cannot be made again.",
        {1: "keep"},
        {"artifacts": ["corrected"], "made_from": {"corrected": ["PRJ-0001/PLATE-A/standard@gone"]}, "copies": [scratch(1, "corrected")]},
    ),
    "remade_from_nothing": (
        "An activity without inputs makes nothing again.",
        {1: "keep"},
        {"artifacts": ["corrected"], "made_from": {"corrected": []}, "copies": [scratch(1, "corrected")]},
    ),
    "remade_in_a_chain": (
        "Crops and corrected both go: crops from masks and corrected, and that from the standard.",
        {1: "remove", 2: "remove", 3: "keep", 4: "keep"},
        {
            "artifacts": ["standard", "corrected", "masks", "single_cell_images"],
            "made_from": CHAIN,
            "copies": [scratch(1, "single_cell_images"), scratch(2, "corrected"), copy(3, "standard", "nas"), copy(4, "masks", "nas")],
        },
    ),
    "remade_chain_broken": (
        "Crops stay where the masks do not stand, though corrected could be made again and goes.",
        {1: "keep", 2: "remove", 3: "keep"},
        {
            "artifacts": ["standard", "corrected", "masks", "single_cell_images"],
            "made_from": CHAIN,
            "copies": [scratch(1, "single_cell_images"), scratch(2, "corrected"), copy(3, "standard", "nas")],
        },
    ),
    "remade_in_a_circle": (
        "Two levels that are said to be made from one another cover neither.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["corrected", "single_cell_images"],
            "made_from": {"corrected": ["single_cell_images"], "single_cell_images": ["corrected"]},
            "copies": [scratch(1, "corrected"), scratch(2, "single_cell_images")],
        },
    ),
    "remade_from_itself": (
        "A level that is said to be made from itself is not covered.",
        {1: "keep"},
        {"artifacts": ["corrected"], "made_from": {"corrected": ["corrected"]}, "copies": [scratch(1, "corrected")]},
    ),
    "raw_never_by_remake": (
        "Raw without its copies stays, whatever an activity says it came from.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["raw", "standard"], "made_from": {"raw": ["standard"]}, "copies": [scratch(1, "raw"), copy(2, "standard", "nas")]},
    ),
    "release_never_by_remake": (
        "A release without its copies stays, though everything that it was made from stands.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["release", "bulk_profiles"],
            "made_from": {"release": ["bulk_profiles"]},
            "copies": [scratch(1, "release"), copy(2, "bulk_profiles", "nas")],
        },
    ),
    "masks_not_by_remake": (
        "A level that the policy does not let be made again stays without a copy elsewhere.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["corrected", "masks"], "made_from": CHAIN, "copies": [scratch(1, "masks"), copy(2, "corrected", "nas")]},
    ),
    "doubtful_copies_are_kept": (
        "Suspect, lost and unfinished copies are never removed, and never count.",
        {1: "keep", 2: "keep", 3: "keep", 4: "keep"},
        {
            "artifacts": ["standard", "standard.b", "standard.c"],
            "copies": [
                scratch(1, "standard", state="suspect", detail="'a': expected 1, got 2"),
                scratch(2, "standard.b", state="lost"),
                scratch(3, "standard.c", state="copying", read=None),
                copy(4, "standard", "nas", state="copying", read=None),
            ],
        },
    ),
    "suspect_original": (
        "A staged input whose original is suspect stays, and the shortfall says what is missing.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [STAGED[0], copy(2, "standard", "nas", state="suspect", detail="'0/c/0': expected a, got b")],
        },
    ),
    "trash_in_its_grace": (
        "A copy in the trash stays until its grace has ended.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed", due="2030-01-20"), STAGED[1]]},
    ),
    "trash_after_its_grace": (
        "A copy in the trash goes when its grace has ended, and what covers it still stands.",
        {1: "delete", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed", due="2030-01-15"), STAGED[1]]},
    ),
    "trash_without_a_day": (
        "A copy in the trash without a day stays.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed", due=None), STAGED[1]]},
    ),
    "trash_not_covered_any_more": (
        "A copy in the trash stays when what covered it is suspect by now.",
        {1: "recall", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed"), copy(2, "standard", "nas", state="suspect")]},
    ),
    "trash_held": (
        "A hold that was set during the grace keeps the trash.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [scratch(1, "standard", state="trashed"), STAGED[1]],
            "holds": [{"reason": "paper in review", "who": "ada", "until": "2030-03-01"}],
        },
    ),
    "trash_in_use": (
        "What a run is using stays in the trash: it may be about to be taken out.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [scratch(1, "standard", state="trashed"), STAGED[1]],
            "leases": [{"of": "standard", "use": "alone", "until": "2030-01-15T12:10:00+00:00"}],
        },
    ),
    "trash_unreachable": (
        "A trash that cannot be reached is not emptied.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed"), STAGED[1]], "unreachable": ["scratch"]},
    ),
    "person_is_asked": (
        "Where the policy wants a person's yes, the copy waits for it.",
        {1: "notify", 2: "keep"},
        {**STANDARD, "policy": ASKS},
    ),
    "person_is_not_asked_in_vain": (
        "A person is asked only for what may go.",
        {1: "keep"},
        {"artifacts": ["standard"], "copies": STAGED[:1], "policy": ASKS},
    ),
    "unknown_location": (
        "A copy at a place that the site does not know is kept, and does not count.",
        {1: "keep", 2: "keep", 3: "keep"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "attic"), copy(3, "standard", "attic", due="2030-01-01")]},
    ),
    "unknown_artifact": ("A copy of something unknown is kept.", {1: "keep"}, {"copies": [scratch(1, "PRJ-0009/OLD/raw@00")]}),
    "two_scratch_copies": (
        "Two scratch copies of one artifact both go: neither ever counted.",
        {1: "remove", 2: "keep", 3: "remove"},
        {"artifacts": ["standard"], "copies": [*STAGED, copy(3, "standard", "scratch2", due="2030-01-02")]},
    ),
    "scratch_copies_do_not_cover_one_another": (
        "Two scratch copies do not cover one another.",
        {1: "keep", 3: "keep"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(3, "standard", "scratch2", due="2030-01-02")]},
    ),
    "cluster_purge_near": (
        "What only the cluster has, and will remove itself within a week, is warned of.",
        {1: "keep", 2: "keep"},
        {"artifacts": ["masks"], "copies": [scratch(1, "masks", created="2029-11-20"), copy(2, "masks", "nas", state="suspect")]},
    ),
    "cluster_purge_covered": (
        "The cluster's own purge of what is covered is no matter.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", created="2029-11-20"), STAGED[1]]},
    ),
    "nas_copies_are_kept": (
        "A copy at a lasting place is kept, however many others stand, and its reasons say what stands.",
        {11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["release"], "copies": three("release")},
    ),
    "rule_by_origin": (
        "The first rule that fits holds: a collaborator's standard wants two copies.",
        {1: "keep", 2: "keep"},
        {
            **STANDARD,
            "project": {"origin": "collaborator_industry"},
            "policy": {
                "rules": [
                    {"levels": ["standard"], "origins": ["collaborator_industry"], "wanted": {"copies": 2}},
                    {"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}},
                    {
                        "levels": ["standard", "corrected", "masks", "single_cell_images", "single_cell_profiles", "bulk_profiles"],
                        "wanted": {"copies": 1},
                    },
                ]
            },
        },
    ),
    # people: notice, answer, silence
    "told_first_where_a_person_is_asked": (
        "A removal that needs a person's yes is told first.",
        {1: "notify", 2: "keep"},
        {**STANDARD, "policy": ASKS},
    ),
    "silence_is_no": (
        "What nobody answered stays, however long ago it was told.",
        {1: "ask", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [told(1, "2029-06-01")]},
    ),
    "approved": ("What a person approved goes.", {1: "remove", 2: "keep"}, {**STANDARD, "policy": ASKS, "proposals": [yes(1)]}),
    "refused": (
        "What a person refused stays.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [told(1, answer="no", who="ada", note="figure 3 is not done")]},
    ),
    "refused_where_nobody_had_to_be_asked": (
        "A no holds even where the policy asks for no yes.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "proposals": [told(1, answer="no", who="ada", note="wait")]},
    ),
    "notice_period_runs": (
        "Nothing goes before its notice period has ended, approved or not.",
        {1: "ask", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"notice_days": 14}}, "proposals": [yes(1, day="2030-01-05")]},
    ),
    "notice_period_over": (
        "Where no person is asked, a removal that was told goes when its notice period has ended.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"notice_days": 14}}, "proposals": [told(1)]},
    ),
    "notice_is_told_first": (
        "A removal with a notice period is told first.",
        {1: "notify", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"notice_days": 14}}},
    ),
    "approved_under_another_policy": (
        "An approval that was given under another policy does not hold.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1, policy="another")]},
    ),
    "approved_on_another_ground": (
        "An approval of a purge of what stands elsewhere is none of a removal of what could only be made again.",
        {2: "keep", 3: "keep"},
        {
            "artifacts": ["standard", "corrected"],
            "copies": [STAGED[1], scratch(3, "corrected")],
            "made_from": CHAIN,
            "policy": ASKS,
            "proposals": [yes(3)],
        },
    ),
    "asked_for_since_it_was_approved": (
        "What a run asked for after people were told is told anew.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1)], "asked_for": {"standard": "2030-01-03"}},
    ),
    "told_in_the_future": (
        "A notice of the future is a wrong clock.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1, day="2030-02-01")]},
    ),
    "approved_but_held": (
        "A hold keeps what was approved.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1)], "holds": [{"reason": "figure 3", "who": "ada", "until": "2030-02-01"}]},
    ),
    "approved_but_not_covered_any_more": (
        "An approval does not replace the original.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [STAGED[0], copy(2, "standard", "nas", state="suspect")],
            "policy": ASKS,
            "proposals": [yes(1)],
        },
    ),
    # demand
    "in_demand": (
        "What a run asked for lately stays on scratch.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"idle_days": 7}}, "asked_for": {"standard": "2030-01-12"}},
    ),
    "not_in_demand_any_more": (
        "What no run asked for in the policy's days goes.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"idle_days": 7}}, "asked_for": {"standard": "2030-01-02"}},
    ),
    # disposal at lasting places
    "disposable_is_told": ("What can be made again and nobody asked for in half a year is told.", {2: "keep", 3: "notify"}, disposed()),
    "disposable_goes": (
        "The same goes when it was approved and its notice period is over.",
        {2: "keep", 3: "remove"},
        disposed(proposals=[yes(3, ground="remake")]),
    ),
    "disposable_is_young": ("What was made lately stays, whoever asked.", {2: "keep", 3: "keep"}, disposed(made="2029-12-01")),
    "disposable_is_in_demand": (
        "What a run asked for within half a year stays.",
        {2: "keep", 3: "keep"},
        disposed(asked_for={"corrected": "2029-12-01"}),
    ),
    "disposable_cannot_be_made_again_now": (
        "What cannot be made again now stays, however idle.",
        {2: "keep", 3: "keep"},
        disposed(copies=[copy(2, "standard", "nas", state="suspect"), copy(3, "corrected", "nas", created="2029-01-01")]),
    ),
    # lifetime
    "lifetime_over_is_told": (
        "What the policy asks for no more is told first, all of it.",
        {11: "notify", 12: "notify", 13: "notify"},
        lived(),
    ),
    "lifetime_over_goes": (
        "The same goes when it was approved.",
        {11: "remove", 12: "remove", 13: "remove"},
        lived(proposals=[yes(key, day="2029-09-01", ground="lifetime") for key in (11, 12, 13)]),
    ),
    "lifetime_not_over": (
        "A lifetime ends on its day, not before.",
        {11: "keep", 12: "keep", 13: "keep"},
        lived(made={"masks": "2020-02-01"}),
    ),
    "lifetime_from_a_leap_day": (
        "Ten years from a 29 February end on 1 March, never a day early.",
        {11: "keep", 12: "keep", 13: "keep"},
        lived(
            made={"masks": "2020-02-29"},
            now="2030-02-28T23:59:00+00:00",
            copies=[copy(key, "masks", at, read="2030-02-20") for key, at in ((11, "nas"), (12, "backup"), (13, "cold"))],
        ),
    ),
    "raw_stays_at_its_last_protected_place": (
        "Raw data stays at its last protected place when its lifetime is over and a person approved.",
        {11: "remove", 12: "remove", 13: "keep"},
        lived(
            "raw",
            copies=[copy(11, "raw", "nas"), copy(12, "raw", "backup"), copy(13, "raw", "cold", protection="immutable")],
            proposals=[yes(key, day="2029-09-01", ground="lifetime") for key in (11, 12, 13)],
        ),
    ),
    "raw_without_protection_stays": (
        "Raw data that is protected nowhere is not removed at all.",
        {11: "keep", 12: "keep", 13: "keep"},
        lived("raw", proposals=[yes(key, day="2029-09-01", ground="lifetime") for key in (11, 12, 13)]),
    ),
    "lifetime_over_and_still_needed": (
        "What something is to be made again from stays, though its own lifetime is over.",
        {2: "keep"},
        {
            "artifacts": ["standard", "corrected"],
            "made": {"standard": OLD, "corrected": "2029-12-01"},
            "made_from": {"corrected": ["standard"]},
            "copies": [copy(2, "standard", "nas")],
            **LIVED,
        },
    ),
    # one store under two names
    "one_store_under_two_names": (
        "Two locations that turn out to be one store are one copy.",
        {1: "keep", 11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), *three("raw")], "same": {"backup": "nas"}},
    ),
    "scratch_under_another_name": (
        "A place that is the same store as scratch removes files by itself too.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "same": {"nas": "scratch"}},
    ),
    # high water
    "scratch_nearly_full": (
        "When scratch is nearly full, what falls due next goes earlier.",
        {1: "remove", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [scratch(1, "standard", due="2030-01-20", created="2029-12-21"), STAGED[1]],
            "policy": {"high_water": {"start": 0.8, "stop": 0.6, "after_days": 7}},
            "early": {"scratch": "2030-01-21"},
        },
    ),
    "scratch_nearly_full_but_new": (
        "Even then a copy stays its first days.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [scratch(1, "standard", due="2030-01-20", created="2030-01-10"), STAGED[1]],
            "policy": {"high_water": {"start": 0.8, "stop": 0.6, "after_days": 7}},
            "early": {"scratch": "2030-01-21"},
        },
    ),
    # overrides
    "override_of_one_check": (
        "A check that was set aside, and approved, does not hinder.",
        {1: "remove", 11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [scratch(1, "raw"), *three("raw")[:2]],
            "policy": {"rules": [{"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}, REST, REMADE]},
            "overrides": [overridden("off_site")],
        },
    ),
    "override_of_another_check": (
        "An override sets one check aside, and no other.",
        {1: "keep", 11: "keep", 12: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), *three("raw")[:2]], "overrides": [overridden("off_site")]},
    ),
    "override_not_approved": (
        "An override that nobody approved sets nothing aside.",
        {1: "keep", 11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [scratch(1, "raw"), *three("raw")[:2]],
            "policy": {"rules": [{"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}, REST, REMADE]},
            "overrides": [overridden("off_site", approved_by="")],
        },
    ),
    "override_ended": (
        "An override ends with its day.",
        {1: "keep", 11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [scratch(1, "raw"), *three("raw")[:2]],
            "policy": {"rules": [{"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}, REST, REMADE]},
            "overrides": [overridden("off_site", until="2030-01-14")],
        },
    ),
    "override_of_all_copies_is_none": (
        "One copy must stand whatever is set aside.",
        {1: "keep"},
        {
            "artifacts": ["standard"],
            "copies": STAGED[:1],
            "overrides": [overridden(check) for check in ("copies", "media", "off_site", "verified_within_days")],
        },
    ),
    # acts
    "read_again": (
        "A copy at a lasting place whose last reading is too old is to be read again.",
        {2: "verify"},
        {"artifacts": ["masks"], "copies": [copy(2, "masks", "nas", read="2029-12-01")]},
    ),
    "copy_wanted": (
        "Where a copy is missing, the plan says where one has to be made.",
        {11: "keep", 12: "keep"},
        {"artifacts": ["raw"], "copies": three("raw")[:2]},
    ),
    "copy_wanted_but_not_allowed": (
        "No copy is asked for at a place where the data may not go.",
        {11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": three("raw")[:2],
            "project": {"origin": "collaborator_industry"},
            "locations": {"cold": {"medium": "tape", "domain": "cold", "site": "centre", "reach": "outside"}},
        },
    ),
    "only_named_datasets_are_decided_on": (
        "What belongs to a dataset that is not asked about is left out.",
        {},
        {**STANDARD, "datasets": ["PRJ-0001/ANOTHER"]},
    ),
    # edges
    "lifetime_notice_runs": (
        "The end of a lifetime has a notice period of its own, and days in the trash.",
        {11: "ask", 12: "ask", 13: "ask"},
        lived(proposals=[yes(key, day="2029-12-20", ground="lifetime") for key in (11, 12, 13)]),
    ),
    "remake_has_an_approval_of_its_own": (
        "A purge of what stands and one of what could only be made again are approved each by its own line of the policy.",
        {2: "keep", 3: "remove"},
        {
            "artifacts": ["standard", "corrected"],
            "copies": [STAGED[1], scratch(3, "corrected")],
            "made_from": CHAIN,
            "policy": {"purge": {"approval": {"original_stands": "person", "remake": "none"}, "grace_days": 3}},
        },
    ),
    "told_this_moment": (
        "What is told and approved this moment is not of the future.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1, day=NOW)]},
    ),
    "asked_for_before_it_was_told": (
        "A run that asked before people were told changes nothing, nor one of the same moment.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [yes(1)], "asked_for": {"standard": "2030-01-01"}},
    ),
    "notice_period_ends_now": (
        "The notice period ends on its moment.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"notice_days": 14}}, "proposals": [told(1, "2030-01-01T12:00:00+00:00")]},
    ),
    "refused_without_a_word": (
        "A no needs no reason.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "policy": ASKS, "proposals": [told(1, answer="no", who="ada")]},
    ),
    "override_on_its_last_day": (
        "An override holds on its last day, where that day ends first on Earth.",
        {1: "remove", 11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [scratch(1, "raw"), *three("raw")[:2]],
            **TWO_OF_RAW,
            "overrides": [overridden("off_site", until="2030-01-16")],
        },
    ),
    "override_of_a_day_that_ended_somewhere": (
        "An override does not hold when its last day has ended anywhere on Earth.",
        {1: "keep", 11: "keep", 12: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [scratch(1, "raw"), *three("raw")[:2]],
            **TWO_OF_RAW,
            "overrides": [overridden("off_site", until="2030-01-15")],
        },
    ),
    "override_of_the_copies": (
        "One check set aside leaves the others: one copy is enough, but not on one medium.",
        {1: "keep", 11: "keep"},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw"), three("raw")[0]], "overrides": [overridden("copies")]},
    ),
    "override_of_the_age": (
        "A person may have a copy go before its day, with an approved override.",
        {1: "remove", 2: "keep"},
        {
            "artifacts": ["standard"],
            "copies": [scratch(1, "standard", due="2030-02-01"), STAGED[1]],
            "overrides": [overridden("after_days")],
        },
    ),
    "override_of_the_demand": (
        "The same for what a run asked for lately.",
        {1: "remove", 2: "keep"},
        {
            **STANDARD,
            "policy": {"purge": {"idle_days": 7}},
            "asked_for": {"standard": "2030-01-12"},
            "overrides": [overridden("idle_days")],
        },
    ),
    "override_of_the_notice": (
        "The same for a notice period.",
        {1: "remove", 2: "keep"},
        {
            **STANDARD,
            "policy": {"purge": {"notice_days": 14, "grace_days": 5}},
            "overrides": [overridden("notice_days"), overridden("grace_days")],
        },
    ),
    "override_of_the_reading": (
        "The same for the window of readings.",
        {1: "remove", 2: "verify"},
        {
            "artifacts": ["standard"],
            "copies": [STAGED[0], copy(2, "standard", "nas", read="2029-06-01")],
            "overrides": [overridden("verified_within_days")],
        },
    ),
    "override_of_another_dataset": (
        "An override is of one dataset.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["PLATE-B/standard"],
            "copies": [scratch(1, "PLATE-B/standard", due="2030-02-01"), copy(2, "PLATE-B/standard", "nas")],
            "overrides": [overridden("after_days")],
        },
    ),
    "hold_of_another_dataset": (
        "A hold is of one dataset.",
        {1: "remove", 2: "keep"},
        {
            "artifacts": ["PLATE-B/standard"],
            "copies": [scratch(1, "PLATE-B/standard"), copy(2, "PLATE-B/standard", "nas")],
            "holds": [{"reason": "figure 3", "who": "ada", "until": "2030-02-01"}],
        },
    ),
    "another_dataset_is_short": (
        "What is short or due of a dataset that is not asked about is left to its own turn.",
        {},
        {"artifacts": ["raw"], "copies": [scratch(1, "raw", created="2029-11-20"), *three("raw")[:1]], "datasets": ["PRJ-0001/ANOTHER"]},
    ),
    "the_named_dataset_is_decided_on": (
        "A dataset that is named is decided on.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "datasets": ["PRJ-0001/PLATE-A"]},
    ),
    "lean_on_another_dataset": (
        "What is made from another dataset's artifact can be made again from it.",
        {3: "remove"},
        {
            "artifacts": ["PLATE-B/standard", "corrected"],
            "made_from": {"corrected": ["PLATE-B/standard"]},
            "copies": [copy(2, "PLATE-B/standard", "nas"), scratch(3, "corrected")],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "lean_on_another_dataset_that_falls_due": (
        "Nothing leans on another dataset's copy that may go in the same night.",
        {3: "keep"},
        {
            "artifacts": ["PLATE-B/standard", "corrected"],
            "made_from": {"corrected": ["PLATE-B/standard"]},
            "copies": [copy(2, "PLATE-B/standard", "nas", due="2030-01-15"), scratch(3, "corrected")],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "lean_on_another_dataset_that_falls_due_later": (
        "What falls due later does not go tonight.",
        {3: "remove"},
        {
            "artifacts": ["PLATE-B/standard", "corrected"],
            "made_from": {"corrected": ["PLATE-B/standard"]},
            "copies": [copy(2, "PLATE-B/standard", "nas", due="2030-01-16"), scratch(3, "corrected")],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "lifetime_over_and_short": (
        "What the policy asks for no more is not short of anything.",
        {1: "keep"},
        lived(copies=[scratch(1, "masks", due="2030-02-01", created="2030-01-01")]),
    ),
    "lifetime_over_on_scratch": (
        "What the policy asks for no more goes from scratch too, and stands nowhere then.",
        {1: "remove"},
        lived(copies=[scratch(1, "masks")], proposals=[yes(1, day="2029-09-01", ground="lifetime")]),
    ),
    "no_copy_wanted_where_it_would_not_help": (
        "No copy is asked for at a place that brings nothing that is missing.",
        {11: "keep", 12: "keep", 14: "keep"},
        {
            "artifacts": ["raw"],
            "locations": {
                "annex": {"medium": "disk", "domain": "annex", "site": "campus"},
                "hut": {"medium": "disk", "domain": "hut", "site": "campus"},
            },
            "copies": [*three("raw")[:2], copy(14, "raw", "annex")],
            "unreachable": ["cold"],
        },
    ),
    "no_copy_wanted_out_of_reach": (
        "No copy is asked for at a place that cannot be reached.",
        {11: "keep", 12: "keep"},
        {"artifacts": ["raw"], "copies": three("raw")[:2], "unreachable": ["cold"]},
    ),
    "copies_wanted_one_by_one": (
        "All that is missing is asked for at once.",
        {11: "keep"},
        {"artifacts": ["raw"], "copies": three("raw")[:1]},
    ),
    "scratch_of_two_ages": (
        "Two places that are one store go by the shorter age, and no other place does.",
        {1: "keep", 2: "keep", 3: "keep"},
        {
            "artifacts": ["standard"],
            "locations": {
                "scratch2": {"medium": "disk", "domain": "cluster2", "site": "campus", "purge_age_days": 14},
                "scratch3": {"medium": "disk", "domain": "cluster3", "site": "campus", "purge_age_days": 40},
            },
            "same": {"scratch3": "scratch"},
            "copies": [scratch(1, "standard"), copy(2, "standard", "scratch2"), copy(3, "standard", "scratch3")],
        },
    ),
    "an_audit_of_its_own": (
        "A location may be read at its own pace.",
        {2: "keep", 3: "verify"},
        {
            "artifacts": ["masks"],
            "copies": [copy(2, "masks", "cold", read="2029-12-01"), copy(3, "masks", "nas", read="2029-12-01")],
            "policy": {"audit": {"every_days": 30, "locations": {"cold": 60}}},
        },
    ),
}


def write() -> None:
    """Write every case, refusing one whose actions are not those that are stated here."""
    common = json.loads((HERE / "common.json").read_text())
    wrong: list[str] = []
    for name, (says, actions, case) in CASES.items():
        whole = {"says": says, "now": NOW, **case}
        read = read_case(whole, common["places"], common["policy"])
        found = written(retention.plan(read.ledger, read.policy, read.now))
        got = {int(key): each["action"] for key, each in found["decisions"].items()}
        if got != actions:
            wrong.append(f"{name}: expected {actions}, got {got}\n{json.dumps(found['decisions'], indent=1)}")
            continue
        (HERE / "cases" / f"{name}.json").write_text(json.dumps({**whole, "expected": found}, indent=1) + "\n")
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{len(CASES)} cases")


if __name__ == "__main__":
    write()
