"""U-Net with watershed, the second kind of segmentation model: accuracy, tiles, and networks that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ImageError, ModelError
from coldchain.imaging import models
from coldchain.imaging.models import unet_kind
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions

SHIPPED = "nuclei-unet"
MODEST = 0.78  # matched-object F1 at IoU 0.5 that the real image must reach
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of keras, when it writes a network


@pytest.fixture(scope="module")
def model() -> models.LoadedModel:
    """The shipped U-Net."""
    return models.load(SHIPPED)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the shipped folder under another name, to change."""
    return Path(shutil.copytree(models.shipped_folder(SHIPPED), tmp_path / "our-unet"))


def described(folder: Path, **changes: str) -> str:
    """Register the folder as a site does, and return its path."""
    facts = {"name": folder.name, "kind": "unet", "axes": "YX", "version": "2", "licence": "CC0-1.0", "description": "ours"}
    (folder / "model.json").write_text(json.dumps(facts | {"digest": models.weights_digest(folder)} | changes))
    return str(folder)


def field(shape: tuple[int, int] = (128, 192)) -> np.ndarray:
    """A synthetic field of ordinary nuclei."""
    return nuclei_field(np.random.default_rng(4), shape, conditions=Conditions()).image


def f1(truth: np.ndarray, found: np.ndarray, iou: float = 0.5) -> float:
    """Matched-object F1 of one image."""
    from stardist.matching import matching

    return float(matching(truth, found, thresh=iou).f1)


def test_real_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """On the real image that ships with stardist, never trained on, F1 at IoU 0.5 is at least the floor; the figure is printed."""
    from stardist.data import test_image_nuclei_2d

    image, truth = test_image_nuclei_2d(return_mask=True)
    found = model.predict(image)
    with capsys.disabled():
        print(f"\n{SHIPPED} on the real image: F1 {f1(truth, found):.3f} at IoU 0.5, {f1(truth, found, 0.7):.3f} at 0.7")
        print(f"  {found.max()} objects found, {len(np.unique(truth)) - 1} in the mask")
    assert f1(truth, found) >= MODEST


def test_synthetic_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """Over held-out synthetic fields under random conditions the mean F1 at IoU 0.5 is printed, and is at least 0.70."""
    held_out = [nuclei_field(np.random.default_rng([99, index])) for index in range(16)]
    scores = [f1(made.truth, model.predict(made.image)) for made in held_out if made.truth.any()]
    with capsys.disabled():
        print(f"\n{SHIPPED} on held-out synthetic fields: mean F1 {np.mean(scores):.3f}, lowest {min(scores):.3f}")
    assert np.mean(scores) >= 0.70


def test_prediction_is_deterministic_and_numbered_from_one(model: models.LoadedModel) -> None:
    """One image gives one answer: int32 labels 1..n without gaps, whatever its sides."""
    image = field((125, 187))
    first, second = model.predict(image), model.predict(image)
    np.testing.assert_array_equal(first, second)
    assert (first.dtype, first.shape) == (np.int32, (125, 187))
    assert first.max() > 3
    assert np.array_equal(np.unique(first), np.arange(first.max() + 1))


def test_intensity_scale_does_not_matter(model: models.LoadedModel) -> None:
    """An image in other units gives the same objects."""
    image = field()
    assert f1(model.predict(image), model.predict(image.astype(np.float64) / 65535)) > 0.99


def test_tiles_give_what_the_whole_gives(model: models.LoadedModel) -> None:
    """Small tiles, each with the context that the model tells, give the maps that one prediction of the whole gives."""
    network = unet_kind._maps_of(unet_kind._network(models.shipped_folder(SHIPPED)))
    image = field((150, 210)).astype(np.float32)[..., None] / 1000
    context = model.context[0]
    whole, tiles = (next(unet_kind.tiled(network, [image], context, 8, tile=tile)) for tile in (1024, 64))
    np.testing.assert_allclose(tiles, whole, atol=1e-4)


def test_without_its_context_a_tile_would_differ() -> None:
    """The context matters: tiles that see a few pixels around them only give other maps."""
    network = unet_kind._maps_of(unet_kind._network(models.shipped_folder(SHIPPED)))
    image = field((150, 210)).astype(np.float32)[..., None] / 1000
    whole, blind = (next(unet_kind.tiled(network, [image], *told)) for told in ((56, 8), (8, 8, 64)))
    assert np.abs(whole - blind).max() > 0.01


