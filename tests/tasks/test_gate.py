"""The gate: tables that pass, each corruption that must not, and the pages it leaves."""

import datetime as dt
import html
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldchain.errors import ConfigurationError, GateFailed, InputError
from coldchain.gate import Acceptance, GateReport, Severity, report, require_pass
from coldchain.imaging.aggregate import COUNTS
from coldchain.imaging.measure import feature_names
from coldchain.imaging.tables import FLAGGED, IDENTITY
from coldchain.judging import judge
from coldchain.suite import PRESENCE, compare_fields, load_suite, plan_checks, read_context, read_suite, suite_names, suite_versions
from tasks.gate import Word, hold_against, summarise, validate_table

WELLS = ["A01", "A02", "B01", "B02"]
CHANNELS = ["DNA", "Marker"]
PER_FIELD = 5
AREA = "Nuclei_AreaShape_Area"
MEAN = "Nuclei_Intensity_MeanIntensity_DNA"


def cells() -> pd.DataFrame:
    """Two fields of five nuclei in each of four wells, all of them possible."""
    rows = [(well, site, number) for well in WELLS for site in (1, 2) for number in range(1, PER_FIELD + 1)]
    table = pd.DataFrame(rows, columns=["Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"])
    table.insert(0, "Metadata_Plate", "P1")
    table["Metadata_ImageNumber"], table["Metadata_QC_Flagged"] = 1, False
    steps = np.linspace(0.1, 0.9, len(table))
    table[AREA], table["Nuclei_AreaShape_Perimeter"] = 200.0 + 100 * steps, 60.0 + steps
    for name in ("AreaShape_Eccentricity", "AreaShape_Solidity", "Location_Center_X", "Location_Center_Y"):
        table[f"Nuclei_{name}"] = steps
    for channel in CHANNELS:
        table[f"Nuclei_Intensity_MeanIntensity_{channel}"] = 100 * steps
        table[f"Nuclei_Intensity_IntegratedIntensity_{channel}"] = 9000 * steps
    return table


def bulk() -> pd.DataFrame:
    """One row for each of the four wells."""
    return pd.DataFrame(
        {
            "Metadata_Plate": "P1",
            "Metadata_Well": WELLS,
            "Metadata_Count_Nuclei": [10, 10, 0, 9],
            "Metadata_Count_NucleiPerField": [5.0, 5.0, 0.0, 4.5],
            AREA: [250.0, 251.0, None, 250.0],
        }
    )


def context(**other: Any) -> dict[str, Any]:
    """What the tables are held against, with parts replaced."""
    fields = [{"well": well, "field": site, "objects": PER_FIELD, "seconds": 0.1} for well in WELLS for site in (1, 2)]
    return {"wells": WELLS, "channels": CHANNELS, "fields": fields} | other


Gate = Callable[..., GateReport]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """The gate on a table, with its pages in `docs`."""

    def run(table: pd.DataFrame, suite: str = "single_cell_profiles", **other: Any) -> GateReport:
        table.to_parquet(tmp_path / "table.parquet", index=False)
        return validate_table(tmp_path / "table.parquet", suite, tmp_path / "docs", context=context(**other))

    return run


