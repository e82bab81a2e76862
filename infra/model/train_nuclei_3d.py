"""Train the shipped StarDist 3D model `nuclei-small-3d` on synthetic stacks only.

    python infra/model/train_nuclei_3d.py --out coldchain/models/nuclei-small-3d

Every stack comes from `coldchain.imaging.synthetic_stack.nuclei_stack`; no acquired image is read. The checkpoint is the one with the
lowest loss on synthetic validation stacks, and the two thresholds are optimised on those as well. `--out` receives config.json,
thresholds.json, weights_best.h5 and training.json (seed, numbers, figures); nothing is written elsewhere but in a temporary folder.
Architecture: StarDist 3D, Weigert et al. 2020, doi:10.1109/WACV45572.2020.9093435.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from train_nuclei import TEST, TRAIN, VALIDATE, cosine, keep, progress

from coldchain.imaging.synthetic_stack import nuclei_stack

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
CUT = np.s_[:24, :56, :56]  # of a stack, where thresholds are chosen and figures made: suppression is slow in 3D
PROBS, NMS = (0.4, 0.5, 0.6, 0.7), 0.3


def main() -> None:
    """Make the stacks, train, optimise thresholds, write the model and its figures."""
    asked = arguments()
    started = time.monotonic()
    print(f"making {asked.stacks} + {asked.validation} synthetic stacks", flush=True)
    training, validation = stacks(asked.seed, TRAIN, asked.stacks), stacks(asked.seed, VALIDATE, asked.validation)
    with tempfile.TemporaryDirectory() as folder:
        model = network(asked, Path(folder) if asked.work is None else asked.work)
        fit(model, asked, training, validation)
        thresholds = chosen(model, validation)
        figures = {"held_out_f1": held_out(model, asked.seed, thresholds["prob"]), "minutes": round((time.monotonic() - started) / 60, 1)}
        keep(Path(model.logdir), asked.out)
    report(asked, model, thresholds, figures)


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the model")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--stacks", type=int, default=400, help="synthetic training stacks, 32 x 96 x 96 pixels")
    parser.add_argument("--validation", type=int, default=16, help="synthetic validation stacks")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=50, help="batches of one epoch")
    parser.add_argument("--filters", type=int, default=16, help="filters of the first U-Net level")
    parser.add_argument("--until", type=int, help="epoch to stop after, with the learning rates of all; the last where not given")
    parser.add_argument("--start", type=Path, help="weights to start from; random ones where not given")
    parser.add_argument("--work", type=Path, help="folder for checkpoints while training; a temporary one where not given")
    return parser.parse_args()


def stacks(seed: int, stream: int, number: int) -> tuple[list[Floats], list[Labels]]:
    """Make `number` stacks under random conditions: images normalised as for prediction (float32), and labels."""
    from csbdeep.utils import normalize

    made = [nuclei_stack(np.random.default_rng([seed, stream, index])) for index in range(number)]
    filled = [stack for stack in made if stack.truth.any()]
    return [np.asarray(normalize(stack.image, 1, 99.8), np.float32) for stack in filled], [stack.truth for stack in filled]


def network(asked: argparse.Namespace, folder: Path) -> Any:
    """An untrained StarDist3D: 32 rays, denser in the plane, on a grid of 2 pixels in y and x, a U-Net of depth 2."""
    import keras
    from stardist import Rays_GoldenSpiral
    from stardist.models import Config3D, StarDist3D

    keras.utils.set_random_seed(asked.seed)
    anisotropy = (2.0, 1.0, 1.0)
    config = Config3D(
        rays=Rays_GoldenSpiral(32, anisotropy=anisotropy),
        grid=(1, 2, 2),
        anisotropy=anisotropy,
        n_channel_in=1,
        unet_n_depth=2,
        unet_n_filter_base=asked.filters,
        unet_pool=(2, 2, 2),
        net_conv_after_unet=3 * asked.filters,
        train_patch_size=(16, 64, 64),
        train_batch_size=2,
        train_learning_rate=1e-3,
        train_epochs=asked.until or asked.epochs,
        train_steps_per_epoch=asked.steps,
        train_tensorboard=False,
    )
    return StarDist3D(config, name="nuclei-small-3d", basedir=str(folder))


def fit(model: Any, asked: argparse.Namespace, training: tuple[Any, Any], validation: tuple[Any, Any]) -> None:
    """Train with a learning rate that falls as a cosine; the best epoch by validation loss is kept."""
    import keras

    if asked.start is not None:
        model.keras_model.load_weights(str(asked.start))
    model.prepare_for_training()
    model.callbacks = [c for c in model.callbacks if not isinstance(c, keras.callbacks.ReduceLROnPlateau)]
    model.callbacks += [keras.callbacks.LearningRateScheduler(cosine(asked.epochs)), keras.callbacks.LambdaCallback(on_epoch_end=progress)]
    rng = np.random.default_rng([asked.seed, TRAIN])
    model.train(*training, validation_data=validation, augmenter=lambda x, y: augmented(rng, x, y), seed=asked.seed)


def augmented(rng: np.random.Generator, image: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """Turn both in the plane and mirror them along z; change contrast (gamma), gain and level of the image."""
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    image, labels = np.rot90(image, turns, axes=(1, 2)), np.rot90(labels, turns, axes=(1, 2))
    if mirrored:
        image, labels = image[::-1], labels[::-1]
    bent = np.sign(image) * np.abs(image) ** np.exp(rng.uniform(-0.25, 0.25))
    return np.asarray(bent * np.exp(rng.uniform(-0.5, 0.3)) + rng.uniform(-0.1, 0.1), np.float32), labels


def chosen(model: Any, validation: tuple[list[Floats], list[Labels]]) -> dict[str, float]:
    """The probability threshold with the highest F1 over cuts of the validation stacks, written beside the weights.

    The overlap threshold stays 0.3: StarDist's own search of both takes an hour in 3D, most of it where both are low.
    """
    images, truths = ([stack[CUT] for stack in both] for both in validation)
    prob = max(PROBS, key=lambda prob: f1(model, images, truths, prob))
    thresholds = {"prob": prob, "nms": NMS}
    (Path(model.logdir) / "thresholds.json").write_text(json.dumps(thresholds) + "\n")
    return thresholds


def f1(model: Any, images: list[Floats], truths: list[Labels], prob: float) -> float:
    """Mean matched-object F1 at IoU 0.5."""
    from stardist.matching import matching_dataset

    found = [model.predict_instances(image, prob_thresh=prob, nms_thresh=NMS)[0] for image in images]
    return float(matching_dataset(truths, found, thresh=0.5, show_progress=False, by_image=True).f1)


def held_out(model: Any, seed: int, prob: float, number: int = 16) -> float:
    """F1 over cuts of stacks that were neither trained nor validated on."""
    images, truths = ([stack[CUT] for stack in both] for both in stacks(seed, TEST, number))
    return round(f1(model, images, truths, prob), 4)


def report(asked: argparse.Namespace, model: Any, thresholds: Any, figures: dict[str, float]) -> None:
    """Write training.json beside the model and print it."""
    facts = {name: getattr(asked, name) for name in ("seed", "stacks", "validation", "epochs", "steps", "filters")}
    facts["started_from"] = str(asked.start.name) if asked.start else None
    facts |= {"parameters": int(model.keras_model.count_params()), "thresholds": thresholds} | figures
    text = json.dumps(facts, indent=2, default=float) + "\n"
    (asked.out / "training.json").write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