def test_thresholds_are_used_and_told(model: models.LoadedModel) -> None:
    """The model's own thresholds are those of its folder; surer objects are smaller, and a higher share keeps more apart."""
    written = json.loads((models.shipped_folder(SHIPPED) / "thresholds.json").read_text())
    assert model.thresholds() == {"prob_threshold": written["prob"], "nms_threshold": written["nms"]}
    image = nuclei_field(np.random.default_rng(8), count=120, conditions=Conditions(clumping=0.8)).image
    assert np.count_nonzero(model.predict(image, prob_threshold=0.9)) < np.count_nonzero(model.predict(image))
    assert model.predict(image, nms_threshold=0.2).max() < model.predict(image, nms_threshold=0.98).max()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (32, 32)])
def test_an_image_without_light_has_no_nuclei(model: models.LoadedModel, shape: tuple[int, int]) -> None:
    """A black or constant image of any size gives no label."""
    assert model.predict(np.zeros(shape, np.uint16)).max() == 0
    assert model.predict(np.full(shape, 65535, np.uint16)).max() == 0


@pytest.mark.parametrize("image", [np.zeros((0, 4)), np.zeros((4, 4, 3)), np.full((8, 8), np.nan)], ids=["empty", "colour", "nan"])
def test_what_is_no_image_is_refused(model: models.LoadedModel, image: Any) -> None:
    """An array that is no image of the model's kind is an ImageError that says which would be."""
    with pytest.raises(ImageError, match="expected"):
        model.predict(image)


def test_shipped_weights_are_the_registered_ones_and_small(model: models.LoadedModel) -> None:
    """The digest of the shipped files is the recorded one, and the folder stays under 2 MB."""
    folder = models.shipped_folder(SHIPPED)
    assert models.digest_of(SHIPPED) == models.REGISTERED[SHIPPED].digest == model.digest == models.weights_digest(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    assert (folder / "MODEL_CARD.md").is_file()


def test_stardist_stays_the_default() -> None:
    """The first name of the form is still the StarDist model."""
    assert next(iter(models.ModelName)) == "nuclei-small"


@SAVING
def test_a_site_brings_its_own_network(own: Path) -> None:
    """Any Keras network with two maps is a model: here one for colour images, whose foreground is what is red."""
    import keras

    image = keras.Input((None, None, 3))
    red = keras.layers.Conv2D(2, 1, activation="sigmoid", kernel_initializer="zeros")
    network = keras.Model(image, red(image))
    red.set_weights([np.array([20.0, 20, 0, 0, 0, 0]).reshape(1, 1, 3, 2), np.array([-10.0, -10])])
    network.save(own / "model.keras")
    loaded = models.load("our-unet", described(own, axes="YXC"))
    colours = np.zeros((40, 60, 3), np.uint8)
    colours[5:15, 5:15, 0] = 200
    colours[20:30, 30:50, 0] = 200
    colours[:, :, 1] = np.arange(60)
    found = loaded.predict(colours)
    assert found.max() == 2
    np.testing.assert_array_equal(found > 0, colours[..., 0] > 0)


@pytest.mark.parametrize(
    ("file", "content"),
    [("config.json", b"{}"), ("thresholds.json", b'{"prob": 2}'), ("config.json", b"{"), ("model.keras", b"not a model")],
)
def test_files_that_cannot_be_read_are_a_model_error(own: Path, file: str, content: bytes) -> None:
    """A damaged or incomplete folder is told as such."""
    (own / file).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        models.load("our-unet", described(own))


@pytest.mark.parametrize("axes", ["YXC", "ZYX"])
def test_a_network_for_other_images_is_refused(own: Path, axes: str) -> None:
    """A network for one plane is no model for colour or stacks, whatever its model.json says."""
    with pytest.raises(ModelError, match="not one of this kind"):
        models.load("our-unet", described(own, axes=axes))


@SAVING
def test_a_network_with_other_maps_is_refused(own: Path) -> None:
    """A network with three maps is none of this kind."""
    import keras

    image = keras.Input((None, None, 1))
    keras.Model(image, keras.layers.Conv2D(3, 1)(image)).save(own / "model.keras")
    with pytest.raises(ModelError, match="not one of this kind"):
        models.load("our-unet", described(own))
