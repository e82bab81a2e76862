"""The gate: tables that pass, each corruption that must not, and the pages it leaves."""

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
from coldchain.gate import GateReport, Severity, judge, report, require_pass
from coldchain.imaging.aggregate import COUNTS
from coldchain.imaging.measure import feature_names
from coldchain.imaging.tables import IDENTITY
from coldchain.suite import PRESENCE, compare_fields, load_suite, plan_checks, read_context, read_suite, suite_names
from tasks.gate import hold_against, validate_table

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
        {"Metadata_Plate": "P1", "Metadata_Well": WELLS, "Metadata_Count_Nuclei": [10, 10, 0, 9], AREA: [250.0, 251.0, None, 250.0]}
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
        (lambda table: put(table, 1, "Metadata_Plate", None), "metadata-complete"),
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
    [("single_cell_profiles", [*IDENTITY, *feature_names(CHANNELS)]), ("bulk_profiles", [*IDENTITY[:2], *COUNTS])],
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
    assert broken is not None
    with pytest.raises(GateFailed, match=rf"(?s){AREA}: the column is missing.*nothing was promoted"):
        require_pass(report(load_suite("single_cell_profiles"), 0, 1, [broken]), "P1")


def test_a_question_that_could_not_be_evaluated_closes_the_gate() -> None:
    """Unknown counts as no, even where the rule only warns."""
    checks = plan_checks(load_suite("single_cell_profiles"), read_context(context()), list(cells().columns))
    check = next(check for check in checks if check.rule.severity is Severity.WARNING)
    answer = {"success": False, "result": {}, "exception_info": {"metric": {"raised_exception": True, "exception_message": "no idea"}}}
    broken = judge(check, answer)
    assert broken is not None
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
        "rules-single_cell_profiles-v1-rows.html",
        "rules-single_cell_profiles-v1-fields.html",
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
    assert suite_names() == ["bulk_profiles", "single_cell_profiles"]
    for name in ("profiles", "../errors"):
        with pytest.raises(ConfigurationError, match="bulk_profiles, single_cell_profiles"):
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