def put(table: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    """The table with one value replaced."""
    return table.assign(**{column: [value if at == row else old for at, old in enumerate(table[column])]})


def test_a_good_table_passes_and_leaves_pages(gate: Gate, tmp_path: Path) -> None:
    """Nothing is broken, every row was seen, and the site has its first page."""
    said = gate(cells())
    assert (said.passed, said.rows, said.failures, said.warnings) == (True, 40, (), ())
    assert "The gate passed" in (tmp_path / "docs/index.html").read_text()
    require_pass(said, "P1")


CORRUPTIONS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str | None, int | None]] = {
    "a column is missing": (lambda table: table.drop(columns=AREA), "columns-present", AREA, None),
    "a channel is missing": (lambda table: table.drop(columns=MEAN), "columns-present", MEAN, None),
    "a key comes twice": (lambda table: put(table, 1, "Metadata_ObjectNumber", 1), "key-unique", None, 2),
    "a key is empty": (lambda table: put(table, 1, "Metadata_Plate", None), "key-complete", "Metadata_Plate", 1),
    "an area is not a number": (lambda table: put(table, 3, AREA, np.nan), "measured-complete", AREA, 1),
    "an area is infinite": (lambda table: put(table, 3, AREA, np.inf), "measured-finite", AREA, 1),
    "an area is impossibly large": (lambda table: put(table, 3, AREA, 40_000.0), "area-possible", AREA, 1),
    "an area is impossibly small": (lambda table: put(table, 3, AREA, 9.0), "area-possible", AREA, 1),
    "an intensity is negative": (lambda table: put(table, 3, MEAN, -1.0), "intensity-possible", MEAN, 1),
    "an eccentricity is above 1": (
        lambda table: put(table, 3, "Nuclei_AreaShape_Eccentricity", 1.5),
        "shape-possible",
        "Nuclei_AreaShape_Eccentricity",
        1,
    ),
    "a position is negative": (
        lambda table: put(table, 3, "Nuclei_Location_Center_X", -2.0),
        "position-possible",
        "Nuclei_Location_Center_X",
        1,
    ),
    "a well is outside of the layout": (lambda table: put(table, 3, "Metadata_Well", "H12"), "wells-in-layout", "Metadata_Well", 1),
    "rows are missing": (lambda table: table.drop(index=[3, 4]), "rows-match-masks", None, 2),
    "there are too many rows": (lambda table: pd.concat([table, table.tail(1)]), "rows-match-masks", None, 1),
    "a nucleus is in another field": (
        lambda table: put(put(table, 4, "Metadata_Site", 2), 4, "Metadata_ObjectNumber", 99),
        "fields-match-masks",
        None,
        2,
    ),
    "a measurement is text": (lambda table: table.assign(**{AREA: "large"}), "area-possible", AREA, None),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupted_table_does_not_pass_and_the_rule_is_named(gate: Gate, corruption: str) -> None:
    """One thing wrong closes the gate, with rule, column and count."""
    corrupt, rule, column, count = CORRUPTIONS[corruption]
    said = gate(corrupt(cells()))
    found = {(failure.rule, failure.column): failure for failure in said.failures}
    assert not said.passed
    assert found[rule, column].unexpected_count == count
    assert found[rule, column].severity is Severity.CRITICAL


def test_a_missing_column_is_named_once_and_other_columns_are_still_checked(gate: Gate) -> None:
    """What depends on the missing column is left out; a second fault elsewhere is still found."""
    said = gate(put(cells().drop(columns=AREA), 3, MEAN, -1.0))
    assert said.missing_columns == (AREA,)
    assert [failure.rule for failure in said.failures] == ["columns-present", "intensity-possible"]
    assert "the column is missing" in said.failures[0].message


def test_a_table_without_its_keys_is_reported_not_raised(gate: Gate) -> None:
    """With wells and sites gone the fields cannot be counted; the report says which columns are missing."""
    said = gate(cells().drop(columns=["Metadata_Well", "Metadata_Site"]))
    assert said.missing_columns == ("Metadata_Well", "Metadata_Site")
    assert not said.passed


def test_a_table_with_an_unusual_value_passes_with_a_warning(gate: Gate) -> None:
    """One nucleus in ten of 8000 pixels is possible but unusual: reported, and the gate is open."""
    table = cells()
    table.loc[:3, AREA] = 8000.0
    said = gate(table)
    assert (said.passed, said.failures) == (True, ())
    assert [(warning.rule, warning.column, warning.unexpected_count) for warning in said.warnings] == [("area-usual", AREA, 4)]
    assert "Worth a look" in said.markdown()


def test_an_empty_plate_passes_with_a_warning(gate: Gate) -> None:
    """No nucleus in the masks and no row in the table agree, and the scientist is told."""
    fields = [field | {"objects": 0} for field in context()["fields"]]
    said = gate(cells().head(0), fields=fields)
    assert said.passed
    assert [warning.rule for warning in said.warnings] == ["some-nuclei"]


def test_the_field_that_lost_rows_is_named(gate: Gate) -> None:
    """The report says in which well and field the table and the mask differ, and by how much."""
    said = gate(cells().drop(index=[3, 4]))
    lost = next(failure for failure in said.failures if failure.rule == "fields-match-masks")
    assert lost.examples == ("segmented 5, Well A01, Site 1, measured 3",)


def test_an_example_says_where_the_value_stands(gate: Gate) -> None:
    """The nucleus can be found again: plate, well, field, object and value."""
    said = gate(put(cells(), 3, AREA, 40_000.0))
    assert said.failures[0].examples == ("Plate P1, Well A01, Site 1, ObjectNumber 4: 40000.0",)


def test_bulk_profiles_pass_with_an_empty_well(gate: Gate) -> None:
    """A well without nuclei has a count of 0 and no medians; that is unusual, not wrong."""
    said = gate(bulk(), "bulk_profiles", fields=None)
    assert said.passed
    assert [warning.rule for warning in said.warnings] == ["count-usual"]


@pytest.mark.parametrize(
    ("corrupt", "rule"),
    [
        (lambda table: table.head(3), "row-per-well"),
        (lambda table: put(table, 1, "Metadata_Well", "A01"), "key-unique"),
        (lambda table: put(table, 1, "Metadata_Count_Nuclei", -1), "count-possible"),
        (lambda table: put(table, 1, "Metadata_Plate", None), "key-complete"),
        (lambda table: put(table, 1, "Metadata_Count_Nuclei", None), "metadata-complete"),
        (lambda table: put(table, 1, "Metadata_Well", "C01"), "wells-in-layout"),
        (lambda table: put(table, 1, AREA, np.inf), "measured-finite"),
        (lambda table: table.drop(columns="Metadata_Count_Nuclei"), "columns-present"),
    ],
)
def test_a_corrupted_bulk_table_does_not_pass(gate: Gate, corrupt: Callable[[pd.DataFrame], pd.DataFrame], rule: str) -> None:
    """Each rule of the bulk suite closes the gate by itself."""
    said = gate(corrupt(bulk()), "bulk_profiles")
    assert rule in [failure.rule for failure in said.failures]


@pytest.mark.parametrize(
    ("suite", "made"),
    [("single_cell_profiles", [*IDENTITY, FLAGGED, *feature_names(CHANNELS)]), ("bulk_profiles", [*IDENTITY[:2], *COUNTS])],
)
def test_the_suites_ask_for_columns_that_profiling_makes(suite: str, made: list[str]) -> None:
    """Suite and measurement speak of the same columns."""
    checks = plan_checks(load_suite(suite), read_context(context()), made)
    asked = {check.column for check in checks if check.rule.expectation == PRESENCE}
    assert asked <= set(made)


def test_a_failed_gate_raises_with_every_reason() -> None:
    """The error of a closed gate names each broken rule, and that nothing was promoted."""
    check = next(
        check for check in plan_checks(load_suite("single_cell_profiles"), read_context(context()), [AREA]) if check.column == AREA
    )
    broken = judge(check, {"success": False, "result": {}, "exception_info": {"raised_exception": False}})
    with pytest.raises(GateFailed, match=rf"(?s){AREA}: the column is missing.*nothing was promoted"):
        require_pass(report(load_suite("single_cell_profiles"), 0, 1, broken), "P1")


def test_a_question_that_could_not_be_evaluated_closes_the_gate() -> None:
    """Unknown counts as no, even where the rule only warns."""
    checks = plan_checks(load_suite("single_cell_profiles"), read_context(context()), list(cells().columns))
    check = next(check for check in checks if check.rule.severity is Severity.WARNING)
    answer = {"success": False, "result": {}, "exception_info": {"metric": {"raised_exception": True, "exception_message": "no idea"}}}
    (broken,) = judge(check, answer)
    assert (broken.severity, "no idea" in broken.message) == (Severity.CRITICAL, True)


def test_the_pages_stand_alone_and_are_the_same_each_time(gate: Gate, tmp_path: Path) -> None:
    """The site needs no host, no script and no clock, and a second run gives the same bytes in its place."""
    table = put(cells(), 3, AREA, 40_000.0)
    gate(table)
    first = {path.name: path.read_bytes() for path in (tmp_path / "docs").iterdir()}
    gate(table)
    assert {path.name: path.read_bytes() for path in (tmp_path / "docs").iterdir()} == first
    assert set(first) == {
        "index.html",
        "answers-rows.html",
        "answers-fields.html",
        *(f"answers-features_{rule}.html" for rule in ("measured_complete", "measured_mostly", "intensity_possible")),
        *(f"rules-single_cell_profiles-v2-{table}.html" for table in ("rows", "fields")),
        *(f"rules-single_cell_profiles-v2-features_{rule}.html" for rule in ("measured_complete", "measured_mostly", "intensity_possible")),
    }
    assert not any(b"http://" in page or b"https://" in page or b"<script" in page for page in first.values())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_identifiers_that_look_like_times_or_random_names_stay(gate: Gate, tmp_path: Path) -> None:
    """A plate's bar code is shown as it is, whatever it looks like."""
    guid, time = "0f8fad5b-d9cb-469f-a165-70867728950e", "20261121T061738.555785Z"
    gate(put(put(cells(), 3, "Metadata_Well", guid), 4, "Metadata_Well", time))
    page = (tmp_path / "docs/answers-rows.html").read_text()
    assert guid in page
    assert time in page


def test_the_pages_hold_no_path_of_the_machine(gate: Gate, tmp_path: Path) -> None:
    """A question that could not be evaluated leaves no stack trace in the site."""
    said = gate(cells().assign(**{AREA: "large"}))
    assert any("could not be evaluated" in failure.message for failure in said.failures)
    assert not any("Traceback" in page.read_text() or "site-packages" in page.read_text() for page in (tmp_path / "docs").iterdir())


def test_every_link_of_the_site_leads_somewhere(gate: Gate, tmp_path: Path) -> None:
    """Pages refer only to pages of the site."""
    gate(cells())
    for page in (tmp_path / "docs").iterdir():
        for link in re.findall(r'href="([^"#]+)"', page.read_text()):
            assert (tmp_path / "docs" / link).is_file(), f"{page.name} leads to {link}"


def test_values_of_a_table_cannot_act_in_the_pages(gate: Gate, tmp_path: Path) -> None:
    """A well named like HTML or Markdown is shown as text in the report; the pages let no script run."""
    said = gate(put(cells(), 3, "Metadata_Well", "<b onclick=x>|\n# [x](y)"))
    assert "<b" not in said.markdown()
    assert "\n#" not in said.markdown().removeprefix("## ").replace("\n###", "")
    index = (tmp_path / "docs/index.html").read_text()
    assert "&lt;b onclick" in index
    assert all("default-src 'none'" in page.read_text() for page in (tmp_path / "docs").glob("*.html"))


@pytest.mark.parametrize(
    "hostile", ["<meta http-equiv=refresh content='0;url=//evil.test'>", "<!--", "<script", "<link", "<form action=//x>"]
)
@pytest.mark.parametrize("version", [1, 2])
def test_values_of_a_table_are_text_in_the_librarys_own_pages(tmp_path: Path, version: int, hostile: str) -> None:
    """A well or a column named like markup leads nobody elsewhere, and hides nothing of what stands below it."""
    table = put(cells(), 3, "Metadata_Well", hostile).assign(**{f"Nuclei_Odd_{hostile}": None})
    table.to_parquet(tmp_path / "table.parquet", index=False)
    validate_table(tmp_path / "table.parquet", "single_cell_profiles", tmp_path / "docs", context=context(), version=version)
    for page in (tmp_path / "docs").glob("*.html"):
        assert hostile not in page.read_text()
    assert html.escape(hostile) in (tmp_path / "docs/answers-rows.html").read_text()


def test_examples_are_few_and_short(gate: Gate) -> None:
    """Many long bad values give five examples of bounded length, never whole rows."""
    said = gate(cells().assign(Metadata_Well=[f"X{number}" + "y" * 500 for number in range(40)]))
    found = next(failure for failure in said.failures if failure.rule == "wells-in-layout")
    assert (found.unexpected_count, len(found.examples)) == (40, 5)
    assert all(len(example) < 300 for example in found.examples)


def test_nothing_goes_over_the_network(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate works where every connection is refused, and tries none."""
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, address: tried.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_more: tried.append(address) or [])
    assert gate(cells()).passed
    assert tried == []


def test_the_folder_of_someone_else_is_not_replaced(gate: Gate, tmp_path: Path) -> None:
    """A folder that is not an earlier site of the gate is refused and left as it is."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        gate(cells())
    assert (tmp_path / "docs/thesis.txt").read_text() == "mine"


def test_a_link_in_place_of_the_pages_is_refused(gate: Gate, tmp_path: Path) -> None:
    """Nothing is written, or cleared, through a symbolic link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "docs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="holds something else"):
        gate(cells())


def test_pages_that_a_killed_run_left_half_built_are_built_anew(gate: Gate, tmp_path: Path) -> None:
    """What stands beside the site from an earlier run does not get into it."""
    (tmp_path / ".docs.building/validations").mkdir(parents=True)
    (tmp_path / ".docs.building/validations/old.html").write_text("old")
    gate(bulk(), "bulk_profiles")
    assert not any("old" in path.name for path in tmp_path.rglob("*"))


def test_two_columns_of_one_name_are_an_input_error(tmp_path: Path) -> None:
    """A table in which a column could mean two things is not judged."""
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=[AREA, AREA]), tmp_path / "table.parquet")
    with pytest.raises(InputError, match=rf"(?s)same name.*{AREA}"):
        validate_table(tmp_path / "table.parquet", "bulk_profiles", tmp_path / "docs", context=context())


def test_the_same_question_twice_is_answered_or_refused_but_never_dropped(tmp_path: Path) -> None:
    """Two rules that ask the same are both in the report."""
    pd.DataFrame({"b": [1.0]}).to_parquet(tmp_path / "table.parquet")
    said = hold_against(tmp_path / "table.parquet", read_suite(suite_text(), "s.json"), tmp_path / "docs", known=read_context(context()))
    assert [failure.rule for failure in said.failures] == ["there", "again"]


@pytest.mark.parametrize("content", [None, b"", b"PAR1 truncated"])
def test_a_table_that_cannot_be_read_is_an_input_error(tmp_path: Path, content: bytes | None) -> None:
    """No table, an empty and a truncated one are named, and no pages are written."""
    if content is not None:
        (tmp_path / "table.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot read the table"):
        validate_table(tmp_path / "table.parquet", "bulk_profiles", tmp_path / "docs", context=context())
    assert not (tmp_path / "docs").exists()


def test_an_unknown_suite_is_named_with_those_there_are() -> None:
    """The error lists the suites; a path is no name of a suite."""
    assert suite_names() == [
        "bulk_profiles",
        "embeddings",
        "reproducibility",
        "single_cell_profiles",
        "treatments",
        "wells_normalized",
        "wells_selected",
    ]
    for name in ("profiles", "../errors"):
        with pytest.raises(ConfigurationError, match="bulk_profiles, embeddings"):
            load_suite(name)


@pytest.mark.parametrize("missing", ["fields", "wells"])
def test_a_context_that_does_not_say_what_the_suite_needs_is_an_error(gate: Gate, missing: str) -> None:
    """Without the masks' counts or the layout nothing is judged: unknown is not a pass."""
    with pytest.raises(ConfigurationError, match=missing):
        gate(cells(), **{missing: None})


def test_a_field_counted_twice_is_an_error() -> None:
    """Two counts for one field cannot both be right."""
    with pytest.raises(ConfigurationError, match="counted twice"):
        read_context(context(fields=[{"well": "A01", "field": 1, "objects": 3}] * 2))


def suite_text(**other: object) -> str:
    """A suite of two rules, the second with parts replaced."""
    rule = {"name": "there", "says": "it is there", "expectation": "expect_column_to_exist", "severity": "critical", "columns": ["a"]}
    return json.dumps({"name": "s", "version": 1, "description": "d", "key": ["a"], "rules": [rule, rule | {"name": "again"} | other]})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"severity": "fatal"}, "severity"),
        ({"name": "there"}, "named twice"),
        ({"expectation": "expect_column_values_to_not_be_null", "columns": ["b"]}, "not asked for"),
        ({"expectation": "import_os"}, "expectation"),
        ({"extra": 1}, "extra"),
        ({"table": "fields", "columns": []}, "Metadata_Site, Metadata_Well"),
    ],
)
def test_a_wrong_suite_is_named_by_its_wrong_field(other: dict[str, object], said: str) -> None:
    """A suite is checked when it is read, before any table is."""
    with pytest.raises(ConfigurationError, match=said):
        read_suite(suite_text(**other), "s.json")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"expectation": "expect_column_values_to_be_wonderful"}, "unknown expectation"),
        ({"expectation": "expect_column_values_to_be_between", "arguments": {"minimum": 3}}, "cannot be asked"),
        ({"expectation": "expect_column_values_to_be_between"}, "cannot be asked"),
        ({"expectation": "expect_column_values_to_be_in_set", "columns": []}, "cannot be asked"),
    ],
)
def test_a_rule_that_cannot_be_asked_is_a_wrong_suite(tmp_path: Path, other: dict[str, object], said: str) -> None:
    """What Great Expectations refuses is our error, and it names the suite."""
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ConfigurationError, match=said):
        hold_against(
            tmp_path / "table.parquet", read_suite(suite_text(**other), "s.json"), tmp_path / "docs", known=read_context(context())
        )


