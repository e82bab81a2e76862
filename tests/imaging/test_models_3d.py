"""StarDist in three dimensions: the shipped model finds nuclei in a real stack, and takes nothing but stacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ImageError, ModelError
from coldchain.imaging import models
from coldchain.imaging.synthetic_stack import StackConditions, nuclei_stack

SHIPPED = "nuclei-small-3d"
MODEST = {0.3: 0.80, 0.5: 0.75}  # IoU: matched-object F1 that the real stack must reach
STACK = (24, 64, 80)


@pytest.fixture(scope="module")
def model() -> models.LoadedModel:
    """The shipped model."""
    return models.load(SHIPPED)


def stack(shape: tuple[int, int, int] = STACK, stream: int = 4) -> Any:
    """A synthetic stack of ordinary nuclei."""
    return nuclei_stack(np.random.default_rng(stream), shape, conditions=StackConditions())


def f1(truth: np.ndarray, found: np.ndarray, iou: float = 0.5) -> float:
    """Matched-object F1 of one stack."""
    from stardist.matching import matching

    return float(matching(truth, found, thresh=iou).f1)


def test_real_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """On the real stack that ships with stardist, never trained on, F1 at IoU 0.3 and 0.5 is at least the floor; it is printed."""
    from stardist.data import test_image_nuclei_3d

    image, truth = test_image_nuclei_3d(return_mask=True)
    found = model.predict(image)
    scores = {iou: f1(truth, found, iou) for iou in MODEST}
    with capsys.disabled():
        print(f"\n{SHIPPED} on the real stack: F1 {scores[0.5]:.3f} at IoU 0.5, {scores[0.3]:.3f} at 0.3")
        print(f"  {found.max()} objects found, {len(np.unique(truth)) - 1} in the mask")
    assert all(scores[iou] >= floor for iou, floor in MODEST.items())


def test_synthetic_nuclei_are_found(model: models.LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    """Over held-out synthetic stacks under random conditions the mean F1 at IoU 0.5 is printed, and is at least 0.5."""
    made = [nuclei_stack(np.random.default_rng([99, index]), (24, 64, 64)) for index in range(6)]
    scores = [f1(one.truth, model.predict(one.image)) for one in made if one.truth.any()]
    with capsys.disabled():
        print(f"\n{SHIPPED} on held-out synthetic stacks: mean F1 {np.mean(scores):.3f}, lowest {min(scores):.3f}")
    assert np.mean(scores) >= 0.5


def test_prediction_is_deterministic_and_numbered_from_one(model: models.LoadedModel) -> None:
    """One stack gives one answer: int32 labels 1..n without gaps, of the stack's shape."""
    image = stack().image
    first, second = model.predict(image), model.predict(image)
    np.testing.assert_array_equal(first, second)
    assert (first.dtype, first.shape) == (np.int32, STACK)
    assert first.max() > 3
    assert np.array_equal(np.unique(first), np.arange(first.max() + 1))


def test_a_large_stack_is_tiled_without_loss(model: models.LoadedModel) -> None:
    """A stack deeper than one tile holds the objects of its parts."""
    part = stack((24, 48, 48)).image
    whole = np.concatenate([part, part[::-1], part, part[::-1]])
    assert model.predict(whole).max() == pytest.approx(4 * model.predict(part).max(), rel=0.3)


def test_the_model_says_what_it_is(model: models.LoadedModel) -> None:
    """Axes, kind, a context for each axis, and thresholds are told."""
    said = model.provenance()
    assert (said["axes"], said["kind"], len(model.context)) == ("ZYX", "stardist3d", 3)
    assert 0 < said["prob_threshold"] < 1


def test_a_black_stack_has_no_nuclei(model: models.LoadedModel) -> None:
    """A constant stack gives no label."""
    assert model.predict(np.full((16, 32, 32), 7, np.uint16)).max() == 0


@pytest.mark.parametrize("shape", [(32, 32), (4, 4, 4, 1), (0, 8, 8)])
def test_what_is_no_stack_is_refused(model: models.LoadedModel, shape: tuple[int, ...]) -> None:
    """A plane, or more than three axes, is an ImageError that says what is expected."""
    with pytest.raises(ImageError, match=r"\(z, y, x\)"):
        model.predict(np.zeros(shape))


def test_shipped_weights_are_the_registered_ones_and_small(model: models.LoadedModel) -> None:
    """The digest of the shipped files is the recorded one, and the folder stays under 4 MB."""
    folder = models.shipped_folder(SHIPPED)
    assert models.digest_of(SHIPPED) == models.REGISTERED[SHIPPED].digest == model.digest == models.weights_digest(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
    assert (folder / "MODEL_CARD.md").is_file()


def test_a_folder_of_two_dimensions_is_no_model_of_three() -> None:
    """The files of a 2D model are refused under the name of a 3D one, and the other way round."""
    for name, other in (("3D_demo", "nuclei-small"), ("2D_versatile_fluo", SHIPPED)):
        with pytest.raises(ModelError):
            models.load(name, str(models.shipped_folder(other)))


def test_no_network_is_told_plainly(tmp_path: Path) -> None:
    """StarDist's 3D model that cannot be downloaded is a ModelError that says what to try."""
    code = """
from coldchain.errors import ModelError
from coldchain.imaging import models
try:
    models.load("3D_demo")
except ModelError as error:
    print(error)
"""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | nowhere, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "could not be downloaded" in done.stdout
    assert SHIPPED in done.stdout
