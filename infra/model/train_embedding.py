"""Train the shipped encoder `cell-small`, without labels, on synthetic cells only.

    python infra/model/train_embedding.py --out coldchain/models/cell-small

Every crop comes from `coldchain.imaging.synthetic_cells.cell_crop`; no acquired image is read. Two views of a crop (turned by any
angle, mirrored, moved, zoomed, masked or not, with other noise, blur and contrast) shall have the same vector, while vectors of a batch
keep their spread and their numbers stay uncorrelated: VICReg, Bardes et al. 2022, arXiv:2105.04906. `--out` receives model.keras,
config.json and training.json (seed, numbers, figures on cells that were not trained on).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from train_nuclei import TEST, TRAIN

from coldchain.imaging.embedding import prepared
from coldchain.imaging.synthetic_cells import Look, cell_crop, random_look, random_shape

Floats = NDArray[np.float32]
SIDE, WIDE = 48, 72  # pixels: of a crop, and of what it is turned and moved in
SIZE, PROJECTED = 64, 128
KINDS = (
    Look(grain=0.05),
    Look(grain=0.4, grain_scale=1.0),
    Look(grain=0.4, grain_scale=4.0),
    Look(grain=0.1, foci=8),
    Look(grain=0.1, rim=1.2),
    Look(grain=0.1, fibres=0.6),
)


def main() -> None:
    """Make the cells, train, write the encoder and its figures."""
    asked = arguments()
    started = time.monotonic()
    print(f"making {asked.cells} synthetic cells", flush=True)
    cells = made(asked.seed, asked.cells)
    encoder = network(asked.seed)
    fit(encoder, asked, cells)
    figures = judged(encoder, asked.seed) | {"minutes": round((time.monotonic() - started) / 60, 1)}
    write(asked, encoder, figures)


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the encoder")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--cells", type=int, default=6000, help="synthetic cells")
    parser.add_argument("--steps", type=int, default=1200, help="batches")
    parser.add_argument("--batch", type=int, default=96, help="cells of one batch, each in two views")
    return parser.parse_args()


def made(seed: int, number: int) -> tuple[Floats, Floats]:
    """Crops (n, y, x) of cells of any look, and their masks as numbers."""
    drawn = (np.random.default_rng([seed, TRAIN, index]) for index in range(number))
    crops = [cell_crop(rng, random_look(rng), side=WIDE) for rng in drawn]
    return np.stack([crop.image for crop in crops]), np.stack([crop.mask for crop in crops]).astype(np.float32)


def network(seed: int) -> Any:
    """An untrained encoder from (48, 48, 1) to 64 numbers: four levels of convolutions, then the mean over the crop."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    crop = keras.Input((SIDE, SIDE, 1))
    x = crop
    for level, width in enumerate((16, 32, 64, 96)):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        if level < 3:
            x = layers.MaxPooling2D()(x)
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(crop, layers.Dense(SIZE)(both), name="cell_small")