def test_a_suite_that_is_not_json_is_named_with_its_line() -> None:
    """The error says where the file breaks off."""
    with pytest.raises(ConfigurationError, match=r"s\.json, line 2"):
        read_suite('{"name":\n', "s.json")


def test_a_suite_may_only_ask_for_values_the_context_knows() -> None:
    """A `$name` that nobody defined is an error, not a text to compare with."""
    with pytest.raises(ConfigurationError, match=r"\$wels"):
        plan_checks(read_suite(suite_text(arguments={"value_set": "$wels"}), "s.json"), read_context(context()), ["a"])


def test_fields_of_the_mask_and_of_the_table_are_both_compared() -> None:
    """A field that only one of them has stands in the comparison with a zero for the other."""
    known = read_context(context(fields=[{"well": "A01", "field": 1, "objects": 3}]))
    assert compare_fields(known, {("A02", "1"): 2}) == [
        {"Metadata_Well": "A01", "Metadata_Site": "1", "segmented": 3, "measured": 0},
        {"Metadata_Well": "A02", "Metadata_Site": "1", "segmented": 0, "measured": 2},
    ]


@pytest.mark.parametrize("name", ["single_cell_profiles", "bulk_profiles"])
def test_an_older_version_of_a_suite_stays_loadable(name: str) -> None:
    """The newest holds where none is named; a version that never was is an error that lists those there are."""
    versions = suite_versions()[name]
    assert versions == [1, 2]
    assert [load_suite(name, version).version for version in versions] == versions
    assert load_suite(name).version == 2
    with pytest.raises(ConfigurationError, match=r"\[1, 2\]"):
        load_suite(name, 3)


