"""Keeping what the policy asks for true: which datasets are short of copies, what stands at a place that is to be emptied."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import emptying, planning, reviewing, verifying
from coldchain.errors import IntegrityError
from tasks.running import progress, work
from tasks.show import key
from tasks.workspace import open_workspace

MANY = 100_000
"""Artifacts that are short of copies and looked at in one night."""

SHOWN = 500


@work
def short_datasets(most: int) -> list[str]:
    """Datasets that have too few copies by the policy as it is now, the oldest first."""
    ws = open_workspace()
    planning.date_anew(ws)
    reviewing.review(ws)
    return list(dict.fromkeys(name.rsplit("/", 1)[0] for name, _ in ws.catalogue.shortfalls(MANY)))[:most]


@work
def datasets_at(location: str) -> list[str]:
    """Datasets with copies at a location that is to be emptied; raises InputError where it is not."""
    return emptying.datasets_at(open_workspace(), location)


@task(cache_policy=NO_CACHE)
def show_left(location: str) -> str:
    """Show what still stands at a location that is to be emptied, and say it in one line."""
    rows: list[dict[str, Any]] = []
    sizes, actions = 0, Counter[str]()
    for each in emptying.left_at(open_workspace(), location):
        sizes += each.bytes
        actions[each.action] += 1
        if len(rows) < SHOWN:
            rows.append({"artifact": each.artifact, "MB": round(each.bytes / 1e6, 2), "next": each.action, "why": each.why})
    total = sum(actions.values())
    said = f"{total} copies ({sizes / 1e9:.2f} GB) stand at {location}" if total else f"nothing stands at {location} any more"
    create_table_artifact(rows, key=key("emptying", location), description=said)
    if not total:
        return f"{said}: take it out of site.yaml"
    return f"{said}: " + ", ".join(f"{count} {action}" for action, count in sorted(actions.items()))


@work
def verify_dataset(dataset: str) -> str:
    """Read every copy of a dataset back, and show what was found.

    Raises:
        IntegrityError: a copy does not match, or could not be read now.
    """
    found = verifying.verify(open_workspace(), dataset=dataset, progress=progress(f"reading back {dataset}"))
    rows = [{"artifact": each.artifact, "location": each.location, "ok": each.ok, "found": " ".join(each.found.split())} for each in found]
    create_table_artifact(rows, key=key(dataset, "verified"), description=f"Copies of {dataset}, as they were read back")
    wrong = [f"{each.artifact} at {each.location}: {each.found}" for each in found if not each.ok]
    if wrong:
        raise IntegrityError(
            "not every copy is what it was",
            on=dataset,
            expected=f"{len(found)} copies whose every byte matches",
            got="\n".join(wrong[:20]),
            done="what does not match does not count any more",
            hint="`repair` makes it again from a verified copy",
        )
    return f"{len(found)} copies of {dataset}: every byte matches"
