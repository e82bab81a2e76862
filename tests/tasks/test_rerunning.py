"""`coldchain rerun`: a level is made again from its provenance, and compared with what was made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain import making
from coldchain.copies import Artifact, CopyState
from coldchain.errors import IntegrityError, ModelError, NotInCatalogue, Refused
from coldchain.imaging import partitions, tables
from coldchain.levels import Level
from coldchain.making import Outcome, Step
from coldchain.manifest import MANIFEST
from coldchain.protection import release
from coldchain.workspace import Workspace
from tasks.rerunning import rerun
from tests.tasks.lived import DATASET, command, live, living, threshold

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A plate that has lived up to bulk profiles."""
    with living(tmp_path_factory.mktemp("lived")) as ws:
        yield ws


def first(ws: Workspace, level: Level) -> Artifact:
    """The artifact of a level that was made first."""
    return ws.catalogue.artifacts(DATASET, level)[0]


def left(ws: Workspace) -> list[str]:
    """What stands in scratch's staging."""
    folder = ws.store("scratch").local(".coldchain/staging")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("level", [Level.STANDARD, Level.CORRECTED, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES])
def test_each_level_comes_out_byte_by_byte(lived: Workspace, level: Level) -> None:
    """What a recipe made it makes again to the byte, nothing is left of it, and the catalogue knows nothing of it."""
    artifact = first(lived, level)
    before = [copy.id for copy in lived.catalogue.copies()], len(lived.catalogue.makings())
    found = rerun(lived, artifact)
    assert found.identical, found
    assert found.got == artifact.digest
    assert found.warnings == ()
    assert left(lived) == []
    assert ([copy.id for copy in lived.catalogue.copies()], len(lived.catalogue.makings())) == before


def test_the_command_answers_0_where_every_byte_is_the_same(lived: Workspace) -> None:
    """An artifact is named by some digits; with --keep what came out stays, and it is said where."""
    artifact = first(lived, Level.BULK_PROFILES)
    done = command(lived, "rerun", artifact.digest[:10], "--json", "--keep")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["identical"] is True
    assert partitions.find(said["kept"], partitions.WELLS).is_file()
    assert command(lived, "rerun", artifact.label).exit_code == 0
    assert left(lived) == [], "the next one takes it away"


def test_no_sweep_takes_away_what_is_being_read(lived: Workspace) -> None:
    """While a level is made again, it and what it is made of are in use; a folder that went would be read as empty pixels."""
    artifact = first(lived, Level.BULK_PROFILES)
    used: set[str] = set()
    rerun(
        lived, artifact, tell=lambda _line: used.update(lease.scope for lease in lived.catalogue.leases(lived.now()) if lease.use == "read")
    )
    assert used == {artifact.id, *lived.catalogue.activity(artifact.activity).inputs}
    assert lived.catalogue.leases(lived.now()) == []