def test_an_old_release_is_judged_by_what_held_then(tmp_path: Path) -> None:
    """A table that lacks what the newest version asks for passes the first one, and the report says which it was."""
    old = cells().drop(columns=["Metadata_ImageNumber", "Metadata_QC_Flagged"])
    old.to_parquet(tmp_path / "table.parquet", index=False)
    said = [
        validate_table(tmp_path / "table.parquet", "single_cell_profiles", tmp_path / f"docs{version}", context=context(), version=version)
        for version in (1, 2)
    ]
    assert [(each.version, each.passed) for each in said] == [(1, True), (2, False)]


def test_what_an_object_may_lack_is_no_failure(gate: Gate) -> None:
    """Textures of tiny nuclei are missing; where most are, it is worth a look; an infinite one closes the gate."""
    table = cells().assign(Nuclei_Texture_Contrast_DNA_3_00_256=[None] * 4 + [1.0] * 36)
    assert gate(table).warnings == ()
    few = gate(cells().assign(Nuclei_Texture_Contrast_DNA_3_00_256=[None] * 24 + [1.0] * 16))
    assert (few.passed, [each.column for each in few.warnings]) == (True, ["Nuclei_Texture_Contrast_DNA_3_00_256"])
    assert not gate(put(table, 9, "Nuclei_Texture_Contrast_DNA_3_00_256", np.inf)).passed


