"""Train the shipped U-Net `nuclei-unet` on synthetic fields only.

    python infra/model/train_unet.py --out coldchain/models/nuclei-unet

Every field comes from `coldchain.imaging.synthesis.nuclei_field`, as for `nuclei-small`; no acquired image is read. The network predicts
for each pixel foreground and depth (`coldchain.imaging.watershed.depth_map`). The checkpoint is the one with the lowest loss on
synthetic validation fields, and both thresholds of the watershed are the best on those. `--out` receives model.keras, config.json,
thresholds.json and training.json (seed, numbers, figures). Architecture: U-Net, Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from train_nuclei import TEST, TRAIN, VALIDATE, augmented, cosine, fields, progress

from coldchain.imaging.models.unet_kind import tiled
from coldchain.imaging.watershed import depth_map, instances

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
PATCH, BATCH, DIVISIBLE = 96, 8, 8
CONTEXT = 56  # pixels on one side that an output depends on: convolutions of four levels, and the pooling between them
PROBS, SHARES = (0.3, 0.4, 0.5, 0.6, 0.7), (0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    """Make the fields, train, choose thresholds, write the model and its figures."""
    asked = arguments()
    started = time.monotonic()
    print(f"making {asked.fields} + {asked.validation} synthetic fields", flush=True)
    training, validation = fields(asked.seed, TRAIN, asked.fields), fields(asked.seed, VALIDATE, asked.validation)
    with tempfile.TemporaryDirectory() as folder:
        best = (asked.work or Path(folder)) / "model.keras"
        model = fit(network(asked), asked, training, validation, best)
    prob, share = chosen(model, *validation)
    f1 = scored(model, fields(asked.seed, TEST, 40), prob, share)
    write(asked, model, {"prob": prob, "nms": share}, {"held_out_f1": f1, "minutes": round((time.monotonic() - started) / 60, 1)})


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the model")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--fields", type=int, default=800, help="synthetic training fields, 256 x 256 pixels")
    parser.add_argument("--validation", type=int, default=40, help="synthetic validation fields")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=50, help="batches of one epoch")
    parser.add_argument("--filters", type=int, default=16, help="filters of the first level")
    parser.add_argument("--work", type=Path, help="folder for the best model while training; a temporary one where not given")
    return parser.parse_args()


def network(asked: argparse.Namespace) -> Any:
    """An untrained U-Net of four levels for one channel, compiled: foreground by cross entropy, depth by absolute error."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(asked.seed)
    image = keras.Input((None, None, 1))
    widths = [asked.filters * factor for factor in (1, 2, 3, 4)]
    x, skipped = image, []
    for width in widths[:-1]:
        x = convolved(x, width)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolved(x, widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skipped), strict=True):
        x = convolved(layers.Concatenate()([layers.UpSampling2D()(x), skip]), width)
    model = keras.Model(image, layers.Conv2D(2, 1, activation="sigmoid")(x), name="nuclei_unet")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=map_loss)
    return model


def convolved(x: Any, width: int) -> Any:
    """Two 3 x 3 convolutions of one width."""
    from keras import layers

    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return x


def map_loss(truth: Any, predicted: Any) -> Any:
    """Cross entropy of the foreground, plus the absolute error of the depth, which counts three times inside nuclei."""
    from keras import ops

    inside, sure = truth[..., 0], ops.clip(predicted[..., 0], 1e-6, 1 - 1e-6)
    entropy = -(inside * ops.log(sure) + (1 - inside) * ops.log(1 - sure))
    return ops.mean(entropy + (1 + 2 * inside) * ops.abs(truth[..., 1] - predicted[..., 1]))


def maps(labels: Labels) -> Floats:
    """The two maps that the network has to predict, (y, x, 2)."""
    return np.stack([labels > 0, depth_map(labels)], axis=-1).astype(np.float32)


