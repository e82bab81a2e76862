"""Segmentation models by name: which are registered, whether their weights are the registered ones, and how to predict with them.

Three ways for a model to be registered, each with the digest that its weights must have:

- Coldchain ships it, or StarDist offers it for download (`REGISTERED`);
- a site puts its folder, with a `model.json` beside the weights, below a folder that `COLDCHAIN_MODELS` names (see `registry`);
- the same folder is named outright, as `folder` of the functions here.

A model has a *kind*, which says how its files are opened: `stardist2d`, `stardist3d`, `unet`, or one that another distribution offers as
an entry point (see `loading`). In a process that may have a GPU call `coldchain.imaging.devices.claim_device()` before `load`: the first
network that TensorFlow makes takes the GPU's whole memory, and what it may take cannot be changed later.
"""

from coldchain.imaging.models.loading import LoadedModel, digest_of, load
from coldchain.imaging.models.protocol import Predict, Window
from coldchain.imaging.models.registry import REGISTERED, ModelName, RegisteredModel, registered, registered_names, site_models
from coldchain.imaging.models.stardist_kind import predictor
from coldchain.imaging.models.weights import shipped_folder, weights_digest

__all__ = [
    "REGISTERED",
    "LoadedModel",
    "ModelName",
    "Predict",
    "RegisteredModel",
    "Window",
    "digest_of",
    "load",
    "predictor",
    "registered",
    "registered_names",
    "shipped_folder",
    "site_models",
    "weights_digest",
]
