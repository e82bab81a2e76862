"""Vectors of single cells: the shipped encoder tells patterns apart and does not heed how a cell lies; others load by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coldchain.errors import ImageError, ModelError
from coldchain.imaging import models
from coldchain.imaging.embedding import EMBEDDERS, LoadedEmbedder, digest_of_embedder, load_embedder, registered_embedder
from coldchain.imaging.synthetic_cells import Look, cell_crop

SHIPPED = "cell-small"
SMOOTH, FOCI, FIBRES, COARSE = Look(grain=0.05), Look(grain=0.1, foci=8), Look(grain=0.1, fibres=0.6), Look(grain=0.4, grain_scale=1.0)
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of keras, when it writes a network


@pytest.fixture(scope="module")
def encoder() -> LoadedEmbedder:
    """The shipped encoder."""
    return load_embedder(SHIPPED)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped encoder's folder, to spoil."""
    return Path(shutil.copytree(models.shipped_folder(SHIPPED), tmp_path / SHIPPED))


def cells(look: Look, count: int, stream: int) -> np.ndarray:
    """Crops of cells of one look, of any size, shape, place, blur and noise."""
    return np.stack([cell_crop(np.random.default_rng([77, stream, index]), look).image for index in range(count)])


def distances(first: np.ndarray, second: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Distance of each vector of the first to each of the second, every number in units of its spread."""
    return np.linalg.norm((first[:, None] - second[None]) / spread, axis=-1)


def named(known: np.ndarray, unseen: np.ndarray) -> tuple[float, float]:
    """Share of unseen vectors whose kind, of two, is named by their five nearest, and by a plane fitted to the known (ridge)."""
    mean, spread = known.mean(axis=0), known.std(axis=0)
    known, unseen = (known - mean) / spread, (unseen - mean) / spread
    kind, truth = (np.repeat([-1.0, 1.0], len(vectors) // 2) for vectors in (known, unseen))
    nearest = np.argsort(distances(unseen, known, np.ones(known.shape[1])), axis=1)[:, :5]
    plane = np.linalg.solve(known.T @ known + 30 * np.eye(known.shape[1]), known.T @ kind)
    return tuple(float(np.mean(np.sign(said) == truth)) for said in (kind[nearest].sum(axis=1), unseen @ plane))


def test_patterns_are_told_apart(encoder: LoadedEmbedder, capsys: pytest.CaptureFixture[str]) -> None:
    """Unseen cells of any shape and noise: smooth ones are told from each textured kind, and textured kinds better than by chance."""
    looks = {"smooth": SMOOTH, "foci": FOCI, "fibres": FIBRES, "coarse": COARSE}
    vectors = {name: encoder.embed(cells(look, 140, stream)) for stream, (name, look) in enumerate(looks.items())}
    pairs = [(one, other) for number, other in enumerate(looks) for one in list(looks)[:number]]
    right = {
        pair: named(*(np.concatenate([vectors[kind][part] for kind in pair]) for part in (np.s_[:100], np.s_[100:]))) for pair in pairs
    }
    with capsys.disabled():
        print(f"\n{SHIPPED}, unseen cells named rightly (by five nearest, by a plane):")
        print("  " + ", ".join(f"{'/'.join(pair)} {near:.2f} {plane:.2f}" for pair, (near, plane) in right.items()))
    assert min(min(right[pair]) for pair in pairs if "smooth" in pair) >= 0.85
    assert min(right[pair][1] for pair in pairs) >= 0.65


def test_a_turned_cell_stays_where_it_was(encoder: LoadedEmbedder, capsys: pytest.CaptureFixture[str]) -> None:
    """Turning a cell moves its vector far less than half as far as another cell of its kind is away; most are still their own nearest."""
    crops = cells(FOCI, 60, 9)
    vectors, turned = encoder.embed(crops), encoder.embed(np.rot90(crops, axes=(1, 2)))
    away, between = (distances(vectors, other, vectors.std(axis=0)) for other in (turned, vectors))
    moved, apart = float(np.median(np.diag(away))), float(np.median(between[~np.eye(60, dtype=bool)]))
    same = float(np.mean(away.argmin(axis=1) == np.arange(60)))
    with capsys.disabled():
        print(f"\n{SHIPPED}, a quarter turn moves a vector {moved / apart:.2f} of the way to another cell; own nearest: {same:.2f}")
    assert moved < 0.35 * apart
    assert same >= 0.85


def test_brightness_and_units_do_not_matter(encoder: LoadedEmbedder) -> None:
    """A crop with another gain, offset and type has the same vector."""
    crops = cells(COARSE, 4, 3)
    np.testing.assert_allclose(encoder.embed(crops), encoder.embed(crops.astype(np.float64) * 37 + 1000), atol=1e-2)


def test_a_vector_depends_on_nothing_but_its_crop(encoder: LoadedEmbedder) -> None:
    """One by one, together, or in another order: the same crop has the same vector, to the last bit."""
    crops = cells(FOCI, 131, 5)
    vectors = encoder.embed(crops)
    assert (vectors.dtype, vectors.shape) == (np.float32, (131, encoder.size))
    np.testing.assert_array_equal(vectors[[130, 3]], encoder.embed(crops[[130, 3]]))
    np.testing.assert_array_equal(vectors, encoder.embed(crops))


def test_no_crops_and_black_crops(encoder: LoadedEmbedder) -> None:
    """No crops give no vectors; black or even ones give finite ones, all the same."""
    assert encoder.embed(np.zeros((0, 48, 48), np.uint16)).shape == (0, encoder.size)
    vectors = encoder.embed(np.stack([np.zeros((48, 48)), np.full((48, 48), 9.0)]))
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_crops_of_another_side_are_resized(encoder: LoadedEmbedder) -> None:
    """A crop that shows the same at twice the size lies nearer to it than another cell of its kind."""
    crops = cells(FOCI, 20, 6)
    vectors, large = encoder.embed(crops), encoder.embed(np.kron(crops, np.ones((1, 2, 2))))
    away = distances(large, vectors, vectors.std(axis=0))
    assert np.mean(away.argmin(axis=1) == np.arange(20)) >= 0.9


@pytest.mark.parametrize("shape", [(48, 48), (2, 48, 47), (2, 1, 48, 48)])
def test_what_are_no_crops_is_refused(encoder: LoadedEmbedder, shape: tuple[int, ...]) -> None:
    """An array that is not (n, side, side) is an ImageError."""
    with pytest.raises(ImageError, match="not crops"):
        encoder.embed(np.zeros(shape))


def test_crops_that_are_not_finite_are_refused(encoder: LoadedEmbedder) -> None:
    """NaN would spread to the whole vector."""
    with pytest.raises(ImageError, match="finite"):
        encoder.embed(np.full((1, 48, 48), np.nan))


def test_shipped_weights_are_the_registered_ones_and_small(encoder: LoadedEmbedder) -> None:
    """The digest of the shipped files is the recorded one, the encoder says it, and its folder stays under 1.5 MB."""
    folder = models.shipped_folder(SHIPPED)
    assert digest_of_embedder(SHIPPED) == EMBEDDERS[SHIPPED].digest == encoder.digest == models.weights_digest(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    assert (folder / "MODEL_CARD.md").is_file()
    assert load_embedder(SHIPPED) is encoder


def test_provenance_says_which_encoder(encoder: LoadedEmbedder) -> None:
    """An encoder gives plain values for provenance."""
    said = encoder.provenance()
    assert json.loads(json.dumps(said)) == said
    assert (said["name"], said["digest"], said["side"], said["size"]) == (SHIPPED, encoder.digest, 48, encoder.size)


def test_one_changed_byte_is_refused(copied: Path) -> None:
    """Weights that are not the registered ones are not loaded."""
    content = bytearray((copied / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "model.keras").write_bytes(content)
    for ask in (load_embedder, digest_of_embedder):
        with pytest.raises(ModelError, match="not the registered ones"):
            ask(SHIPPED, str(copied))


def test_an_unknown_name_is_answered_with_the_names() -> None:
    """A name that is not registered is a ModelError that lists those that are."""
    with pytest.raises(ModelError) as caught:
        load_embedder("cell-large")
    assert all(name in str(caught.value) for name in EMBEDDERS)


def described(folder: Path, **changes: str) -> str:
    """Register the folder as a site does, and return its path."""
    facts = {"name": folder.name, "kind": "encoder", "axes": "YX", "version": "2", "licence": "CC0-1.0", "description": "ours"}
    (folder / "model.json").write_text(json.dumps(facts | {"digest": models.weights_digest(folder)} | changes))
    return str(folder)


def test_a_site_registers_an_encoder_by_a_folder(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a model.json of kind encoder, below one that COLDCHAIN_MODELS names, is loaded by its name."""
    own = copied.rename(copied.with_name("our-cells"))
    described(own)
    monkeypatch.setenv("COLDCHAIN_MODELS", str(own.parent))
    assert load_embedder("our-cells").version == "2"
    assert digest_of_embedder("our-cells") == models.weights_digest(own)


def test_a_model_that_segments_is_no_encoder(copied: Path) -> None:
    """A registered model of another kind is refused by name."""
    own = copied.rename(copied.with_name("our-cells"))
    described(own, kind="unet")
    for name, folder in (("our-cells", str(own)), ("nuclei-small", None)):
        with pytest.raises(ModelError, match="makes no vectors"):
            registered_embedder(name, folder)


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", b"{}"), ("config.json", b"{"), ("config.json", b'{"side": 0}'), ("model.keras", b"not a model")]
)
def test_files_that_cannot_be_read_are_a_model_error(copied: Path, file: str, content: bytes) -> None:
    """A damaged folder is told as such, with the folder."""
    own = copied.rename(copied.with_name("our-cells"))
    (own / file).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_embedder("our-cells", described(own))


@SAVING
def test_a_network_that_makes_no_vectors_is_refused(copied: Path) -> None:
    """A Keras network with another output than (n, size) is not of this kind."""
    import keras

    own = copied.rename(copied.with_name("our-cells"))
    image = keras.Input((48, 48, 1))
    keras.Model(image, keras.layers.Conv2D(2, 1)(image)).save(own / "model.keras")
    with pytest.raises(ModelError, match="not one of this kind"):
        load_embedder("our-cells", described(own))


@SAVING
def test_a_large_network_loads_from_a_folder(tmp_path: Path) -> None:
    """Where a node has no network, the weights that Keras keeps are read from a folder, and their values make the digest."""
    import keras

    made = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg")
    made.save_weights(tmp_path / "mobilenet.weights.h5")
    loaded = load_embedder("MobileNetV2", str(tmp_path))
    vectors = loaded.embed(cells(FOCI, 3, 1))
    assert (vectors.shape, loaded.side, len(loaded.digest)) == ((3, 1280), 96, 64)
    assert digest_of_embedder("MobileNetV2", str(tmp_path)) == loaded.digest
    made.save_weights(tmp_path / "again.weights.h5")
    with pytest.raises(ModelError, match=r"one \*\.h5"):
        load_embedder("MobileNetV2", str(tmp_path) + "/")


def run_fresh(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_no_network_is_told_plainly(tmp_path: Path) -> None:
    """Weights that cannot be downloaded are a ModelError that says what to try."""
    code = """
from coldchain.errors import ModelError
from coldchain.imaging.embedding import load_embedder
try:
    load_embedder("EfficientNetV2B0")
except ModelError as error:
    print(error)
"""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "KERAS_HOME": str(tmp_path)}
    said = run_fresh(code, **nowhere)
    assert "cannot be had" in said
    assert SHIPPED in said


def test_the_digest_needs_no_tensorflow() -> None:
    """Asking for the digest of the shipped encoder imports no TensorFlow."""
    code = f"""
import sys
from coldchain.imaging.embedding import digest_of_embedder
digest_of_embedder("{SHIPPED}")
print({{"tensorflow", "keras", "skimage"}} & set(sys.modules))
"""
    assert run_fresh(code).strip() == "set()"
