"""Wells compared: against the controls, by few features, by treatment, and how alike replicates are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coldchain.controls import kind_of
from coldchain.imaging import partitions
from coldchain.imaging.aggregate import COUNTS, NUCLEI, PLATE, WELL, features_of, write
from coldchain.imaging.bulk import compare_wells, controls_of, treatment_keys, treatments_of, uncorrelated

DERIVED = [partitions.NORMALIZED, partitions.SELECTED, partitions.TREATMENTS, partitions.REPRODUCIBILITY]


def wells_of(treatments: list[str | None], *, features: int = 12, control: str | None = "DMSO", seed: int = 1) -> pd.DataFrame:
    """Return wells whose features lie where their treatment is, with noise; the controls scatter around 0."""
    rng = np.random.default_rng(seed)
    centres = {name: rng.normal(0, 6, features) * (name != "DMSO") for name in sorted({str(name) for name in treatments})}
    values = np.stack([centres[str(name)] for name in treatments]) + rng.normal(0, 1, (len(treatments), features))
    table = pd.DataFrame({PLATE: "P-1", WELL: [f"A{n:02d}" for n in range(1, len(treatments) + 1)]})
    if any(treatments):
        table["Metadata_treatment"] = pd.array(treatments, "string")
        table["Metadata_dose"] = [1.0 if name else np.nan for name in treatments]
    if control is not None:
        table["Metadata_control_type"] = pd.array(["negcon" if name == control else None for name in treatments], "string")
    table[list(COUNTS)] = [50, 0, 2, 0, 25]
    return table.assign(**{f"Nuclei_AreaShape_F{n}": values[:, n] for n in range(features)})


def compared(folder: Path, wells: pd.DataFrame) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Compare wells, and return what was said and every table that was written."""
    write(wells, partitions.place(folder, partitions.WELLS, "P-1"))
    found = compare_wells(str(partitions.find(folder, partitions.WELLS)), str(folder), "P-1")
    made = {name: partitions.tables_of(folder, name) for name in DERIVED}
    return found, {name: pd.read_parquet(paths[0], partitioning=None) for name, paths in made.items() if paths}


PLATE_OF_FOUR = ["DMSO"] * 4 + ["drug"] * 3 + ["other"] * 3 + ["third"] * 2


def test_wells_are_measured_against_the_controls(tmp_path: Path) -> None:
    """Of each feature the controls have median 0 and median absolute deviation 1 / 1.4826, and the findings say what was used."""
    found, tables = compared(tmp_path, wells_of(PLATE_OF_FOUR))
    normalized = tables[partitions.NORMALIZED]
    controls = normalized.loc[normalized["Metadata_control_type"] == "negcon", features_of(normalized)]
    np.testing.assert_allclose(controls.median(), 0, atol=1e-9)
    np.testing.assert_allclose(controls.abs().median(), 1 / 1.4826, rtol=1e-3)
    assert found["normalized_against"] == "4 negative controls"
    assert found["left_out"] == {}


@pytest.mark.parametrize(("treatments", "said"), [(["DMSO"] * 2 + ["drug"] * 3, "names 2"), (["drug"] * 3 + ["other"] * 2, "are named")])
def test_without_enough_controls_all_wells_are_the_measure(tmp_path: Path, treatments: list[str | None], said: str) -> None:
    """With fewer than three controls the median of all wells is 0, and the findings say why."""
    found, tables = compared(tmp_path, wells_of(treatments))
    normalized = tables[partitions.NORMALIZED]
    np.testing.assert_allclose(normalized[features_of(normalized)].median(), 0, atol=1e-9)
    assert found["normalized_against"].startswith("all 5 wells")
    assert said in found["normalized_against"]


