"""Making a level again from its provenance, by the recipe of its name."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldchain import rerunning
from coldchain.copies import Artifact
from coldchain.errors import IntegrityError, ModelError, Refused
from coldchain.holds import Use
from coldchain.imaging.comparison import compare_masks
from coldchain.imaging.comparison_tables import compare_tables
from coldchain.imaging.platezarr import PLATE
from coldchain.levels import Level
from coldchain.making import Outcome
from coldchain.provenance import Activity
from coldchain.rerunning import Rerun
from coldchain.staleness import WEIGHTS
from coldchain.transfer import permit
from coldchain.workspace import Workspace
from tasks.making import Job, Recipe, told
from tasks.recipes import RECIPES, parameters_today

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Bench:
    """Where a rerun works: a folder of its own on scratch, and whether inputs may be made again in it."""

    ws: Workspace
    folder: Path
    inputs: bool
    tell: Tell


def rerun(ws: Workspace, artifact: Artifact, *, keep: bool = False, inputs: bool = False, tell: Tell = lambda _line: None) -> Rerun:
    """Make a level again from its provenance, in a folder that is no copy, and hold it against the artifact.

    Args:
        ws: the site.
        artifact: what to make again; raw is refused, of a release its tables are held against what they were taken from.
        keep: leave the folder where it is.
        inputs: make inputs again that stand nowhere here; each has to come out byte by byte.
        tell: told what happens.

    Raises:
        Refused: raw data, or a step whose recipe is not known.
        ModelError: the weights that were recorded are not to be had.
        NotInCatalogue: an input stands nowhere that can be read.
        IntegrityError: an input that was made again is not what it was.
        LeaseTaken: the same is being made again by another, or what it is made of is being removed.
    """
    rerunning.refuse_raw(artifact)
    recorded = ws.catalogue.activity(artifact.activity)
    if artifact.level is Level.RELEASE:
        return _release(ws, artifact, recorded)
    recipe = _recipe(artifact, recorded)
    with rerunning.scratch(ws, artifact, keep=keep) as folder, ws.catalogue.lease([artifact.id], Use.READ, ws.now()):
        bench = _Bench(ws, folder, inputs, tell)
        began = time.monotonic()
        target, outcome = _make(bench, artifact, recipe, recorded)
        seconds = round(time.monotonic() - began, 2)
        return _judged(ws, artifact, recorded, target, outcome, seconds, str(target) if keep else "")


def _recipe(artifact: Artifact, recorded: Activity) -> Recipe:
    if (recipe := RECIPES.get(recorded.name)) is None:
        raise Refused(
            "no recipe of this version makes this step",
            on=artifact.label,
            expected=", ".join(RECIPES),
            got=repr(recorded.name[:60]),
            done="nothing was made",
            hint=f"it was made by coldchain {recorded.code_version}: install that",
        )
    return recipe


def _make(bench: _Bench, artifact: Artifact, recipe: Recipe, recorded: Activity) -> tuple[Path, Outcome]:
    """Make an artifact again; gives its folder and what the work says of itself."""
    _refuse_other_weights(bench.ws, artifact, recipe, recorded)
    taken = rerunning.what_it_takes(bench.ws, artifact, recorded)
    with bench.ws.catalogue.lease([each.id for each in taken], Use.READ, bench.ws.now()):  # none goes to the trash while it is read
        return _work(bench, artifact, recipe, recorded, _inputs(bench, artifact, taken))


def _work(bench: _Bench, artifact: Artifact, recipe: Recipe, recorded: Activity, folders: Sequence[Path]) -> tuple[Path, Outcome]:
    target = bench.folder / f"rerun-{artifact.level}-{artifact.digest[:12]}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    bench.tell(f"making {artifact.label} again by {recipe.name}")
    given = dict(zip(recipe.of, folders, strict=True))
    return target, recipe.work(Job(bench.ws, artifact.dataset, told(recorded.parameters), given, target))


def _refuse_other_weights(ws: Workspace, artifact: Artifact, recipe: Recipe, recorded: Activity) -> None:
    here = parameters_today(ws, artifact.dataset, recipe, recorded.parameters)
    for name, digest in recorded.parameters.items():
        if name.endswith(WEIGHTS) and here.get(name) != digest:
            raise ModelError(
                "the weights that it was made with are not to be had",
                on=artifact.label,
                expected=f"{name} {str(digest)[:12]}",
                got=str(here.get(name))[:60],
                done="nothing was made",
                hint=f"install coldchain {recorded.code_version}, or register those weights; `reprocess` makes it with others",
            )


def _inputs(bench: _Bench, artifact: Artifact, taken: Sequence[Artifact]) -> list[Path]:
    """Folders of the inputs, made again where they stand nowhere and may be."""
    found = {each.id: rerunning.readable(bench.ws, each) for each in taken}
    missing = [each for each in taken if found[each.id] is None]
    if not bench.inputs or any(each.level is Level.RAW for each in missing):
        rerunning.refuse_unreadable(artifact, missing)
    return [found[each.id] or _again(bench, each) for each in taken]


def _again(bench: _Bench, artifact: Artifact) -> Path:
    """An input, made again; raises IntegrityError where it is not what it was."""
    target = bench.folder / f"rerun-{artifact.level}-{artifact.digest[:12]}"
    if target.exists():
        return target
    recorded = bench.ws.catalogue.activity(artifact.activity)
    permit(bench.ws, artifact.dataset, bench.ws.site.roles.scratch)
    target, _ = _make(bench, artifact, _recipe(artifact, recorded), recorded)
    if (got := rerunning.manifest_here(target).digest) != artifact.digest:
        raise IntegrityError(
            "an input that was made again is not what it was",
            on=artifact.label,
            expected=artifact.digest,
            got=got,
            done="what was to be made of it was not made",
            hint=f"`coldchain rerun {artifact.label} --inputs` says how it differs",
        )
    return target


def _judged(ws: Workspace, artifact: Artifact, recorded: Activity, target: Path, outcome: Outcome, seconds: float, kept: str) -> Rerun:
    """Hold what came out against what was made."""
    now, then = rerunning.manifest_here(target), None
    names: list[str] = []
    said: tuple[str, ...] = ()
    if now.digest != artifact.digest:
        then = rerunning.manifest_then(ws, artifact)
        names = now.difference(then) if then else []
        said = _details(rerunning.readable(ws, artifact), target, artifact.level, names)
    doubts = rerunning.doubts(recorded, parameters_today(ws, artifact.dataset, RECIPES[recorded.name], recorded.parameters))
    if outcome.model and recorded.model and outcome.model.get("digest") != recorded.model.get("digest"):
        doubts.append(f"model: {recorded.model.get('digest')} then, {outcome.model.get('digest')} now")
    return Rerun(
        artifact=artifact.label,
        made_by=recorded.name,
        identical=now.digest == artifact.digest,
        expected=artifact.digest,
        got=now.digest,
        seconds=seconds,
        warnings=tuple(doubts),
        differing=tuple(names),
        details=said,
        kept=kept,
    )


def _details(old: Path | None, new: Path, level: Level, names: Sequence[str]) -> tuple[str, ...]:
    tables = [name for name in names if name.endswith(".parquet")]
    said = rerunning.details(old, new, tables[: rerunning.SHOWN], lambda one, two: str(compare_tables(one, two)))
    if level is not Level.MASKS or old is None or not (new / PLATE).is_dir():
        return said
    found = compare_masks(old, new)
    worst = (f"{each.well} field {each.field}: {each.matched} of {each.old} objects match" for each in found.worst[: rerunning.SHOWN])
    return (*said, f"labels: {found.total('matched')} of {found.total('old')} objects match, {found.total('new')} there are now", *worst)


def _release(ws: Workspace, artifact: Artifact, recorded: Activity) -> Rerun:
    """Hold the tables of a release against those that it was put together of: nothing of it is computed."""
    release = rerunning.manifest_then(ws, artifact)
    sources = rerunning.what_it_takes(ws, artifact, recorded)
    manifests = {each: rerunning.manifest_then(ws, each) for each in sources}
    rerunning.refuse_unreadable(artifact, [each for each, found in manifests.items() if found is None] + ([] if release else [artifact]))
    tables = {f"{each.level}/{name}": digest for each, found in manifests.items() if found for name, digest in found.entries.items()}
    entries: Mapping[str, str] = release.entries if release else {}
    held = {name: digest for name, digest in entries.items() if name.partition("/")[0] in {str(each.level) for each in sources}}
    names = sorted(name for name in held.keys() | tables.keys() if held.get(name) != tables.get(name))
    mind = f"a release is not made again: its {len(held)} files of tables were held against their sources, its other files were not"
    return Rerun(
        artifact=artifact.label,
        made_by=recorded.name,
        identical=not names,
        expected=artifact.digest,
        got=artifact.digest if not names else "",
        seconds=0.0,
        warnings=(mind,),
        remade=False,
        differing=tuple(names),
    )
