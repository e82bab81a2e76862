"""Segmentation models: the shipped one finds real nuclei, and only registered weights are loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ImageError, ModelError
from coldchain.imaging import models
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions

SHIPPED = "nuclei-small"
MODEST = 0.80  # matched-object F1 at IoU 0.5 that the real image must reach


@pytest.fixture(scope="module")
def model() -> models.LoadedModel:
    """The shipped model."""
    return models.load(SHIPPED)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped model's folder, to spoil."""
    return Path(shutil.copytree(models.shipped_folder(SHIPPED), tmp_path / SHIPPED))


def f1(truth: np.ndarray, found: np.ndarray, iou: float = 0.5) -> float:
    """Matched-object F1 of one image."""
    from stardist.matching import matching

    return float(matching(truth, found, thresh=iou).f1)


def test_real_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """On the real image that ships with stardist, never trained on, F1 at IoU 0.5 is at least 0.80; the figure is printed."""
    from stardist.data import test_image_nuclei_2d

    image, truth = test_image_nuclei_2d(return_mask=True)
    found, nuclei = model.predict(image), len(np.unique(truth)) - 1
    with capsys.disabled():
        print(f"\n{SHIPPED} on the real image: F1 {f1(truth, found):.3f} at IoU 0.5, {f1(truth, found, 0.7):.3f} at 0.7")
        print(f"  {found.max()} objects found, {nuclei} in the mask")
    assert f1(truth, found) >= MODEST


def test_synthetic_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """Over held-out synthetic fields under random conditions the mean F1 at IoU 0.5 is printed, and is at least 0.80."""
    held_out = [nuclei_field(np.random.default_rng([99, index])) for index in range(16)]
    scores = [f1(field.truth, model.predict(field.image)) for field in held_out if field.truth.any()]
    with capsys.disabled():
        print(f"\n{SHIPPED} on held-out synthetic fields: mean F1 {np.mean(scores):.3f}, lowest {min(scores):.3f}")
    assert np.mean(scores) >= 0.80


def test_prediction_is_deterministic_and_numbered_from_one(model: models.LoadedModel) -> None:
    """One image gives one answer: int32 labels 1..n without gaps."""
    image = nuclei_field(np.random.default_rng(4), (128, 192), conditions=Conditions()).image
    first, second = model.predict(image), model.predict(image)
    np.testing.assert_array_equal(first, second)
    assert (first.dtype, first.shape) == (np.int32, (128, 192))
    assert first.max() > 3
    assert np.array_equal(np.unique(first), np.arange(first.max() + 1))


class HidingNetwork:
    """A network as StarDist's, in whose answer label 2 is wholly hidden by others."""

    config = SimpleNamespace(n_channel_in=1)

    def predict_instances(self, image: np.ndarray, **_: Any) -> tuple[np.ndarray, None]:
        """Answer with labels 1 and 3."""
        return np.where(image > 0.5, 3, 1) * (image >= 0), None


def test_hidden_objects_leave_no_gap_in_the_numbers() -> None:
    """Where StarDist leaves a number out, the labels are numbered again in their order."""
    image = np.array([[0, 0, 4, 9], [4, 9, 9, 9]])
    (found,) = models.predictor(HidingNetwork())([image])
    assert (found.dtype, sorted(set(found.ravel().tolist()) - {0})) == (np.int32, [1, 2])


def test_intensity_scale_does_not_matter(model: models.LoadedModel) -> None:
    """An image in other units (16 bits, floats below one) gives the same objects."""
    image = nuclei_field(np.random.default_rng(4), (128, 128), conditions=Conditions()).image
    assert f1(model.predict(image), model.predict(image.astype(np.float64) / 65535)) > 0.99


def test_a_large_image_is_tiled_without_loss(model: models.LoadedModel) -> None:
    """An image beyond one tile holds the objects of its parts."""
    part = nuclei_field(np.random.default_rng(4), (128, 192), count=20, conditions=Conditions()).image
    whole = np.tile(part, (9, 2))
    assert model.predict(whole).max() == pytest.approx(18 * model.predict(part).max(), rel=0.2)


def test_a_stricter_threshold_finds_fewer(model: models.LoadedModel) -> None:
    """The caller's probability threshold is used."""
    image = nuclei_field(np.random.default_rng(4), (128, 128), conditions=Conditions()).image
    assert model.predict(image, prob_threshold=0.99).max() < model.predict(image).max()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (32, 32)])