def test_each_of_a_few_features_is_named_and_very_many_are_one(gate: Gate) -> None:
    """Features fail one by one, so that a person can accept one; sixty that fail together are one failure that binds them all."""
    few = gate(cells().assign(**{f"Cells_AreaShape_F{n}": [None] + [1.0] * 39 for n in range(3)}))
    assert [(each.column, each.unexpected_count) for each in few.failures] == [(f"Cells_AreaShape_F{n}", 1) for n in range(3)]
    assert few.failures[0].examples == ("Plate P1, Well A01, Site 1, ObjectNumber 1",)
    many = [gate(cells().assign(**{f"Cells_AreaShape_F{n}": [None] + [1.0] * 39 for n in range(first, 60)})) for first in (0, 0, 1)]
    assert [(each.failures[0].column, each.failures[0].unexpected_count) for each in many] == [(None, 60), (None, 60), (None, 59)]
    assert many[0].failures[0].mark == many[1].failures[0].mark != many[2].failures[0].mark


WELL_NAMES = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]
MAP = {well: {"control_type": "negcon" if well.endswith("01") else "poscon"} for well in WELL_NAMES if well.endswith(("01", "12"))}
FEATURES = [f"Nuclei_Texture_F{n}" for n in range(12)]


def plate(seed: int, shift: float = 0, effect: float = 6, nuclei: int = 60) -> pd.DataFrame:
    """A plate of 96 wells with negative controls on the left and positive ones on the right, as profiling writes it."""
    values = np.random.default_rng(seed).normal(size=(96, len(FEATURES))) + shift
    values[[well.endswith("12") for well in WELL_NAMES], :6] += effect
    table = pd.DataFrame({"Metadata_Plate": f"P{seed}", "Metadata_Well": WELL_NAMES})
    table["Metadata_control_type"] = [MAP.get(well, {}).get("control_type") for well in WELL_NAMES]
    table["Metadata_Count_Nuclei"], table["Metadata_Count_NucleiPerField"] = nuclei, nuclei / 2
    return pd.concat([table, pd.DataFrame(values, columns=FEATURES)], axis=1)


