"""All features of a field: the numbers of the libraries, and nulls only where a feature means nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coldchain.errors import InputError
from coldchain.imaging import tables
from coldchain.imaging.cellprofiler import RADIAL, granularity, outlines, radial, rings_of
from coldchain.imaging.features import Features, Field, measure, names_of
from coldchain.imaging.light import points, spreads, together
from coldchain.imaging.measure import feature_names, full_scales, join_tables, measure_field, prepare_measure
from coldchain.imaging.neighbours import closest, compartments, touching
from coldchain.imaging.regions import find_regions, poses
from tests.imaging.shapes import crowded_labels


def images(seed: int, count: int = 2, side: int = 200) -> list[NDArray[np.uint16]]:
    """Return images in which light comes in patches, so that every measure has something to tell."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    return [(1000 + 800 * gaussian_filter(rng.normal(size=(side, side)), 2 + n)).clip(0).astype(np.uint16) for n in range(count)]


@pytest.mark.parametrize("seed", [1, 2])
def test_spreads_and_points_are_those_of_cp_measure(seed: int) -> None:
    """Quartiles, deviation, edges, centre of mass and brightest pixel are cp_measure's for touching, ragged and cut regions."""
    from cp_measure.core.measureobjectintensity import get_intensity

    regions, plane = find_regions(crowded_labels(seed)), images(seed)[0]
    wanted = get_intensity(regions.sequential, plane.astype(np.float64))
    for kind, got in (("Intensity", spreads(regions, plane)), ("Location", points(regions, plane))):
        for name, values in got.items():
            np.testing.assert_allclose(values, wanted[f"{kind}_{name}"], rtol=1e-9, atol=1e-9, err_msg=name)


def test_two_channels_go_together_as_in_cp_measure() -> None:
    """Correlation, slope, overlap, K and Manders are cp_measure's; a channel that is constant has no correlation."""
    from cp_measure.core import measurecolocalization as theirs

    regions = find_regions(crowded_labels(3))
    one, two = (plane.astype(np.float64) for plane in images(3))
    got = together(regions, one, two, ("A", "B"))
    pearson = theirs.get_correlation_pearson(one, two, regions.sequential)
    manders = theirs.get_correlation_manders_fold(one, two, regions.sequential)
    overlap = [theirs.get_correlation_overlap_ind(one, two, regions.sequential == n + 1) for n in range(regions.count)]
    wanted: dict[str, Any] = {"Correlation_A_B": pearson["Correlation_Pearson"], "Slope_A_B": pearson["Correlation_Slope"]}
    wanted |= {"Manders_A_B": manders["Correlation_Manders_1"], "Manders_B_A": manders["Correlation_Manders_2"]}
    names = {"Overlap_A_B": "Correlation_Overlap", "K_A_B": "Correlation_K_1", "K_B_A": "Correlation_K_2"}
    wanted |= {ours: [each[name] for each in overlap] for ours, name in names.items()}
    assert got.keys() == wanted.keys()
    large = regions.area > 1
    for name, values in got.items():
        np.testing.assert_allclose(values[large], np.array(wanted[name])[large], rtol=1e-7, err_msg=name)
    flat = together(regions, one, np.full_like(two, 7.0), ("A", "B"))
    assert np.isnan(flat["Correlation_A_B"]).all()


def test_poses_are_those_of_scikit_image() -> None:
    """Orientation is scikit-image's in degrees, compactness comes from perimeter and area."""
    from skimage.measure import regionprops_table

    regions = find_regions(crowded_labels(1))
    wanted = regionprops_table(regions.plane, properties=["orientation", "perimeter", "area"])
    got = poses(regions)
    np.testing.assert_allclose(got["Orientation"], np.degrees(wanted["orientation"]), atol=1e-6)
    np.testing.assert_allclose(got["Compactness"], wanted["perimeter"] ** 2 / (4 * np.pi * wanted["area"]), rtol=1e-9)


def test_radii_are_those_of_cp_measure() -> None:
    """Largest, mean and median radius of touching regions are cp_measure's."""
    from cp_measure.core.measureobjectsizeshape import get_sizeshape

    regions = find_regions(crowded_labels(2))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = get_sizeshape(regions.sequential, None)
    got = outlines(regions)
    for name in ("MaximumRadius", "MeanRadius", "MedianRadius"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-12, err_msg=name)