def test_only_features_that_tell_something_are_kept(tmp_path: Path) -> None:
    """Features that are constant, a copy, with a gap, constant among the controls or on the blocklist go; what is kept is complete."""
    wells = wells_of(PLATE_OF_FOUR).assign(Nuclei_AreaShape_Flat=3.0, Nuclei_Correlation_Manders_AGP_DNA=np.arange(12.0) % 5)
    wells["Nuclei_AreaShape_Still"] = np.where(wells["Metadata_treatment"] == "DMSO", 0.0, np.arange(12.0))
    wells["Nuclei_AreaShape_Copy"] = wells["Nuclei_AreaShape_F0"] * 2
    wells["Nuclei_AreaShape_Gap"] = wells["Nuclei_AreaShape_F1"].where(wells.index != 3)
    found, tables = compared(tmp_path, wells)
    kept = set(features_of(tables[partitions.SELECTED]))
    assert not kept & {"Nuclei_AreaShape_Flat", "Nuclei_AreaShape_Still", "Nuclei_AreaShape_Gap", "Nuclei_Correlation_Manders_AGP_DNA"}
    assert len(kept & {"Nuclei_AreaShape_Copy", "Nuclei_AreaShape_F0"}) == 1
    assert np.isfinite(tables[partitions.SELECTED][sorted(kept)].to_numpy()).all()
    assert (found["features"], found["features_selected"]) == (17, len(kept))
    without_spread = tables[partitions.NORMALIZED][["Nuclei_AreaShape_Flat", "Nuclei_AreaShape_Still"]]
    assert not np.isinf(without_spread.to_numpy()).any(), "a spread of 0 among the controls gives no value, and no infinite one"


def test_a_treatment_is_the_median_of_its_wells(tmp_path: Path) -> None:
    """One row for each treatment and dose, with its wells counted; wells that the map does not name belong to none."""
    wells = wells_of([*PLATE_OF_FOUR, None])
    _, tables = compared(tmp_path, wells)
    treatments, selected = tables[partitions.TREATMENTS], tables[partitions.SELECTED]
    assert treatments["Metadata_treatment"].tolist() == ["DMSO", "drug", "other", "third"]
    assert treatments["Metadata_Count_Wells"].tolist() == [4, 3, 3, 2]
    first = features_of(selected)[0]
    drug = selected.loc[selected["Metadata_treatment"] == "drug", first].median()
    assert treatments.loc[treatments["Metadata_treatment"] == "drug", first].item() == pytest.approx(drug)
    assert set(treatments[PLATE]) == {"P-1"}


def test_replicates_of_a_strong_treatment_find_each_other(tmp_path: Path) -> None:
    """Wells of a treatment with an effect correlate above chance and find each other before the controls."""
    found, tables = compared(tmp_path, wells_of(PLATE_OF_FOUR, features=30))
    table = tables[partitions.REPRODUCIBILITY].set_index("Metadata_treatment")
    strong = table.loc[["drug", "other", "third"]]
    assert (strong["median_replicate_correlation"] > strong["null_correlation_95"]).all()
    assert strong["mean_average_precision"].tolist() == pytest.approx([1, 1, 1])
    assert table["p_value"].between(0, 1).all() or np.isnan(table.loc["DMSO", "p_value"])
    assert (found["precision_compared_with"], found["replicated_treatments"]) == ("negative controls", 4)


def test_replicates_without_an_effect_do_not(tmp_path: Path) -> None:
    """Wells that are all alike but for noise do not find each other better than chance."""
    wells = wells_of(PLATE_OF_FOUR, features=30)
    noise = np.random.default_rng(3).normal(size=(12, 30))
    wells[features_of(wells)] = noise
    found, _ = compared(tmp_path, wells)
    assert found["mean_average_precision"] < 0.8
    assert found["percent_replicating"] < 50


def test_without_controls_replicates_are_held_against_other_treatments(tmp_path: Path) -> None:
    """Where no control is named, the wells of other treatments are what a well is to tell its replicates from."""
    found, tables = compared(tmp_path, wells_of(["a"] * 3 + ["b"] * 3, control=None))
    assert found["precision_compared_with"] == "other treatments"
    assert tables[partitions.REPRODUCIBILITY]["mean_average_precision"].tolist() == pytest.approx([1, 1])


def test_one_treatment_alone_has_no_precision(tmp_path: Path) -> None:
    """Where all wells had one treatment there is nothing to tell them from: the correlation stands alone."""
    found, tables = compared(tmp_path, wells_of(["none"] * 4, control=None))
    assert found["mean_average_precision"] is None
    table = tables[partitions.REPRODUCIBILITY]
    assert table["mean_average_precision"].isna().all()
    assert table["median_replicate_correlation"].notna().all()


@pytest.mark.parametrize(
    ("treatments", "written", "why"),
    [
        (["a", "b"], [], "a spread needs 3"),
        ([None, None, None, None], DERIVED[:2], "no plate map"),
        (["a", "b", "c", "d"], DERIVED[:3], "no treatment has two wells"),
    ],
    ids=["two wells", "no map", "no replicates"],
)
def test_what_cannot_be_made_is_left_out_with_the_reason(
    tmp_path: Path, treatments: list[str | None], written: list[str], why: str
) -> None:
    """A plate with too few wells, without a map or without replicates has the tables that make sense, and says why it lacks the next."""
    found, tables = compared(tmp_path, wells_of(treatments, control=None))
    assert list(tables) == written
    assert why in " ".join(found["left_out"].values())
    assert "why" not in found