@pytest.fixture
def wells(gate: Gate, tmp_path: Path) -> Callable[..., GateReport]:
    """The gate on a plate of wells, after some earlier plates of which nothing but the summaries is left."""

    def run(table: pd.DataFrame, earlier: int = 3, effect: float = 6, **other: Any) -> GateReport:
        summaries = []
        for seed in range(100, 100 + earlier):
            plate(seed, effect=effect).to_parquet(tmp_path / "earlier.parquet", index=False)
            known = {"wells": WELL_NAMES, "plate_map": MAP}
            summaries.append(summarise(tmp_path / "earlier.parquet", f"PRJ-0001/P{seed}", "bulk_profiles", context=known))
            (tmp_path / "earlier.parquet").unlink()
        plain = [json.loads(each.model_dump_json()) for each in summaries]
        return gate(table, "bulk_profiles", **{"wells": WELL_NAMES, "fields": None, "plate_map": MAP, "earlier": plain} | other)

    return run


def rules(found: Any) -> set[str]:
    """Names of broken rules."""
    return {each.rule for each in found}


def test_a_plate_like_the_earlier_ones_passes(wells: Callable[..., GateReport]) -> None:
    """With controls where they belong and nothing moved, nothing is found and nothing is left out."""
    said = wells(plate(1))
    assert (said.passed, said.failures, said.warnings, said.left_out) == (True, (), (), ())