def test_an_image_without_light_has_no_nuclei(model: models.LoadedModel, shape: tuple[int, int]) -> None:
    """A black or constant image of any size gives no label and no warning."""
    assert model.predict(np.zeros(shape, np.uint16)).max() == 0
    assert model.predict(np.full(shape, 65535, np.uint16)).max() == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 4)),
        np.zeros((4, 4, 3)),
        np.zeros(4),
        np.full((8, 8), np.nan),
        np.full((8, 8), np.inf),
        np.full((4, 4), "x"),
        np.zeros((4, 4), bool),
    ],
    ids=["empty", "colour", "line", "nan", "infinite", "text", "mask"],
)
def test_what_is_no_image_is_refused(model: models.LoadedModel, image: Any) -> None:
    """An array that is no image of the model's kind is an ImageError that says which would be."""
    with pytest.raises(ImageError, match="expected"):
        model.predict(image)


def test_shipped_weights_are_the_registered_ones_and_small(model: models.LoadedModel) -> None:
    """The digest of the shipped files is the recorded one, the loaded model says it, and the weights stay under 3 MB."""
    folder = models.shipped_folder(SHIPPED)
    assert models.digest_of(SHIPPED) == models.REGISTERED[SHIPPED].digest == model.digest == models.weights_digest(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
    assert (folder / "MODEL_CARD.md").is_file()


def test_a_model_is_loaded_once_in_a_process(model: models.LoadedModel) -> None:
    """A second load gives the same object."""
    assert models.load(SHIPPED) is model


@pytest.mark.parametrize("name", ["config.json", "thresholds.json", "weights_best.h5"])
def test_one_changed_byte_is_refused(copied: Path, name: str) -> None:
    """A changed byte in any file that prediction depends on is a ModelError with both digests, before anything is loaded."""
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        models.load(SHIPPED, str(copied))
    assert models.REGISTERED[SHIPPED].digest in str(caught.value)
    assert models.weights_digest(copied) in str(caught.value)
    with pytest.raises(ModelError):
        models.digest_of(SHIPPED, str(copied))


@pytest.mark.parametrize("change", ["added", "renamed", "removed"])
def test_another_set_of_files_is_refused(copied: Path, change: str) -> None:
    """Weights added, renamed or taken away are noticed too."""
    weights = copied / "weights_best.h5"
    if change == "added":
        shutil.copy(weights, copied / "weights_other.h5")
    else:
        weights.rename(copied / ("weights_new.h5" if change == "renamed" else "gone.bin"))
    with pytest.raises(ModelError):
        models.load(SHIPPED, str(copied))


def test_documentation_does_not_change_the_digest(copied: Path) -> None:
    """A corrected model card is not another model."""
    (copied / "MODEL_CARD.md").write_text("another text")
    assert models.weights_digest(copied) == models.digest_of(SHIPPED)


def test_an_unknown_name_is_answered_with_the_names() -> None:
    """A name that is not registered is a ModelError that lists those that are."""
    for ask in (models.load, models.digest_of, models.registered):
        with pytest.raises(ModelError) as caught:
            ask("../../etc\nnuclei")
        assert all(name in str(caught.value) for name in models.REGISTERED)


def test_the_form_offers_every_registered_model() -> None:
    """The names of the form and the registry are the same."""
    assert {str(name) for name in models.ModelName} == set(models.REGISTERED)


def test_a_model_may_lie_in_a_folder(copied: Path) -> None:
    """Where a node has no network, a registered model is loaded from a folder, and its digest is that of the folder."""
    loaded = models.load("2D_versatile_fluo", str(copied))
    assert loaded.digest == models.digest_of("2D_versatile_fluo", str(copied)) == models.weights_digest(copied)
    assert loaded.predict(np.zeros((16, 16))).max() == 0


@pytest.mark.parametrize("name", ["config.json", "weights_best.h5"])
def test_truncated_model_files_are_a_model_error(copied: Path, name: str) -> None:
    """Files that stardist cannot read are told as such, with the folder."""
    (copied / name).write_bytes((copied / name).read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        models.load("2D_paper_dsb2018", str(copied))


def test_a_folder_without_a_model_is_a_model_error(tmp_path: Path) -> None:
    """An empty or missing folder is no model."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelError, match="not the folder of a model"):
            models.load(SHIPPED, str(folder))


def run_fresh(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_digest_needs_no_tensorflow() -> None:
    """Asking for the digest of the shipped model imports neither TensorFlow nor stardist."""
    code = f"""
import sys
from coldchain.imaging import models
models.digest_of("{SHIPPED}")
print({{"tensorflow", "stardist", "scipy"}} & set(sys.modules))
"""
    assert run_fresh(code).strip() == "set()"


def test_no_network_is_told_plainly(tmp_path: Path) -> None:
    """A model that cannot be downloaded is a ModelError that says what to try."""
    code = """
from coldchain.errors import ModelError
from coldchain.imaging import models
try:
    models.load("2D_versatile_fluo")
except ModelError as error:
    print(error)
"""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "KERAS_HOME": str(tmp_path)}
    said = run_fresh(code, **nowhere)
    assert "could not be downloaded" in said
    assert SHIPPED in said