def altered(ws: Workspace) -> Artifact:
    """Bulk profiles under the name of the recipe, of which one value is another one than the recipe makes."""
    import pyarrow as pa

    good = making.local_folder(ws, first(ws, Level.BULK_PROFILES))

    def work(_inputs: list[Path], target: Path) -> Outcome:
        shutil.copytree(good, target, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
        source = partitions.find(good, partitions.WELLS)
        table = tables.read(source)
        areas = table["Nuclei_AreaShape_Area"].to_numpy() + 2
        column = table.column_names.index("Nuclei_AreaShape_Area")
        tables.write(table.set_column(column, "Nuclei_AreaShape_Area", pa.array(areas)), target / source.relative_to(good))
        return Outcome()

    inputs = (first(ws, Level.SINGLE_CELL_PROFILES), first(ws, Level.CORRECTED))
    plate_map = ws.catalogue.dataset(DATASET).plate_map
    return making.make(ws, Step("aggregate", DATASET, Level.BULK_PROFILES, inputs, {"plate_map": plate_map, "as": "if"}), work).artifact


def test_what_differs_is_named_with_the_column_and_by_how_much(lived: Workspace) -> None:
    """Exit code 1; the file, the column and the largest difference are said."""
    artifact = altered(lived)
    done = command(lived, "rerun", artifact.id)
    assert done.exit_code == 1
    assert "Nuclei_AreaShape_Area differs by 2 at most" in done.output
    assert "wells.parquet" in done.output
    assert "differs, 1 files are not the same" in done.output.replace("\n", " ")


def test_masks_that_differ_say_how_many_objects_match(lived: Workspace) -> None:
    """Masks by a threshold are not what StarDist makes: the objects that match are counted, and the fields that differ are named."""
    artifact = first(lived, Level.MASKS)
    found = rerun(lived, artifact)
    assert not found.identical
    assert any("objects match, " in line for line in found.details)
    assert any("field 1: " in line for line in found.details)


def test_raw_is_not_made_again(lived: Workspace) -> None:
    """What an instrument wrote no recipe makes."""
    with pytest.raises(Refused, match="came from an instrument"):
        rerun(lived, first(lived, Level.RAW))


def made_by(ws: Workspace, name: str, level: Level, parameters: dict[str, object], *inputs: Artifact) -> Artifact:
    """Something that a step of some name made."""

    def work(_inputs: list[Path], target: Path) -> Outcome:
        (target / "a.txt").write_text(name)
        return Outcome()

    return making.make(ws, Step(name, DATASET, level, inputs, parameters), work).artifact


def test_a_step_that_no_recipe_makes_is_refused(lived: Workspace) -> None:
    """What another version made by a step of another name is not guessed."""
    artifact = made_by(lived, "segment-by-hand", Level.MASKS, {}, first(lived, Level.CORRECTED))
    with pytest.raises(Refused, match="no recipe of this version"):
        rerun(lived, artifact)


def test_other_weights_are_refused(lived: Workspace) -> None:
    """Masks by weights that are not to be had are not made again by those that are."""
    artifact = threshold(lived, 5, weights="0" * 64)
    with pytest.raises(ModelError, match="not to be had"):
        rerun(lived, artifact)
    assert left(lived) == []


def test_an_input_that_stands_nowhere_is_refused_or_made_again(tmp_path: Path) -> None:
    """Where corrected was purged its profiles are refused, with what to do; with --inputs it is made again on the way, to the byte."""
    ws = live(tmp_path)
    corrected, cells = first(ws, Level.CORRECTED), first(ws, Level.SINGLE_CELL_PROFILES)
    (copy,) = ws.catalogue.copies(artifact=corrected.id)
    ws.catalogue.change_copy(copy.id, state=CopyState.LOST)
    with pytest.raises(NotInCatalogue, match="--inputs"):
        rerun(ws, cells)
    assert rerun(ws, cells, inputs=True).identical
    assert left(ws) == []
    release(tmp_path)
    ws.catalogue.close()


def test_an_input_that_does_not_come_out_as_it_was_is_no_input(lived: Workspace) -> None:
    """What is made of another input says nothing of what was made: it is not made."""
    wrong = made_by(lived, "correct", Level.CORRECTED, {"odd": 1}, first(lived, Level.STANDARD))
    artifact = made_by(lived, "measure", Level.SINGLE_CELL_PROFILES, {}, wrong, first(lived, Level.MASKS))
    for copy in lived.catalogue.copies(artifact=wrong.id):
        lived.catalogue.change_copy(copy.id, state=CopyState.LOST)
    with pytest.raises(IntegrityError, match="not what it was"):
        rerun(lived, artifact, inputs=True)


def test_another_version_is_warned_of(lived: Workspace) -> None:
    """Where code or packages are others than those that were recorded, it is said; the bytes decide."""
    import sqlalchemy as sa

    artifact = first(lived, Level.STANDARD)
    with lived.catalogue.writing.begin() as db:  # type: ignore[attr-defined]  # the catalogue on SQLAlchemy
        db.execute(
            sa.text("update activity set body = json_set(body, '$.code_version', '0.0.1', '$.lock_digest', 'ff') where id = :id"),
            {"id": artifact.activity},
        )
    found = rerun(lived, artifact)
    assert found.identical
    assert [line.partition(":")[0] for line in found.warnings] == ["code", "packages"]


def test_a_release_is_held_against_what_it_was_put_together_of(lived: Workspace) -> None:
    """Its tables have the digests of their sources; one that has another one is named."""
    cells, bulk = (first(lived, level) for level in (Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES))

    def put(changed: str) -> Artifact:
        def work(inputs: list[Path], target: Path) -> Outcome:
            for level, folder in zip((cells.level, bulk.level), inputs, strict=True):
                for path in sorted(folder.rglob("*.parquet")):
                    into = target / level / path.relative_to(folder)
                    into.parent.mkdir(parents=True)
                    into.write_bytes(path.read_bytes() + (b"x" if path.name == changed else b""))
            (target / "README.md").write_text("release")
            return Outcome()

        return making.make(lived, Step("promote", DATASET, Level.RELEASE, (cells, bulk), {"version": changed or "1"}), work).artifact

    same = rerun(lived, put(""))
    assert same.identical
    assert "its tables are those" in same.verdict
    found = rerun(lived, put("wells.parquet"))
    assert not found.identical
    assert [Path(name).name for name in found.differing] == ["wells.parquet"]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "raw@", "ffffffffffff", "PRJ-0001/PLATE-REAL", "%'; drop table artifact"])
def test_names_of_nothing_are_refused(lived: Workspace, name: str) -> None:
    """Whatever is typed that is no artifact ends with our words and exit code 1."""
    done = command(lived, "rerun", name)
    assert done.exit_code == 1
    assert "no such artifact" in done.output
