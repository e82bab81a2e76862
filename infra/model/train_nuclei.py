"""Train the shipped StarDist model `nuclei-small` on synthetic fields only.

    python infra/model/train_nuclei.py --out coldchain/models/nuclei-small

Every field comes from `coldchain.imaging.synthesis.nuclei_field`; no acquired image is read. The checkpoint is the one with the
lowest loss on synthetic validation fields, and the two thresholds are optimised on those as well. `--out` receives config.json,
thresholds.json, weights_best.h5 and training.json (seed, numbers, figures); nothing is written elsewhere but in a temporary folder.
Architecture: StarDist, Schmidt et al. 2018, doi:10.1007/978-3-030-00934-2_30.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.synthesis import nuclei_field

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
KEPT = ("config.json", "thresholds.json", "weights_best.h5")
TRAIN, VALIDATE, TEST = 1, 2, 3  # streams of random numbers that never meet


def main() -> None:
    """Make the fields, train, optimise thresholds, write the model and its figures."""
    asked = arguments()
    started = time.monotonic()
    print(f"making {asked.fields} + {asked.validation} synthetic fields", flush=True)
    training, validation = fields(asked.seed, TRAIN, asked.fields), fields(asked.seed, VALIDATE, asked.validation)
    with tempfile.TemporaryDirectory() as folder:
        model = network(asked, Path(folder) if asked.work is None else asked.work)
        fit(model, asked, training, validation)
        thresholds = model.optimize_thresholds(*validation)
        figures = {"held_out_f1": held_out(model, asked.seed), "minutes": round((time.monotonic() - started) / 60, 1)}
        keep(Path(model.logdir), asked.out)
    report(asked, model, thresholds, figures)


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the model")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--fields", type=int, default=1500, help="synthetic training fields, 256 x 256 pixels")
    parser.add_argument("--validation", type=int, default=64, help="synthetic validation fields")
    parser.add_argument("--epochs", type=int, default=110)
    parser.add_argument("--steps", type=int, default=100, help="batches of one epoch")
    parser.add_argument("--filters", type=int, default=20, help="filters of the first U-Net level")
    parser.add_argument("--work", type=Path, help="folder for checkpoints while training; a temporary one where not given")
    return parser.parse_args()


def fields(seed: int, stream: int, number: int) -> tuple[list[Floats], list[Labels]]:
    """Make `number` fields under random conditions: images normalised as for prediction (float32), and labels."""
    from csbdeep.utils import normalize

    made = [nuclei_field(np.random.default_rng([seed, stream, index])) for index in range(number)]
    return [np.asarray(normalize(field.image, 1, 99.8), np.float32) for field in made], [field.truth for field in made]


def network(asked: argparse.Namespace, folder: Path) -> Any:
    """An untrained StarDist2D: 32 rays on a grid of 2 pixels, a U-Net of depth 3."""
    import keras
    from stardist.models import Config2D, StarDist2D

    keras.utils.set_random_seed(asked.seed)
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=1,
        unet_n_depth=3,
        unet_n_filter_base=asked.filters,
        net_conv_after_unet=4 * asked.filters,
        train_patch_size=(128, 128),
        train_batch_size=8,
        train_learning_rate=1e-3,
        train_epochs=asked.epochs,
        train_steps_per_epoch=asked.steps,
        train_tensorboard=False,
    )
    return StarDist2D(config, name="nuclei-small", basedir=str(folder))


def fit(model: Any, asked: argparse.Namespace, training: tuple[Any, Any], validation: tuple[Any, Any]) -> None:
    """Train with a learning rate that falls as a cosine; the best epoch by validation loss is kept."""
    import keras

    model.prepare_for_training()
    model.callbacks = [c for c in model.callbacks if not isinstance(c, keras.callbacks.ReduceLROnPlateau)]
    model.callbacks += [keras.callbacks.LearningRateScheduler(cosine(asked.epochs)), keras.callbacks.LambdaCallback(on_epoch_end=progress)]
    rng = np.random.default_rng([asked.seed, TRAIN])
    model.train(*training, validation_data=validation, augmenter=lambda x, y: augmented(rng, x, y), seed=asked.seed)


def progress(epoch: int, logs: dict[str, float]) -> None:
    """Print one line for an epoch."""
    print(f"epoch {epoch + 1}: loss {logs['loss']:.4f}, validation {logs['val_loss']:.4f}", flush=True)


def cosine(epochs: int) -> Callable[[int], float]:
    """Learning rate of an epoch: two of warm-up, then a cosine from 1e-3 to 1e-5."""
    return lambda epoch: 3e-4 if epoch < 2 else 1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + np.cos(np.pi * epoch / epochs))


def augmented(rng: np.random.Generator, image: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """Turn and mirror both; change contrast (gamma), gain and level of the image."""
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if mirrored:
        image, labels = image[::-1], labels[::-1]
    bent = np.sign(image) * np.abs(image) ** np.exp(rng.uniform(-0.35, 0.35))
    return np.asarray(bent * np.exp(rng.uniform(-1.2, 0.5)) + rng.uniform(-0.1, 0.1), np.float32), labels


def held_out(model: Any, seed: int, number: int = 40) -> float:
    """Mean matched-object F1 at IoU 0.5 over fields that were neither trained nor validated on."""
    from stardist.matching import matching_dataset

    images, truths = fields(seed, TEST, number)
    found = [model.predict_instances(image)[0] for image in images]
    return round(float(matching_dataset(truths, found, thresh=0.5, show_progress=False, by_image=True).f1), 4)


def keep(made: Path, out: Path) -> None:
    """Copy what prediction needs into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(made / name, out / name)


def report(asked: argparse.Namespace, model: Any, thresholds: Any, figures: dict[str, float]) -> None:
    """Write training.json beside the model and print it."""
    facts = {name: getattr(asked, name) for name in ("seed", "fields", "validation", "epochs", "steps", "filters")}
    facts |= {"parameters": int(model.keras_model.count_params()), "thresholds": thresholds} | figures
    text = json.dumps(facts, indent=2, default=float) + "\n"
    (asked.out / "training.json").write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