def test_a_plate_on_which_nothing_varies_has_no_features(tmp_path: Path) -> None:
    """Where every feature is constant none is selected, with the reason, instead of an error of the library."""
    wells = wells_of(["a"] * 4, control=None)
    wells[features_of(wells)] = 1.0
    found, tables = compared(tmp_path, wells)
    assert list(tables) == DERIVED[:1]
    assert "no feature" in found["left_out"][partitions.SELECTED]


def test_wells_without_nuclei_are_not_compared(tmp_path: Path) -> None:
    """A well without a nucleus stays in the table of wells and is in no other."""
    wells = wells_of(PLATE_OF_FOUR)
    wells.loc[11, NUCLEI] = 0
    wells.loc[11, features_of(wells)] = np.nan
    _, tables = compared(tmp_path, wells)
    assert "A12" not in set(tables[partitions.NORMALIZED][WELL])


def test_the_same_wells_give_the_same_bytes(tmp_path: Path) -> None:
    """Comparing twice gives the same files, random rankings included."""
    for name in ("one", "two"):
        compared(tmp_path / name, wells_of(PLATE_OF_FOUR))
    for table in DERIVED:
        one, two = (partitions.find(tmp_path / name, table).read_bytes() for name in ("one", "two"))
        assert one == two, table


def test_keys_of_controls_and_repeats_are_no_treatment() -> None:
    """Controls are named in upper or lower case, and neither their key nor that of repeats tells treatments apart."""
    wells = wells_of(["DMSO", "drug"], control=None).assign(Metadata_Control=["Negative", None], Metadata_replicate=[1, 2])
    assert controls_of(wells).tolist() == [True, False]
    assert treatment_keys(wells) == ["Metadata_treatment", "Metadata_dose"]
    assert treatments_of(wells, ["Metadata_treatment"]).tolist() == ["DMSO", "drug"]


@pytest.mark.parametrize("key", ["reference", "group"])
def test_no_key_of_a_plate_map_is_lost(tmp_path: Path, key: str) -> None:
    """A key may have any name, that of a column which is only needed meanwhile too: it stays, and tells treatments apart."""
    name = f"Metadata_{key}"
    wells = wells_of(PLATE_OF_FOUR).assign(**{name: pd.array([f"{n % 2}" for n in range(12)], "string")})
    _, tables = compared(tmp_path, wells)
    assert tables[partitions.NORMALIZED][name].tolist() == wells[name].tolist()
    treatments = tables[partitions.TREATMENTS]
    assert len(treatments) == len(treatments[["Metadata_treatment", name]].drop_duplicates()) == 8


def test_a_control_is_what_the_gate_takes_for_one() -> None:
    """The first key that a well has decides, whatever blanks stand around its value: a positive control is no negative one."""
    kinds = [("poscon", "negligible"), (None, "neg"), (" NegCon", None), ("trt", "neg"), (None, None), (np.nan, "negative")]
    wells = wells_of(["a"] * len(kinds), control=None)
    wells["Metadata_control_type"], wells["Metadata_control"] = (pd.array(list(each), "string") for each in zip(*kinds, strict=True))
    asked = [{"control_type": first, "control": second} for first, second in kinds]
    plain = [{key: value for key, value in values.items() if isinstance(value, str)} for values in asked]
    assert controls_of(wells).tolist() == [kind_of(values) == "negative" for values in plain]
    assert controls_of(wells).tolist() == [False, True, True, False, False, True]


def test_correlated_features_go_as_pycytominer_would_have_it() -> None:
    """Of features in correlated groups the same are kept as by pycytominer's own, slower rule."""
    from pycytominer.operations import correlation_threshold

    rng = np.random.default_rng(1)
    groups = rng.normal(size=(20, 8))
    values = np.repeat(groups, 5, axis=1) + rng.normal(0, rng.uniform(0.05, 1, 40), (20, 40))
    names = [f"Nuclei_AreaShape_F{n}" for n in range(40)]
    gone = correlation_threshold(pd.DataFrame(values, columns=names), features=names, threshold=0.9)
    kept = uncorrelated(values)
    assert {name for name, alone in zip(names, kept, strict=True) if not alone} == set(gone)
    assert 0 < len(gone) < 40