def fit(encoder: Any, asked: argparse.Namespace, cells: tuple[Floats, Floats]) -> None:
    """Train encoder and projector; the projector is thrown away."""
    import keras
    import tensorflow as tf

    projector = keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(PROJECTED, activation="relu"), keras.layers.Dense(PROJECTED)])
    whole = keras.Sequential([encoder, projector])
    optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(2e-3, asked.steps), weight_decay=1e-4)
    turned = views(asked.seed)
    rng = np.random.default_rng([asked.seed, TRAIN])

    @tf.function
    def step(first: Any, second: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = vicreg(whole(first, training=True), whole(second, training=True))
        slopes = tape.gradient(loss, whole.trainable_variables)
        optimizer.apply_gradients(zip(slopes, whole.trainable_variables, strict=True))
        return loss

    losses = []
    for number in range(asked.steps):
        which = rng.integers(0, len(cells[0]), asked.batch)
        losses.append(float(step(*(view(rng, turned, cells[0][which], cells[1][which]) for _ in range(2)))))
        if number % 50 == 49:
            print(f"step {number + 1}: loss {np.mean(losses[-50:]):.3f}", flush=True)


def views(seed: int) -> Any:
    """Turn by any angle, mirror, zoom by up to 10 % and move by up to 3 pixels: image and mask alike."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            layers.RandomFlip(seed=seed),
            layers.RandomRotation(0.5, fill_mode="reflect", seed=seed + 1),
            layers.RandomZoom(0.1, fill_mode="reflect", seed=seed + 2),
            layers.RandomTranslation(3 / WIDE, 3 / WIDE, fill_mode="reflect", seed=seed + 3),
            layers.CenterCrop(SIDE, SIDE),
        ]
    )


def view(rng: np.random.Generator, turned: Any, images: Floats, masks: Floats) -> Floats:
    """One view of each cell, normalised as for prediction: turned and moved, masked in half of the cases, noisier, blurred, bent."""
    from scipy.ndimage import gaussian_filter

    both = np.asarray(turned(np.stack([images, masks], axis=-1), training=True))
    seen = []
    for image, mask in zip(both[..., 0], both[..., 1] > 0.5, strict=True):
        noisy = gaussian_filter(image, rng.uniform(0, 0.6)) if rng.random() < 0.3 else image
        noisy = noisy + rng.normal(0, rng.uniform(0, 0.03) * max(float(np.ptp(image)), 1e-6), image.shape)
        seen.append(np.where(mask, noisy, 0) if rng.random() < 0.5 else noisy)
    values = prepared(np.asarray(seen, np.float32), SIDE)
    bent = np.sign(values) * np.abs(values) ** np.exp(rng.uniform(-0.25, 0.25, (len(values), 1, 1)))
    return np.asarray(bent, np.float32)[..., None]


def vicreg(first: Any, second: Any) -> Any:
    """Distance between the views, plus what keeps vectors apart: spread of at least 1, and numbers that do not go together."""
    from keras import ops

    near = ops.mean(ops.square(first - second))
    return 25 * near + sum(25 * _narrow(ops, vectors) + _together(ops, vectors) for vectors in (first, second)) / 2


def _narrow(ops: Any, vectors: Any) -> Any:
    return ops.mean(ops.relu(1 - ops.sqrt(ops.var(vectors, axis=0) + 1e-4)))


def _together(ops: Any, vectors: Any) -> Any:
    centred = vectors - ops.mean(vectors, axis=0)
    covariance = ops.matmul(ops.transpose(centred), centred) / (vectors.shape[0] - 1)
    return (ops.sum(ops.square(covariance)) - ops.sum(ops.square(ops.diagonal(covariance)))) / vectors.shape[1]


def judged(encoder: Any, seed: int, number: int = 100) -> dict[str, Any]:
    """Share of cells whose five nearest among others are mostly of its own kind, six kinds of unseen cells; and how far a turn moves."""
    rng = np.random.default_rng([seed, TEST])
    crops = np.stack([cell_crop(rng, look, random_shape(rng), SIDE).image for look in KINDS for _ in range(number)])
    kinds = np.repeat(np.arange(len(KINDS)), number)
    vectors = np.asarray(encoder(prepared(crops, SIDE)[..., None], training=False))
    turned = np.asarray(encoder(prepared(np.rot90(crops, axes=(1, 2)), SIDE)[..., None], training=False))
    spread = vectors.std(axis=0)
    away = np.linalg.norm((vectors[:, None] - vectors[None]) / spread, axis=-1)
    moved = np.linalg.norm((vectors - turned) / spread, axis=-1)
    between = float(np.median(away[~np.eye(len(away), dtype=bool)]))
    np.fill_diagonal(away, np.inf)
    voted = np.stack([np.bincount(kinds[row], minlength=len(KINDS)) for row in np.argsort(away, axis=1)[:, :5]]).argmax(axis=1)
    return {
        "nearest_of_same_kind": round(float(np.mean(voted == kinds)), 4),
        "turned_over_between": round(float(np.median(moved)) / between, 4),
    }


def write(asked: argparse.Namespace, encoder: Any, figures: dict[str, Any]) -> None:
    """Write the encoder, what it needs beside it, and training.json."""
    asked.out.mkdir(parents=True, exist_ok=True)
    encoder.save(asked.out / "model.keras")
    (asked.out / "config.json").write_text(json.dumps({"side": SIDE}) + "\n")
    facts = {name: getattr(asked, name) for name in ("seed", "cells", "steps", "batch")}
    text = json.dumps(facts | {"parameters": int(encoder.count_params())} | figures, indent=2) + "\n"
    (asked.out / "training.json").write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
