"""The files of a model: where they lie, and the digest by which weights are known."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from coldchain.errors import ModelError

PREDICTION_FILES = ("config.json", "thresholds.json", "*.h5", "*.keras")  # what a prediction depends on; the rest is documentation


def shipped_folder(name: str) -> Path:
    """Where a shipped model lies inside the installed package."""
    return Path(str(files("coldchain") / "models" / name))


def weights_digest(folder: str | Path) -> str:
    """SHA-256 over names, lengths and contents, in order of name, of the files in `folder` that a prediction depends on.

    Raises ModelError where config.json or weights are missing.
    """
    parts = sorted({path for pattern in PREDICTION_FILES for path in Path(folder).glob(pattern) if path.is_file()}, key=lambda p: p.name)
    if not any(p.suffix in {".h5", ".keras"} for p in parts) or not any(p.name == "config.json" for p in parts):
        raise ModelError("not the folder of a model", on=folder, expected="config.json and weights (*.h5)", got=[p.name for p in parts])
    digest = hashlib.sha256()
    for path in parts:
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def checked_digest(name: str, expected: str | None, folder: Path) -> str:
    """The digest of the weights in `folder`; raises ModelError where another one is expected (None: nobody recorded it yet)."""
    got = weights_digest(folder)
    if expected is not None and got != expected:
        raise ModelError(
            f"the weights of {name} are not the registered ones",
            on=folder,
            expected=expected,
            got=got,
            done="nothing was loaded",
            hint="install Coldchain again, or register the new weights if they were changed on purpose",
        )
    return got