def test_a_plate_that_drifted_is_worth_a_look(wells: Callable[..., GateReport]) -> None:
    """Features that moved by three well-to-well deviations, and a third of the nuclei, are each a warning that names its rule."""
    said = wells(plate(1, shift=3, nuclei=20))
    assert (said.passed, rules(said.warnings)) == (True, {"drift-median", "drift-distribution", "drift-count"})
    moved = next(each for each in said.warnings if each.rule == "drift-median")
    assert "feature Nuclei_Texture_F0" in moved.examples[0]


def test_too_few_earlier_plates_are_said_by_name(wells: Callable[..., GateReport]) -> None:
    """Drift is not asked of the first plates of a project, and the report says which rules were left out and why."""
    said = wells(plate(1, shift=30), earlier=2)
    assert said.passed
    assert said.left_out == (
        "controls-direction: 2 earlier plates with controls, 3 needed",
        *(f"{rule}: 2 earlier plates of the project, 3 needed" for rule in ("drift-median", "drift-distribution", "drift-count")),
    )
    assert "drift-median" in said.markdown()


def test_a_plate_map_without_controls_is_said_by_name(wells: Callable[..., GateReport]) -> None:
    """Nothing is asked of controls that nobody named."""
    said = wells(plate(1), plate_map={})
    assert said.passed
    assert {each.partition(":")[0] for each in said.left_out} == {
        *(f"controls-{rule}" for rule in ("present", "labelled", "enough", "not-swapped", "differ", "z-prime", "direction"))
    }


@pytest.mark.parametrize(
    ("change", "failed", "warned"),
    [
        (lambda table: put(table, 0, "Metadata_control_type", None), {"controls-labelled"}, set()),
        (lambda table: put(table, 0, "Metadata_control_type", "poscon"), {"controls-labelled"}, set()),
        (lambda table: table.drop(columns="Metadata_control_type"), {"controls-labelled"}, set()),
        (lambda table: put(table, 11, "Metadata_Count_Nuclei", 0), {"controls-present"}, {"controls-enough"}),
        (lambda table: put(table, 11, "Metadata_Count_Nuclei", 19), set(), {"controls-enough"}),
        (
            lambda table: table.assign(**table.set_index(table.index[[11, *range(1, 11), 0, *range(12, 96)]])[FEATURES].sort_index()),
            None,
            set(),
        ),
    ],
)
def test_controls_that_are_not_where_they_should_be(
    wells: Callable[..., GateReport], change: Callable[[pd.DataFrame], pd.DataFrame], failed: set[str] | None, warned: set[str]
) -> None:
    """Absent, unlabelled, wrongly labelled and swapped controls close the gate; few nuclei are worth a look."""
    said = wells(change(plate(1)))
    assert rules(said.failures) == ({"controls-not-swapped"} if failed is None else failed)
    assert rules(said.warnings) == warned


def test_a_mark_is_of_all_that_is_found_and_not_only_of_what_is_shown(wells: Callable[..., GateReport]) -> None:
    """Where the plate map names other wells since, as many of them are wrong and the first of them are the same, nothing is accepted."""
    found = []
    for moved in ("H", "G"):
        said = {well: kind for well, kind in MAP.items() if not well.endswith("12")} | {f"{moved}12": {"control_type": "poscon"}}
        report = wells(plate(1).assign(Metadata_control_type=None), plate_map=said)
        found.append(next(each for each in report.failures if each.rule == "controls-labelled"))
    one, two = found
    assert (one.unexpected_count, one.examples) == (two.unexpected_count, two.examples)
    assert one.mark != two.mark


def test_swapped_wells_are_named(wells: Callable[..., GateReport]) -> None:
    """The wells whose treatments were swapped stand in the examples, with their place between the two kinds."""
    table = plate(1)
    table.loc[[0, 11], FEATURES] = table.loc[[11, 0], FEATURES].to_numpy()
    (found,) = wells(table).failures
    assert found.unexpected_count == 2
    assert [re.search(r"Well (\w+)", each).group(1) for each in found.examples] == ["A01", "A12"]  # type: ignore[union-attr]  # it is there