def fit(model: Any, asked: argparse.Namespace, training: tuple[Any, Any], validation: tuple[Any, Any], best: Path) -> Any:
    """Train with a learning rate that falls as a cosine, and return the network of the best epoch by validation loss."""
    import keras

    best.parent.mkdir(parents=True, exist_ok=True)
    callbacks = [
        keras.callbacks.LearningRateScheduler(cosine(asked.epochs)),
        keras.callbacks.LambdaCallback(on_epoch_end=progress),
        keras.callbacks.ModelCheckpoint(best, save_best_only=True),
    ]
    images, targets = np.stack(validation[0])[..., None], np.stack([maps(labels) for labels in validation[1]])
    drawn = batches(np.random.default_rng([asked.seed, TRAIN]), training[0], [maps(labels) for labels in training[1]])
    model.fit(
        drawn,
        steps_per_epoch=asked.steps,
        epochs=asked.epochs,
        validation_data=(images, targets),
        validation_batch_size=BATCH,
        callbacks=callbacks,
        verbose=0,
    )
    return keras.saving.load_model(best, compile=False)


def batches(rng: np.random.Generator, images: list[Floats], targets: list[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Patches at random places of random fields, augmented, without an end."""
    while True:
        drawn = [patch(rng, images, targets, int(rng.integers(len(images)))) for _ in range(BATCH)]
        yield np.stack([image for image, _ in drawn])[..., None], np.stack([target for _, target in drawn])


def patch(rng: np.random.Generator, images: list[Floats], targets: list[Floats], which: int) -> tuple[Floats, Any]:
    """One augmented patch of a field and its maps."""
    image, target = images[which], targets[which]
    y, x = (int(rng.integers(side - PATCH + 1)) for side in image.shape)
    return augmented(rng, image[y : y + PATCH, x : x + PATCH], target[y : y + PATCH, x : x + PATCH])


def chosen(model: Any, images: list[Floats], truths: list[Labels]) -> tuple[float, float]:
    """The two thresholds with the highest F1 at IoU 0.5 over validation fields."""
    predicted = [predict(model, image) for image in images]
    return max(itertools.product(PROBS, SHARES), key=lambda pair: f1(truths, predicted, *pair))


def predict(model: Any, image: Floats) -> Floats:
    """The two maps of one field."""
    return next(tiled(lambda tiles: np.asarray(model(tiles, training=False), np.float32), [image[..., None]], CONTEXT, DIVISIBLE))


def f1(truths: list[Labels], predicted: list[Floats], prob: float, share: float) -> float:
    """Mean matched-object F1 at IoU 0.5 of predicted maps."""
    from stardist.matching import matching_dataset

    found = [instances(both[..., 0], both[..., 1], prob_threshold=prob, nms_threshold=share) for both in predicted]
    return float(matching_dataset(truths, found, thresh=0.5, show_progress=False, by_image=True).f1)


def scored(model: Any, made: tuple[list[Floats], list[Labels]], prob: float, share: float) -> float:
    """Mean F1 over fields that were neither trained nor validated on."""
    return round(f1(made[1], [predict(model, image) for image in made[0]], prob, share), 4)


def write(asked: argparse.Namespace, model: Any, thresholds: dict[str, float], figures: dict[str, float]) -> None:
    """Write the model, what prediction needs beside it, and training.json."""
    asked.out.mkdir(parents=True, exist_ok=True)
    model.save(asked.out / "model.keras")
    (asked.out / "config.json").write_text(json.dumps({"context": CONTEXT, "divisible": DIVISIBLE, "percentiles": [1, 99.8]}) + "\n")
    (asked.out / "thresholds.json").write_text(json.dumps(thresholds) + "\n")
    facts = {name: getattr(asked, name) for name in ("seed", "fields", "validation", "epochs", "steps", "filters")}
    facts |= {"parameters": int(model.count_params()), "thresholds": thresholds} | figures
    text = json.dumps(facts, indent=2) + "\n"
    (asked.out / "training.json").write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
