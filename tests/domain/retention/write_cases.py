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
TRASHED = {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed"), STAGED[1]]}
ASKS = {"purge": {"after_days": 30, "approval": {"original_stands": "person", "remake": "person"}}}

LASTING = {"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}}
REST = {"levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}}
REMADE = {"levels": ["corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True}
DISPOSED = {**REMADE, "disposal": {"idle_days": 180, "notice_days": 14, "grace_days": 30}}
DISPOSAL = {"policy": {"rules": [LASTING, REST, DISPOSED]}}
LIVED = {"policy": {"rules": [{**LASTING, "lifetime": {"years": 10}}, {**REST, "lifetime": {"years": 10}}, REMADE]}}
OLD = "2019-12-01"
ENDING = {"policy": {"rules": [LASTING, {**REST, "lifetime": {"years": 10}}, {**REMADE, "lifetime": {"years": 1}}]}}
EMPTIED: Values = {"locations": {"nas": {"medium": "disk", "domain": "nas", "site": "campus", "retiring": True}}}
TWO_OF_RAW = {"policy": {"rules": [{"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}, REST, REMADE]}}


DISK: Values = {"medium": "disk", "domain": "disk07", "site": "centre", "engine": "offline", "offline": {"label": "Disk 7"}}
SHELF = {"state": "shelf", "place": "room 3, shelf B"}


def taken_away(medium: Values | None, **more: Any) -> Values:
    """A staged input whose original stands on a disk that is not put in, and what people said of that disk."""
    return {
        "artifacts": ["standard"],
        "locations": {"disk07": DISK},
        "copies": [scratch(1, "standard"), copy(2, "standard", "disk07")],
        "unreachable": ["disk07"],
        **({"media": {"disk07": medium}} if medium else {}),
        **more,
    }


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


TABLES: Values = {
    "artifacts": ["standard", "corrected", "masks", "single_cell_profiles", "bulk_profiles"],
    "made_from": {
        "corrected": ["standard"],
        "masks": ["corrected"],
        "single_cell_profiles": ["corrected", "masks"],
        "bulk_profiles": ["single_cell_profiles", "corrected"],
        "release": ["single_cell_profiles", "bulk_profiles"],
    },
    "copies": [copy(2, "standard", "nas"), scratch(3, "corrected")],
}


def tables(*copies: Values, release: tuple[str, ...] = (), **more: Any) -> Values:
    """A dataset whose tables were made; its release too, where places are named at which it stands."""
    stands = [copy(30 + n, "release", place) for n, place in enumerate(release)]
    artifacts = [*TABLES["artifacts"], *(["release"] if release else [])]
    return {**TABLES, "artifacts": artifacts, "copies": [*(copies or TABLES["copies"]), *stands], **more}


def cut(by: str = "masks", release: tuple[str, ...] = ()) -> Values:
    """The same dataset with images of cells on scratch, cut by some masks from corrected images that stand on the NAS."""
    whole = tables(copy(2, "masks", "nas"), copy(3, "corrected", "nas"), scratch(4, "single_cell_images"), release=release)
    if by != "masks":
        whole["copies"] = [copy(2, by, "nas"), *whole["copies"][1:]]
    return {
        **whole,
        "artifacts": [*dict.fromkeys([*whole["artifacts"], by, "single_cell_images"])],
        "made_from": {**TABLES["made_from"], "masks.b": ["corrected"], "single_cell_images": ["corrected", by]},
    }


def experiment(**more: Any) -> Values:
    """The same dataset with its release, and masks and tables that were made since with another model."""
    again = {
        "masks.b": ["corrected"],
        "single_cell_profiles.b": ["corrected", "masks.b"],
        "bulk_profiles.b": ["single_cell_profiles.b", "corrected"],
    }
    whole = tables(release=("nas",))
    return {
        **whole,
        "artifacts": [*whole["artifacts"], *again],
        "made": dict.fromkeys(again, "2029-02-01"),
        "made_from": {**TABLES["made_from"], **again},
        **more,
    }


def named(approver: str, who: str) -> Values:
    """A staged input that somebody approved, where the policy names an approver."""
    return {**STANDARD, "policy": {**ASKS, "approvers": [approver]}, "proposals": [yes(1, who=who)]}


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
    "trash_approved": (
        "A copy in the trash that a person approved goes when its grace has ended.",
        {1: "delete", 2: "keep"},
        {**TRASHED, "policy": ASKS, "proposals": [yes(1)]},
    ),
    "trash_refused_since": (
        "A no during the grace brings a copy back from the trash, also where nobody had to be asked.",
        {1: "recall", 2: "keep"},
        {**TRASHED, "proposals": [told(1, answer="no", who="ada", note="figure 3 is not done")]},
    ),
    "trash_not_answered": (
        "Silence is no in the trash too: what needs a person's yes comes back without one.",
        {1: "recall", 2: "keep"},
        {**TRASHED, "policy": ASKS, "proposals": [told(1)]},
    ),
    "trash_that_nobody_was_told_of": (
        "What needs a person's yes, and of which nobody was told, comes back from the trash.",
        {1: "recall", 2: "keep"},
        {**TRASHED, "policy": ASKS},
    ),
    "trash_approved_on_another_ground": (
        "A yes on a ground that is not the one any more brings a copy back from the trash.",
        {1: "recall", 2: "keep"},
        {**TRASHED, "policy": ASKS, "proposals": [yes(1, ground="remake")]},
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
    "emptied_place_untold": (
        "A copy at a place that is to be emptied is told of, where everything stands without it.",
        {1: "notify", 2: "keep"},
        {"artifacts": ["masks"], "copies": [copy(1, "masks", "nas"), copy(2, "masks", "backup")], **EMPTIED},
    ),
    "emptied_place_approved": (
        "It goes when somebody said yes.",
        {1: "remove", 2: "keep"},
        {
            "artifacts": ["masks"],
            "copies": [copy(1, "masks", "nas"), copy(2, "masks", "backup")],
            "proposals": [yes(1, ground="moved")],
            **EMPTIED,
        },
    ),
    "emptied_place_not_covered": (
        "The only copy stays, whoever said yes, and a place for another is named.",
        {1: "keep"},
        {"artifacts": ["masks"], "copies": [copy(1, "masks", "nas")], "proposals": [yes(1, ground="moved")], **EMPTIED},
    ),
    "emptied_place_one_of_three": (
        "One of three copies stays until a third stands elsewhere, also in its own failure domain.",
        {11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": three("raw"), **EMPTIED},
    ),
    "emptied_place_last_protected": (
        "Raw data stays at its last protected place, though that is to be emptied.",
        {11: "keep", 12: "keep", 13: "keep", 14: "keep"},
        {
            "artifacts": ["raw"],
            "copies": [copy(11, "raw", "nas", protection="immutable"), *three("raw")[1:], copy(14, "raw", "shelf")],
            **EMPTIED,
        },
    ),
    "emptied_place_remakeable": (
        "What could be made again is brought elsewhere too: emptying a place is no reason to give it up.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["standard", "corrected"],
            "made_from": {"corrected": ["standard"]},
            "copies": [copy(1, "corrected", "nas"), copy(2, "standard", "backup")],
            **EMPTIED,
        },
    ),
    "emptied_place_takes_nothing": (
        "No copy is asked for at a place that is to be emptied.",
        {12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": three("raw")[1:], **EMPTIED},
    ),
    "emptied_place_held": (
        "A hold keeps what is to move, as anything else.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["masks"],
            "copies": [copy(1, "masks", "nas"), copy(2, "masks", "backup")],
            "proposals": [yes(1, ground="moved")],
            "holds": [{"until": "2030-02-01", "reason": "paper", "who": "ada"}],
            **EMPTIED,
        },
    ),
    "emptied_places_both": (
        "Of two places that are to be emptied both keep their copy while a third place has none; it is named.",
        {1: "keep", 2: "keep"},
        {
            "artifacts": ["masks"],
            "copies": [copy(1, "masks", "nas"), copy(2, "masks", "backup")],
            "policy": {"rules": [LASTING, {**REST, "wanted": {"copies": 2}}, REMADE]},
            "proposals": [yes(1, ground="moved"), yes(2, ground="moved")],
            "locations": {**EMPTIED["locations"], "backup": {"medium": "disk", "domain": "backup", "site": "campus", "retiring": True}},
        },
    ),
    "copy_wanted": (
        "Where a copy is missing, the plan says where one has to be made.",
        {11: "keep", 12: "keep"},
        {"artifacts": ["raw"], "copies": three("raw")[:2]},
    ),
    "copy_wanted_that_was_cut_off": (
        "A copy that was begun and cut off is asked for again: making it anew finishes it.",
        {11: "keep", 12: "keep", 13: "keep"},
        {"artifacts": ["raw"], "copies": [*three("raw")[:2], copy(13, "raw", "cold", state="copying")]},
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
    # the very moment
    "due_now": (
        "A copy falls due on its moment.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", due=NOW), STAGED[1]]},
    ),
    "made_and_read_this_moment": (
        "What was made or read back this very moment is not of the future.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", created=NOW), copy(2, "standard", "nas", read=NOW)]},
    ),
    "demand_ends_now": (
        "What a run asked for is free again on the moment that the policy's days are over.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"idle_days": 7}}, "asked_for": {"standard": "2030-01-08T12:00:00+00:00"}},
    ),
    "lifetime_ends_now": (
        "A lifetime ends on its moment.",
        {11: "notify", 12: "notify", 13: "notify"},
        lived(made={"masks": "2020-01-15T12:00:00+00:00"}),
    ),
    "trash_whose_grace_ends_now": (
        "The grace in the trash ends on its moment.",
        {1: "delete", 2: "keep"},
        {"artifacts": ["standard"], "copies": [scratch(1, "standard", state="trashed", due=NOW), STAGED[1]]},
    ),
    "read_again_on_its_day": (
        "A copy is to be read again on the moment that the policy's days are over.",
        {2: "verify"},
        {"artifacts": ["masks"], "copies": [copy(2, "masks", "nas", read="2029-12-16T12:00:00+00:00")]},
    ),
    "lean_on_another_dataset_that_falls_due_now": (
        "What falls due this very moment may go tonight.",
        {3: "keep"},
        {
            "artifacts": ["PLATE-B/standard", "corrected"],
            "made_from": {"corrected": ["PLATE-B/standard"]},
            "copies": [copy(2, "PLATE-B/standard", "nas", due=NOW), scratch(3, "corrected")],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "scratch_nearly_full_up_to_a_day": (
        "When scratch is nearly full, what falls due up to a day goes, and nothing after it.",
        {1: "remove", 3: "keep", 2: "keep", 4: "keep"},
        {
            "artifacts": ["standard", "standard.b"],
            "copies": [
                scratch(1, "standard", due="2030-01-21", created="2029-12-22"),
                STAGED[1],
                scratch(3, "standard.b", due="2030-01-22", created="2029-12-23"),
                copy(4, "standard.b", "nas"),
            ],
            "policy": {"high_water": {"start": 0.8, "stop": 0.6, "after_days": 7}},
            "early": {"scratch": "2030-01-21"},
        },
    ),
    "cluster_purge_in_a_week": (
        "The cluster's own purge is warned of in its last week, and not before.",
        {1: "keep", 3: "keep"},
        {
            "artifacts": ["masks", "masks.b"],
            "copies": [
                scratch(1, "masks", created="2029-11-23T12:00:00+00:00"),
                scratch(3, "masks.b", created="2029-11-23T11:59:00+00:00"),
            ],
        },
    ),
    # what is made from what is over
    "lifetime_over_and_so_is_what_was_made_from_it": (
        "What was made from it and is asked for no more either, neither keeps it nor is leant on.",
        {2: "notify", 3: "notify"},
        {
            "artifacts": ["standard", "corrected", "corrected.b"],
            "made": {"standard": OLD, "corrected": "2028-01-01", "corrected.b": "2028-01-01"},
            "made_from": {"corrected": ["standard"], "corrected.b": ["standard"]},
            "copies": [copy(2, "standard", "nas"), copy(3, "corrected", "nas")],
            **ENDING,
        },
    ),
    "lifetime_over_and_what_was_made_from_it_stands": (
        "What stands on copies of its own needs nothing any more, and is leant on: it is the last that is left.",
        {2: "notify", 3: "keep"},
        {
            "artifacts": ["standard", "corrected"],
            "made": {"standard": OLD, "corrected": "2029-12-01"},
            "made_from": {"corrected": ["standard"]},
            "copies": [copy(2, "standard", "nas"), copy(3, "corrected", "nas")],
            **ENDING,
        },
    ),
    "lifetime_over_and_still_needed_further_on": (
        "What is made from what was made from it needs it as well.",
        {2: "keep"},
        {
            "artifacts": ["standard", "corrected", "single_cell_images"],
            "made": {"standard": OLD, "corrected": OLD, "single_cell_images": "2029-12-01"},
            "made_from": {"corrected": ["standard"], "single_cell_images": ["corrected"]},
            "copies": [copy(2, "standard", "nas")],
            **ENDING,
        },
    ),
    "lifetime_over_needed_and_without_a_disposal": (
        "What is needed at a lasting place does not go because it could be made again: the policy names no disposal.",
        {2: "keep", 3: "keep"},
        {
            "artifacts": ["standard", "corrected", "single_cell_images"],
            "made": {"standard": "2029-12-01", "corrected": "2028-01-01", "single_cell_images": "2029-12-01"},
            "made_from": {"corrected": ["standard"], "single_cell_images": ["corrected"]},
            "copies": [copy(2, "standard", "nas"), copy(3, "corrected", "nas")],
            **ENDING,
        },
    ),
    "lifetime_over_and_cluster_purge_near": (
        "The cluster's own purge of what the policy asks for no more is no matter.",
        {1: "notify"},
        lived(copies=[scratch(1, "masks", created="2029-11-20")]),
    ),
    # the rest of the edges
    "lean_on_a_copy_of_its_own_that_is_due": (
        "A copy of the same dataset that has a day of its own counts until it goes in this very batch.",
        {1: "remove", 2: "keep"},
        {"artifacts": ["standard"], "copies": [STAGED[0], copy(2, "standard", "nas", due="2030-01-01")]},
    ),
    "override_of_the_notice_alone": (
        "A notice that is set aside leaves the days in the trash as they are.",
        {1: "remove", 2: "keep"},
        {**STANDARD, "policy": {"purge": {"notice_days": 14, "grace_days": 5}}, "overrides": [overridden("notice_days")]},
    ),
    "override_of_the_grace_alone": (
        "Days in the trash that are set aside leave notice and demand as they are.",
        {1: "keep", 2: "keep", 3: "notify", 4: "keep"},
        {
            "artifacts": ["standard", "standard.b"],
            "copies": [*STAGED, scratch(3, "standard.b"), copy(4, "standard.b", "nas")],
            "policy": {"purge": {"notice_days": 14, "grace_days": 5, "idle_days": 7}},
            "asked_for": {"standard": "2030-01-12"},
            "overrides": [overridden("grace_days")],
        },
    ),
    "disposal_by_its_own_days": (
        "At a lasting place the days of the purge say nothing.",
        {2: "keep", 3: "notify"},
        disposed(policy={**DISPOSAL["policy"], "purge": {"after_days": 3650, "idle_days": 3650}}, asked_for={"corrected": "2029-02-01"}),
    ),
    "not_read_again_out_of_reach": (
        "A copy at a place that cannot be reached is not to be read again now.",
        {2: "keep"},
        {"artifacts": ["masks"], "copies": [copy(2, "masks", "nas", read="2029-12-01")], "unreachable": ["nas"]},
    ),
    "unknown_artifact_beside_a_named_dataset": (
        "A copy of something unknown is told of, whatever dataset is asked about, and however near the cluster's purge is.",
        {1: "remove", 2: "keep", 5: "keep"},
        {
            **STANDARD,
            "copies": [*STAGED, scratch(5, "PRJ-0009/OLD/raw@00", created="2029-11-20")],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "cluster_purge_of_a_doubtful_copy": (
        "The cluster's own purge of a copy that does not count is no matter.",
        {1: "keep"},
        {"artifacts": ["masks"], "copies": [scratch(1, "masks", created="2029-11-20", state="lost")]},
    ),
    # who said it, and to what
    "approved_by_who_may": ("A yes counts from whom the policy names.", {1: "remove", 2: "keep"}, named("ada", "ada")),
    "approved_by_who_may_not_any_more": (
        "A yes from somebody whom the policy does not name any more is none.",
        {1: "ask", 2: "keep"},
        named("grace", "ada"),
    ),
    "approved_for_somebody_else": (
        "A yes counts by who said it, not by the name that stands behind it.",
        {1: "ask", 2: "keep"},
        named("ada", "root for ada"),
    ),
    "approved_by_who_may_for_somebody_else": ("The same the other way round.", {1: "remove", 2: "keep"}, named("root", "root for ada")),
    "trash_approved_by_who_may_not_any_more": (
        "What somebody approved who may not any more comes back from the trash.",
        {1: "recall", 2: "keep"},
        {**named("grace", "ada"), **TRASHED},
    ),
    "trash_approved_by_who_may": ("The same goes where they still may.", {1: "delete", 2: "keep"}, {**named("ada", "ada"), **TRASHED}),
    "a_no_keeps_all_of_a_dataset": (
        "A no to one copy keeps what falls due of the same dataset, approved or not, and what is in the trash.",
        {1: "keep", 2: "keep", 3: "keep", 4: "keep", 5: "keep", 6: "keep", 7: "keep", 8: "keep"},
        {
            "artifacts": ["standard", "standard.b", "standard.c", "standard.d"],
            "copies": [
                *STAGED,
                scratch(3, "standard.b"),
                copy(4, "standard.b", "nas"),
                scratch(5, "standard.c"),
                copy(6, "standard.c", "nas"),
                scratch(7, "standard.d", state="trashed"),
                copy(8, "standard.d", "nas"),
            ],
            "proposals": [told(1, answer="no", who="ada", note="figure 3 is not done"), yes(3)],
        },
    ),
    "a_no_to_another_dataset": (
        "A no keeps one dataset, and no other; one to a copy that is not known here keeps nothing.",
        {1: "remove", 2: "keep", 3: "keep", 4: "keep"},
        {
            "artifacts": ["standard", "PLATE-B/standard"],
            "copies": [*STAGED, scratch(3, "PLATE-B/standard"), copy(4, "PLATE-B/standard", "nas")],
            "proposals": [told(3, answer="no", who="ada"), told(99, answer="no", who="ada")],
        },
    ),
    # disks and tapes that are taken away
    "on_the_shelf": (
        "A copy on a medium that is on the shelf counts by its last reading.",
        {1: "remove", 2: "keep"},
        taken_away(SHELF),
    ),
    "on_the_shelf_since_too_long": (
        "It stops counting when that reading is too old, and the reason says where the medium is.",
        {1: "keep", 2: "keep"},
        taken_away(SHELF, copies=[scratch(1, "standard"), copy(2, "standard", "disk07", read="2029-10-17T11:59:59")]),
    ),
    "checked_out": (
        "A medium that somebody has does not count.",
        {1: "keep", 2: "keep"},
        taken_away({"state": "out", "holder": "ada"}),
    ),
    "checked_out_and_still_put_in": (
        "It does not count from the moment that it is checked out, though it can still be reached.",
        {1: "keep", 2: "keep"},
        taken_away({"state": "out", "holder": "ada"}, unreachable=[]),
    ),
    "medium_lost": ("A medium that nobody finds does not count.", {1: "keep", 2: "keep"}, taken_away({"state": "lost"})),
    "put_in_and_gone": (
        "A medium that was put in, and is not there, does not count: nobody said where it is.",
        {1: "keep", 2: "keep"},
        taken_away({"state": "in"}),
    ),
    "put_in": ("One that is put in counts as any place does.", {1: "remove", 2: "keep"}, taken_away({"state": "in"}, unreachable=[])),
    "medium_nobody_knows": ("A medium of which nothing was said does not count.", {1: "keep", 2: "keep"}, taken_away(None)),
    "shelf_of_a_place_that_stays": (
        "What was said of a medium is not said of a place that is never taken away.",
        {1: "keep", 2: "keep"},
        {**STANDARD, "unreachable": ["nas"], "media": {"nas": SHELF}},
    ),
    "nothing_goes_from_the_shelf": (
        "A copy on a shelf stays, whatever the policy lets go: its medium has to be put in for that.",
        {2: "keep", 3: "keep"},
        disposed(
            locations={"disk07": DISK},
            copies=[copy(2, "standard", "nas"), copy(3, "corrected", "disk07", created="2029-01-01")],
            unreachable=["disk07"],
            media={"disk07": SHELF},
        ),
    ),
    "three_two_one_on_a_shelf": (
        "A disk on a shelf elsewhere is the copy off site, and nothing is asked of another place.",
        {1: "remove", 11: "keep", 12: "keep", 13: "keep"},
        {
            "artifacts": ["raw"],
            "locations": {"disk07": {**DISK, "medium": "tape"}},
            "copies": [scratch(1, "raw"), *three("raw")[:2], copy(13, "raw", "disk07")],
            "unreachable": ["disk07"],
            "media": {"disk07": SHELF},
        },
    ),
    "nothing_is_placed_on_a_shelf": (
        "A medium on a shelf is asked for no new copy.",
        {11: "keep"},
        {
            "artifacts": ["raw"],
            "locations": {"disk07": DISK},
            "copies": three("raw")[:1],
            "unreachable": ["disk07"],
            "media": {"disk07": SHELF},
        },
    ),
    # tables that have not passed the gate
    "gate_not_passed": (
        "What tables were made of that have not passed the gate does not go because it could be made again.",
        {2: "keep", 3: "keep"},
        tables(),
    ),
    "gate_passed": ("It goes once a release was made of them.", {2: "keep", 3: "remove", 30: "keep"}, tables(release=("nas",))),
    "gate_tables_of_tables": (
        "A table has not passed because another table was made of it.",
        {2: "keep", 3: "keep", 4: "keep"},
        tables(*TABLES["copies"], copy(4, "bulk_profiles", "nas")),
    ),
    "gate_passed_by_tables_of_another_level": (
        "Bulk profiles that passed alone do not stand in the place of the cells that they were made of.",
        {2: "keep", 3: "keep", 30: "keep"},
        {
            **tables(release=("nas",)),
            "made": {"bulk_profiles": "2029-02-01"},
            "made_from": {**TABLES["made_from"], "release": ["bulk_profiles"]},
        },
    ),
    "gate_passed_by_one_of_two_tables": (
        "A release of other bulk profiles leaves those that were made since waiting.",
        {2: "keep", 3: "keep", 30: "keep"},
        {
            **tables(release=("nas",)),
            "artifacts": [*TABLES["artifacts"], "bulk_profiles.b", "release"],
            "made": {"bulk_profiles.b": "2029-02-01"},
            "made_from": {**TABLES["made_from"], "bulk_profiles.b": ["single_cell_profiles", "corrected"]},
        },
    ),
    "gate_nothing_profiled_yet": (
        "Where no table was made yet, nothing waits for one.",
        {2: "keep", 3: "remove"},
        {**TABLES, "artifacts": ["standard", "corrected", "masks"]},
    ),
    "gate_staged_images_go": (
        "What is staged of the standard images leaves scratch before the tables have passed: it is not computed.",
        {1: "remove", 2: "keep"},
        tables(*STAGED),
    ),
    "gate_masks_on_scratch_stay": (
        "Masks stay on scratch for their tables, though they stand on the NAS.",
        {3: "keep", 4: "keep"},
        tables(scratch(3, "masks"), copy(4, "masks", "nas")),
    ),
    "gate_masks_on_scratch_go": (
        "They go once the tables have passed.",
        {3: "remove", 4: "keep", 30: "keep"},
        tables(scratch(3, "masks"), copy(4, "masks", "nas"), release=("nas",)),
    ),
    "gate_images_of_cells_stay": (
        "Images of cells stay for the tables of the masks by which they were cut, though no table is made of them.",
        {2: "keep", 3: "keep", 4: "keep"},
        cut(),
    ),
    "gate_images_of_cells_go": ("They go once these have passed.", {2: "keep", 3: "keep", 4: "remove", 30: "keep"}, cut(release=("nas",))),
    "gate_images_of_other_cells_go": (
        "Images that were cut by masks of which no table was made wait for none.",
        {2: "keep", 3: "keep", 4: "remove"},
        cut(by="masks.b"),
    ),
    "gate_passed_beside_another_table_of_the_masks": (
        "A table that has passed goes, though another one of the same masks has not: that one keeps what it was made of, and no sister.",
        {2: "keep", 3: "remove", 4: "keep", 30: "keep"},
        {
            **tables(copy(2, "single_cell_profiles", "nas"), scratch(3, "single_cell_profiles"), scratch(4, "masks"), release=("nas",)),
            "artifacts": [*TABLES["artifacts"], "single_cell_profiles.b", "release"],
            "made": {"single_cell_profiles.b": "2029-02-01"},
            "made_from": {**TABLES["made_from"], "single_cell_profiles.b": ["corrected", "masks"]},
        },
    ),
    "gate_table_itself_stays_on_scratch": (
        "A table that has not passed stays on scratch like what it was made of.",
        {3: "keep", 4: "keep"},
        tables(scratch(3, "bulk_profiles"), copy(4, "bulk_profiles", "nas")),
    ),
    "gate_standard_images_are_not_disposed_of": (
        "Nor does what may be made again go from a lasting place, the standard images included.",
        {3: "keep", 4: "keep"},
        {
            **tables(copy(3, "standard", "nas", created="2029-01-01"), copy(4, "raw", "nas")),
            "artifacts": ["raw", *TABLES["artifacts"]],
            "made_from": {**TABLES["made_from"], "standard": ["raw"]},
            "policy": {
                "rules": [
                    {"levels": ["raw", "release"], "wanted": {"copies": 2}},
                    {"levels": ["masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}},
                    {**DISPOSED, "levels": ["standard", "corrected", "single_cell_images"]},
                ]
            },
        },
    ),
    "gate_release_that_is_lost": (
        "A release of which no verified copy is left keeps nothing from staying.",
        {2: "keep", 3: "keep", 30: "keep"},
        tables(
            copy(2, "standard", "nas"),
            scratch(3, "corrected"),
            copy(30, "release", "nas", state="lost"),
            artifacts=[*TABLES["artifacts"], "release"],
        ),
    ),
    "gate_release_whose_lifetime_is_over": (
        "A release that the policy asks for no more has passed nevertheless.",
        {2: "keep", 3: "remove"},
        {
            **TABLES,
            "artifacts": [*TABLES["artifacts"], "release"],
            "made": {"release": OLD},
            "policy": {"rules": [{**LASTING, "lifetime": {"years": 10}}, REST, REMADE]},
        },
    ),
    "gate_another_table_passed_since": (
        "A table that failed, and in whose place a later one passed, keeps nothing any more.",
        {2: "keep", 3: "remove", 30: "keep"},
        {
            **tables(release=("nas",)),
            "artifacts": [*TABLES["artifacts"], "single_cell_profiles.b", "release"],
            "made": {"single_cell_profiles": "2029-02-01", "bulk_profiles": "2029-02-01"},
            "made_from": {**TABLES["made_from"], "single_cell_profiles.b": ["corrected", "masks"]},
        },
    ),
    "gate_another_table_made_at_the_same_time": (
        "Where it cannot be told which of two tables came later, the one that has not passed keeps what it was made of.",
        {2: "keep", 3: "keep", 30: "keep"},
        {
            **tables(release=("nas",)),
            "artifacts": [*TABLES["artifacts"], "single_cell_profiles.b", "release"],
            "made_from": {**TABLES["made_from"], "single_cell_profiles.b": ["corrected", "masks"]},
        },
    ),
    "gate_a_person_chose_another_table": (
        "An experiment that a person chose the older masks over keeps nothing any more: the tables of these have passed.",
        {2: "keep", 3: "remove", 30: "keep"},
        experiment(choices=[{"of": "masks"}]),
    ),
    "gate_nobody_chose_another_table": (
        "Until somebody chooses, the newest tables are the current ones, and are waited for.",
        {2: "keep", 3: "keep", 30: "keep"},
        experiment(),
    ),
    "gate_a_person_chose_the_table_that_has_not_passed": (
        "Nor does a choice of the tables that have not passed let anything go.",
        {2: "keep", 3: "keep", 30: "keep"},
        experiment(choices=[{"of": "masks"}, {"of": "masks.b"}]),
    ),
    "gate_a_person_chose_the_older_tables_that_have_not_passed": (
        "Tables that a person chose wait for the gate themselves, though later ones passed.",
        {2: "keep", 3: "keep", 30: "keep"},
        {
            **(later := experiment(choices=[{"of": "masks"}])),
            "made_from": {**later["made_from"], "release": ["single_cell_profiles.b", "bulk_profiles.b"]},
            "made": {**later["made"], "release": "2029-03-01"},
        },
    ),
    "gate_what_a_person_chose_has_not_passed_either": (
        "A choice of tables that have not passed themselves ends nothing.",
        {2: "keep", 3: "keep"},
        {**experiment(choices=[{"of": "masks"}]), "copies": TABLES["copies"]},
    ),
    "gate_choice_in_a_dataset_that_is_not_whole_here": (
        "A choice in a dataset that is not decided on, and of which not everything is known here, ends nothing.",
        {2: "keep", 3: "keep"},
        {
            "artifacts": ["standard", "corrected", "PLATE-B/bulk_profiles", "PLATE-B/bulk_profiles.b", "PLATE-B/release"],
            "made": {"PLATE-B/bulk_profiles.b": "2029-02-01"},
            "made_from": {
                "corrected": ["standard"],
                "PLATE-B/bulk_profiles": ["corrected"],
                "PLATE-B/bulk_profiles.b": ["corrected"],
                "PLATE-B/release": ["PLATE-B/bulk_profiles"],
            },
            "copies": [copy(2, "standard", "nas"), scratch(3, "corrected"), copy(30, "PLATE-B/release", "nas")],
            "choices": [{"of": "PLATE-B/bulk_profiles"}],
            "datasets": ["PRJ-0001/PLATE-A"],
        },
    ),
    "gate_table_of_another_dataset": (
        "Tables of another dataset that were made of it keep it as well.",
        {2: "keep", 3: "keep"},
        {
            "artifacts": ["standard", "corrected", "PLATE-B/single_cell_profiles"],
            "made_from": {"corrected": ["standard"], "PLATE-B/single_cell_profiles": ["corrected"]},
            "copies": TABLES["copies"],
        },
    ),
    "gate_another_dataset_passed": (
        "A table that passed stands in the place of those of its own dataset and level alone.",
        {2: "keep", 3: "keep", 30: "keep"},
        {
            "artifacts": ["standard", "corrected", "masks", "single_cell_profiles", "PLATE-B/single_cell_profiles", "PLATE-B/release"],
            "made": {"PLATE-B/single_cell_profiles": "2029-02-01"},
            "made_from": {
                "corrected": ["standard"],
                "single_cell_profiles": ["corrected"],
                "PLATE-B/single_cell_profiles": ["corrected"],
                "PLATE-B/release": ["PLATE-B/single_cell_profiles"],
            },
            "copies": [*TABLES["copies"], copy(30, "PLATE-B/release", "nas")],
        },
    ),
    "gate_set_aside": (
        "The gate's check can be set aside for a dataset like any other one.",
        {2: "keep", 3: "remove"},
        tables(overrides=[overridden("gate")]),
    ),
    "gate_set_aside_by_one_alone": (
        "It is not where nobody approved that.",
        {2: "keep", 3: "keep"},
        tables(overrides=[overridden("gate", approved_by="")]),
    ),
    "gate_set_aside_does_not_cover": (
        "An override of the gate's check lets nothing go that is not covered.",
        {3: "keep"},
        tables(scratch(3, "corrected"), overrides=[overridden("gate")]),
    ),
    "gate_table_whose_lifetime_is_over": (
        "A table that the policy asks for no more keeps nothing.",
        {2: "keep", 3: "remove"},
        {
            **tables(),
            "made": {"single_cell_profiles": OLD, "bulk_profiles": OLD},
            "policy": {
                "rules": [
                    LASTING,
                    {"levels": ["standard", "masks"], "wanted": {"copies": 1}},
                    {"levels": ["single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}, "lifetime": {"years": 5}},
                    REMADE,
                ]
            },
        },
    ),
    "gate_lifetime_of_an_input_is_over": (
        "What the policy itself asks for no more goes on its terms, though its tables have not passed.",
        {2: "notify", 5: "keep", 6: "keep", 7: "keep", 8: "keep"},
        {
            **tables(
                copy(2, "corrected", "nas"),
                copy(5, "standard", "nas"),
                copy(6, "masks", "nas"),
                copy(7, "single_cell_profiles", "nas"),
                copy(8, "bulk_profiles", "nas"),
            ),
            "made": {"corrected": "2028-01-01"},
            "policy": {"rules": [LASTING, REST, {**REMADE, "lifetime": {"years": 1}}]},
        },
    ),
    "gate_emptied_place": (
        "A place is emptied of what stands elsewhere, though its tables have not passed.",
        {1: "notify", 2: "keep"},
        tables(copy(1, "masks", "nas"), copy(2, "masks", "backup"), **EMPTIED),
    ),
    "gate_not_passed_and_in_the_trash": (
        "What is in the trash comes back where tables were made of it that have not passed.",
        {2: "keep", 3: "recall"},
        tables(copy(2, "standard", "nas"), scratch(3, "corrected", state="trashed")),
    ),
    "gate_passed_and_in_the_trash": (
        "It is deleted where they have.",
        {2: "keep", 3: "delete", 30: "keep"},
        tables(copy(2, "standard", "nas"), scratch(3, "corrected", state="trashed"), release=("nas",)),
    ),
    "gate_approved_all_the_same": (
        "A person's yes to a removal is none to tables that have not passed.",
        {2: "keep", 3: "keep"},
        tables(policy=ASKS, proposals=[yes(3, ground="remake")]),
    ),
    "gate_many_tables": (
        "A reason names three tables and counts the others.",
        {2: "keep", 3: "keep"},
        {
            **tables(),
            "artifacts": [*TABLES["artifacts"], "bulk_profiles.b", "bulk_profiles.c"],
            "made_from": {**TABLES["made_from"], **{f"bulk_profiles.{n}": ["single_cell_profiles"] for n in "bc"}},
        },
    ),
    "gate_and_the_clusters_purge_is_near": (
        "The cluster's own purge of what tables wait for, and what could only be made again, is warned of.",
        {2: "keep", 3: "keep", 4: "keep", 5: "keep"},
        tables(
            copy(2, "standard", "nas"),
            scratch(3, "corrected", created="2029-11-20"),
            scratch(4, "masks", created="2029-11-20"),
            copy(5, "masks", "nas"),
        ),
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
