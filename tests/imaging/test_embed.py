"""Vectors of single cells: the same nuclei as the measurements, in their order, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from coldchain.errors import LayoutError, ModelError
from coldchain.imaging import tables
from coldchain.imaging.aggregate import bulk_profiles
from coldchain.imaging.crops import SIDE, cut
from coldchain.imaging.embed import EMBEDDER, NONE, embed_field, join_vectors, names_of, prepare_embed, weights_of
from coldchain.imaging.embedding import load_embedder
from coldchain.imaging.measure import join_tables, measure_field, prepare_measure


@pytest.fixture(scope="module")
def embedded(known_plate: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Embed every field of the known plate."""
    folder = tmp_path_factory.mktemp("embedded")
    return [embed_field(item) for item in prepare_embed(known_plate.corrected, known_plate.masks, str(folder))]


def test_a_nucleus_has_the_vector_of_its_own_image(known_plate: Any, embedded: list[dict[str, Any]], tmp_path: Path) -> None:
    """Each channel's numbers are what the network says of the square around the nucleus, and the activity is told which network it was."""
    join_vectors([part["table"] for part in reversed(embedded)], str(tmp_path / "vectors"))
    table = pq.read_table(tmp_path / "vectors").to_pandas()
    network = load_embedder(EMBEDDER)
    row = table[(table.Metadata_Well == "B01") & (table.Metadata_Site == 2)].iloc[4]
    y, x = (axis.mean() for axis in np.nonzero(known_plate.truth["B01", 2] == row["Metadata_ObjectNumber"]))
    image = cut(known_plate.images["B01", 2], np.array([y]), np.array([x]), SIDE)
    names = names_of(EMBEDDER, ["DNA", "Marker"], network.size)
    assert table.columns[6:].tolist() == names
    wanted = np.concatenate([network.embed(image[:, channel])[0] for channel in (0, 1)])
    np.testing.assert_allclose(row[names].to_numpy(np.float32), wanted, rtol=1e-4, atol=1e-5)
    assert embedded[0]["model"] == network.provenance()


def test_vectors_stand_in_the_order_of_the_measurements(known_plate: Any, embedded: list[dict[str, Any]], tmp_path: Path) -> None:
    """Both tables have the same keys, row by row, and a well's profile has the medians of both; other nuclei are refused."""
    items = prepare_measure(known_plate.corrected, known_plate.masks, str(tmp_path / "parts"))
    join_tables([measure_field(item)["table"] for item in items], str(tmp_path / "cells"))
    join_vectors([part["table"] for part in embedded], str(tmp_path / "vectors"))
    cells, vectors = (pq.read_table(tmp_path / name) for name in ("cells", "vectors"))
    assert cells.select(tables.IDENTITY).equals(vectors.select(tables.IDENTITY))
    bulk_profiles(str(tmp_path / "cells"), str(tmp_path / "wells"), embeddings=str(tmp_path / "vectors"))
    wells = pq.read_table(tmp_path / "wells").to_pandas().set_index("Metadata_Well")
    name = vectors.column_names[6]
    of_well = vectors.to_pandas().query("Metadata_Well == 'A02'")[name]
    assert wells.loc["A02", name] == pytest.approx(of_well.median())
    tables.write(vectors.slice(1), tmp_path / "fewer")
    with pytest.raises(LayoutError, match="other nuclei"):
        bulk_profiles(str(tmp_path / "cells"), str(tmp_path / "wells"), embeddings=str(tmp_path / "fewer"))


def test_embedding_again_gives_the_same_bytes(known_plate: Any, embedded: list[dict[str, Any]], tmp_path: Path) -> None:
    """A field embedded again has the same file, and a field without a nucleus has every column and no row."""
    items = prepare_embed(known_plate.corrected, known_plate.masks, str(tmp_path))
    again = embed_field(items[3])
    assert Path(again["table"]).read_bytes() == Path(embedded[3]["table"]).read_bytes()
    assert again["files"] == [items[3]["target"]]
    empty, full = (pq.read_table(embedded[number]["table"]) for number in (7, 0))
    assert (empty.num_rows, empty.schema) == (0, full.schema)


def test_a_network_that_there_is_not_is_refused(known_plate: Any, tmp_path: Path) -> None:
    """An unknown embedder raises ModelError before any field is planned; `none` stands for no weights."""
    with pytest.raises(ModelError, match="embedder"):
        prepare_embed(known_plate.corrected, known_plate.masks, str(tmp_path), embedder="no-such")
    assert weights_of(NONE) == ""
    assert len(weights_of(EMBEDDER)) == 64


def test_names_hold_letters_and_digits_only() -> None:
    """The model's and the channel's names are shortened to letters and digits, and numbers sort as text."""
    assert names_of("cell-small", ["DNA/1"], 2) == ["Embedding_cellsmall_DNA1_000", "Embedding_cellsmall_DNA1_001"]
    assert names_of("m", ["A"], 1280)[-1] == "Embedding_m_A_1279"