def test_one_pass_gives_the_granularity_of_each_compartment() -> None:
    """Nuclei, cytoplasms and cells have the spectra that cp_measure gives for each alone."""
    from cp_measure.core.measuregranularity import get_granularity

    planes = compartments(crowded_labels(2), 3)
    regions = {name: find_regions(plane) for name, plane in planes.items()}
    image = images(2)[0] / 65535.0
    got = granularity(regions["Nuclei"], regions["Cytoplasm"], regions["Cells"], image)
    for values, name in zip(got, ("Nuclei", "Cytoplasm", "Cells"), strict=True):
        wanted = np.stack(list(get_granularity(regions[name].sequential, image).values()))
        np.testing.assert_allclose(values, wanted, rtol=1e-6, atol=1e-8, err_msg=name)


def test_cells_are_grown_nuclei_without_overlap() -> None:
    """A cell reaches so far around its nucleus and no further than halfway to the next; cytoplasm is a cell without its nucleus."""
    nuclei = np.zeros((40, 60), np.int32)
    nuclei[15:25, 10:20], nuclei[15:25, 30:40] = 1, 2
    cells, cytoplasm = (compartments(nuclei, 8)[name] for name in ("Cells", "Cytoplasm"))
    assert set(cells[20, 2:10]) == {1}
    assert cells[20, 1] == 0
    assert (cells[20, 24], cells[20, 25]) == (1, 2)
    np.testing.assert_array_equal(np.where(nuclei > 0, nuclei, cytoplasm), cells)
    assert not (cytoplasm[nuclei > 0]).any()


def test_neighbours_are_counted_and_their_distances_measured() -> None:
    """Of three nuclei in a right angle, the one at the corner touches both others by its cell, and sees them at 90 degrees."""
    nuclei = np.zeros((60, 60), np.int32)
    for number, (y, x) in enumerate(((10, 10), (10, 24), (28, 10)), start=3):
        nuclei[y - 3 : y + 4, x - 3 : x + 4] = number
    near = closest(find_regions(nuclei))
    assert [near[name][0] for name in near] == pytest.approx([14, 18, 90])
    beside = touching(find_regions(compartments(nuclei, 10)["Cells"]))
    assert beside["NumberOfNeighbors_Adjacent"][0] == 2
    assert 0 < beside["PercentTouching_Adjacent"][0] < 100
    alone = touching(find_regions(compartments(nuclei, 1)["Cells"]))
    assert {*alone["NumberOfNeighbors_Adjacent"], *alone["PercentTouching_Adjacent"]} == {0}


@pytest.mark.parametrize(("count", "known"), [(0, 0), (1, 0), (2, 1), (3, 3)])
def test_the_closest_nuclei_are_unknown_where_there_are_none(count: int, known: int) -> None:
    """A field with fewer than three nuclei has no second distance and no angle, one with a single nucleus no distance."""
    nuclei = np.zeros((20, 60), np.int32)
    for number in range(count):
        nuclei[5:9, 5 + 15 * number : 9 + 15 * number] = number + 1
    near = closest(find_regions(nuclei))
    assert [len(values) for values in near.values()] == [count] * 3
    assert sum(bool(np.isfinite(values).all()) for values in near.values()) == (known if count else 3)