def test_all_labels_swapped_close_the_gate_by_the_earlier_plates(wells: Callable[..., GateReport]) -> None:
    """A plate alone does not show it; the opposite effect to that of earlier plates does."""
    swap = {"negcon": "poscon", "poscon": "negcon"}
    table = plate(1)
    table["Metadata_control_type"] = [swap.get(label) for label in table["Metadata_control_type"]]
    other = {well: {"control_type": swap[said["control_type"]]} for well, said in MAP.items()}
    assert rules(wells(table, plate_map=other).failures) == {"controls-direction"}
    assert wells(table, plate_map=other, earlier=0).passed


def test_a_weak_effect_is_worth_a_look(wells: Callable[..., GateReport]) -> None:
    """Positive controls that do not differ from negative ones warn, and close nothing."""
    said = wells(plate(1, effect=0), effect=0)
    assert (said.passed, rules(said.failures)) == (True, set())
    assert {"controls-differ", "controls-z-prime"} & rules(said.warnings)


def test_failures_of_keys_are_final_and_others_have_a_mark(gate: Gate) -> None:
    """Missing, empty or double keys cannot be accepted, nor what could not be asked; a wrong value can."""
    assert all(each.final for each in gate(cells().drop(columns="Metadata_Plate")).failures)
    assert all(each.final for each in gate(put(cells(), 1, "Metadata_Plate", None)).failures if each.rule == "key-complete")
    twice = gate(put(cells(), 1, "Metadata_ObjectNumber", 1)).failures
    assert {each.rule: each.final for each in twice} == {"key-unique": True}
    asked = gate(cells().assign(**{AREA: "large"})).failures
    assert {each.final for each in asked if "could not be evaluated" in each.found} == {True}
    (wrong,) = gate(put(cells(), 3, AREA, 40_000.0)).failures
    assert (wrong.final, len(wrong.mark)) == (False, 16)


def test_what_was_accepted_stands_in_the_pages(gate: Gate, tmp_path: Path) -> None:
    """The first page says what was accepted, by whom, how that was established, when and why; and nothing in it can act."""
    (found,) = gate(put(cells(), 3, AREA, 40_000.0)).failures
    word = Acceptance(
        failure=found,
        table="",
        suite="single_cell_profiles",
        version=2,
        reason="a giant <b>cell</b>",
        who="ada",
        how="a phone",
        at=dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC),
    )
    known = {"context": context(), "word": Word("", [word])}
    said = validate_table(tmp_path / "table.parquet", "single_cell_profiles", tmp_path / "docs", **known)
    assert (said.passed, said.accepted) == (True, (word,))
    page = (tmp_path / "docs/index.html").read_text()
    assert "Accepted by a person" in page
    assert "ada (a phone), 2030-01-15 12:00 UTC" in page
    assert "a giant &lt;b&gt;cell" in page
    assert (said.broken()[0]["what"], said.broken()[0]["count"]) == ("accepted by ada: a giant <b>cell</b>", 1)


def test_every_table_has_a_suite_that_its_columns_fit(gate: Gate) -> None:
    """Embeddings, normalised and selected wells, treatments and reproducibility pass as profiling writes them, and fail where wrong."""
    keys = cells()[["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ImageNumber", "Metadata_ObjectNumber"]]
    vectors = keys.assign(Embedding_cellsmall_DNA_000=np.linspace(0, 1, 40))
    assert gate(vectors, "embeddings").passed
    assert rules(gate(keys, "embeddings").failures) == {"some-features"}
    assert rules(gate(put(vectors, 2, "Embedding_cellsmall_DNA_000", None), "embeddings").failures) == {"embedding-complete"}
    there = pd.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": ["A01", "A02", "B02"], AREA: [0.1, -1.0, 2.0]})
    for suite in ("wells_normalized", "wells_selected"):
        assert gate(there, suite).passed
        assert rules(gate(put(there, 0, "Metadata_Well", "A02"), suite).failures) == {"key-unique"}
    assert gate(put(there, 0, AREA, None), "wells_normalized").passed
    assert rules(gate(put(there, 0, AREA, None), "wells_selected").failures) == {"selected-complete"}
    named = {"Metadata_Plate": "P1", "Metadata_treatment": ["x", "y"], "Metadata_dose": [1.0, 1.0], "Metadata_Count_Wells": [2, 2]}
    treated = pd.DataFrame(named | {AREA: [0.1, 0.2]})
    assert gate(treated, "treatments").passed
    assert rules(gate(put(treated, 0, "Metadata_treatment", "y"), "treatments").failures) == {"treatment-unique"}
    numbers = ("median_replicate_correlation", "null_correlation_95", "mean_average_precision", "p_value", "corrected_p_value")
    alike = pd.DataFrame(named | {name: [0.5, 0.1] for name in numbers})
    assert gate(alike, "reproducibility").passed
    assert rules(gate(put(alike, 0, "p_value", 1.5), "reproducibility").failures) == {"precision-possible"}