def whole_field(labels: NDArray[Any], channels: int = 2) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Measure every feature of labels in patchy images."""
    planes = dict(zip("AB", images(1, channels, labels.shape[0]), strict=False))
    return measure(Field(labels, planes, dict.fromkeys(planes, 4095.0)), Features.FULL)


NULLABLE = ("Texture_", "FormFactor", "Correlation_", "_Neighbors_", "RadialDistribution_", "MassDisplacement", "CenterMass", "Zernike")


def test_features_are_missing_only_where_they_mean_nothing() -> None:
    """Every value of a crowded field is finite but those documented; a cell without cytoplasm lacks all but its area, which is 0."""
    labels = np.zeros((200, 200), np.int32)
    labels[20:60, 20:60], labels[30:45, 30:45] = 1, 2  # the inner one is closed in
    labels[100:130, 100:140], labels[150, 150] = 5, 7
    numbers, found = whole_field(labels)
    assert numbers.tolist() == [1, 2, 5, 7]
    assert list(found) == names_of("AB", Features.FULL)
    for name, values in found.items():
        assert np.isfinite(values[[0, 2]]).all(), name
        assert np.isfinite(values[3]) or any(word in name for word in NULLABLE), name
        if name.startswith("Cytoplasm"):
            assert np.isnan(values[1]) or name == "Cytoplasm_AreaShape_Area", name
    assert found["Cytoplasm_AreaShape_Area"][1] == 0


def test_labels_with_gaps_are_measured_as_without() -> None:
    """The same nuclei numbered with gaps have the same features under their own labels."""
    labels = find_regions(crowded_labels(1)).sequential
    numbers, gapped = whole_field(np.where(labels > 0, 3 * labels + 2, 0))
    plain, without = whole_field(labels)
    np.testing.assert_array_equal(numbers, 3 * plain + 2)
    for name, values in without.items():
        np.testing.assert_array_equal(gapped[name], values, err_msg=name)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_field_without_nuclei_has_every_column(channels: int) -> None:
    """An empty field gives all columns without rows."""
    numbers, found = whole_field(np.zeros((64, 64), np.int32), channels)
    assert len(numbers) == 0
    assert list(found) == names_of("AB"[:channels], Features.FULL)
    assert {len(values) for values in found.values()} == {0}


@pytest.mark.parametrize("seed", [1, 2])
def test_rings_are_those_of_cp_measure(seed: int) -> None:
    """The light in each ring and its variation are cp_measure's, for regions that touch, are ragged, in parts or cut by the image's end."""
    from cp_measure.core.measureobjectintensitydistribution import get_radial_distribution

    regions = find_regions(crowded_labels(seed))
    plane = images(seed)[0].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = get_radial_distribution(regions.sequential, plane)
    got = radial(rings_of(regions), plane)
    for name in RADIAL:
        theirs = np.ma.filled(wanted[f"RadialDistribution_{name.replace('_{channel}', '')}"], np.nan)
        np.testing.assert_allclose(got[name], theirs, rtol=1e-7, atol=1e-12, err_msg=name)


def test_light_in_the_middle_is_in_the_first_ring() -> None:
    """A nucleus that shines in its middle has most of its light in the inner rings."""
    y, x = np.indices((60, 60)) - 30
    labels = (np.hypot(y, x) < 20).astype(np.int32)
    got = radial(rings_of(find_regions(labels)), np.exp(-(y**2 + x**2) / 50.0))
    inner, outer = ([got[f"FracAtD_{{channel}}_{ring}of4"][0] for ring in rings] for rings in ((1, 2), (3, 4)))
    assert sum(inner) > 0.8
    assert sum(inner) + sum(outer) == pytest.approx(1)


def test_a_plate_is_measured_in_full(known_plate: Any, tmp_path: Path) -> None:
    """All features of a plate become one table without a value that is not a number or infinite, the same bytes each time."""
    for name in ("one", "two"):
        items = prepare_measure(known_plate.corrected, known_plate.masks, str(tmp_path / "parts"), features="full")
        done = [measure_field(item) for item in items]
        join_tables([part["table"] for part in done], str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert [part["files"] for part in done] == [[item["target"]] for item in items]
    table = pq.read_table(tmp_path / "one")
    assert table.column_names[6:] == [tables.PIXEL_SIZE, *feature_names(["DNA", "Marker"], "full")]
    assert set(table[tables.PIXEL_SIZE].to_pylist()) == {0.65}
    for name in table.column_names[7:]:
        assert np.isfinite(table[name].drop_null().to_numpy()).all(), name


@pytest.mark.parametrize(("words", "said"), [({"features": "all"}, "features"), ({"distance": 0}, "reach"), ({"distance": 999}, "reach")])
def test_wishes_that_cannot_be_met_are_refused(known_plate: Any, tmp_path: Path, words: dict[str, Any], said: str) -> None:
    """A group of features that there is not, or cells that reach nowhere or too far, raise InputError before work is planned."""
    with pytest.raises(InputError, match=said):
        prepare_measure(known_plate.corrected, known_plate.masks, str(tmp_path), **words)


def test_full_scale_is_the_camera_s_that_the_plate_fills(tmp_path: Path) -> None:
    """The full scale is the smallest camera's that no unflagged field exceeds, and unknown for a channel that is not in the table."""
    import pyarrow as pa

    rows = [("A01", False, 900.0), ("A02", False, 3000.0), ("B01", True, 60000.0)]
    wells, flags, values = zip(*rows, strict=True)
    table = {"Metadata_Well": wells, "Metadata_Site": [1, 1, 1], "flagged": flags, "ImageQuality_P999Intensity_DNA": values}
    pq.write_table(pa.table(table), tmp_path / "quality.parquet")
    assert full_scales(tmp_path / "quality.parquet", ["DNA", "Marker"]) == {"DNA": 4095.0}
