"""Which models are registered: the built-in ones, and those that a site describes by a `model.json`.

A site registers a model without code. It makes a folder with the files that the kind asks for (a StarDist model's own files; `model.keras`
and `config.json` for a U-Net, see `unet_kind`) and a `model.json`::

    {
        "name": "retina-2027",
        "kind": "unet",
        "axes": "YX",
        "version": "3",
        "licence": "CC-BY-4.0",
        "description": "nuclei in cleared retina, 20x",
        "digest": "9f2c…",
    }

and puts it below one of the folders that the environment variable `COLDCHAIN_MODELS` names, separated by `:`. `digest` is what
`coldchain.imaging.models.weights_digest(folder)` says. Workers need the variable and the folder as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from coldchain.errors import ModelError

FOLDERS = "COLDCHAIN_MODELS"  # environment variable: folders with models of the site
DESCRIPTION = "model.json"

Axes = Literal["YX", "YXC", "ZYX"]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


class ModelName(StrEnum):
    """The names that a form offers."""

    NUCLEI_SMALL = "nuclei-small"
    VERSATILE_FLUO = "2D_versatile_fluo"
    VERSATILE_HE = "2D_versatile_he"
    PAPER_DSB2018 = "2D_paper_dsb2018"
    NUCLEI_UNET = "nuclei-unet"
    NUCLEI_SMALL_3D = "nuclei-small-3d"
    DEMO_3D = "3D_demo"


class RegisteredModel(BaseModel):
    """A model that Coldchain knows; the fields without `source` and `folder` are those of a site's `model.json`.

    `axes` are those of the images that it takes (C: colour); `digest` is what its weights must have, None where nobody recorded it yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    axes: Axes
    version: Line
    licence: Line
    description: Line
    source: Literal["shipped", "stardist", "keras", "site"] = "site"
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    folder: str | None = None


def _stardist(name: str, description: str, *, kind: str = "stardist2d", axes: Axes = "YX") -> RegisteredModel:
    """Describe a model that StarDist downloads; all stand under its release 0.1 of models."""
    return RegisteredModel(
        name=name, kind=kind, axes=axes, version="0.1", licence="BSD-3-Clause", description=description, source="stardist"
    )


_ALL = (
    RegisteredModel(
        name="nuclei-small",
        kind="stardist2d",
        axes="YX",
        version="1",
        licence="BSD-3-Clause",
        description="nuclei in fluorescence, 10 to 40 pixels across; small, trained on synthetic fields only",
        source="shipped",
        digest="b2bce462fe37a61dbf42b5dc1a9fea988530ba2e532bac790a3ddbdd3adf08e4",
    ),
    RegisteredModel(
        name="nuclei-unet",
        kind="unet",
        axes="YX",
        version="1",
        licence="BSD-3-Clause",
        description="nuclei in fluorescence, by a small U-Net and watershed; trained on synthetic fields only",
        source="shipped",
        digest="111d8865791aa44e28a7c827dfa6e61a96756e666f08421605391007135c84f9",
    ),
    RegisteredModel(
        name="nuclei-small-3d",
        kind="stardist3d",
        axes="ZYX",
        version="1",
        licence="BSD-3-Clause",
        description="nuclei in stacks, 10 to 26 pixels across and 5 to 20 planes high; small, trained on synthetic stacks only",
        source="shipped",
        digest="9dbc815deba80b42d840439f434c47c2a8bc4e7ad2036825be44b1ec10c560c8",
    ),
    _stardist("2D_versatile_fluo", "nuclei in fluorescence, many microscopes (DSB 2018 subset)"),
    _stardist("2D_versatile_he", "nuclei in H&E stained tissue, colour images (MoNuSeg, TCGA)", axes="YXC"),
    _stardist("2D_paper_dsb2018", "nuclei in fluorescence, the model of the StarDist paper"),
    _stardist("3D_demo", "nuclei in stacks, StarDist's demonstration model, trained on made-up data", kind="stardist3d", axes="ZYX"),
)
REGISTERED: Mapping[str, RegisteredModel] = MappingProxyType({model.name: model for model in _ALL})


def registered(name: str, folder: str | None = None) -> RegisteredModel:
    """Look a model up: among the built-in ones, in `folder` where it is described there, among the site's.

    Raises ModelError for an unknown name, with the names there are, and for a `model.json` that is wrong or of another model.
    """
    name = str(name)
    described = _described_in(folder, name)
    if name in REGISTERED:
        return REGISTERED[name]
    if described is not None:
        return described
    there = site_models()
    if name not in there:
        raise ModelError(
            "no such segmentation model",
            on=name,
            expected="one of " + ", ".join([*REGISTERED, *there]),
            hint=f"choose a registered name, or put the model's folder, with its {DESCRIPTION}, below one that {FOLDERS} names",
        )
    return there[name]


def registered_names() -> list[str]:
    """The names of all models that can be asked for here: built-in, then those of the site. Raises ModelError as `site_models`."""
    return [*REGISTERED, *site_models()]


def site_models() -> dict[str, RegisteredModel]:
    """The models that the site registered, by name, in the order of the folders that `COLDCHAIN_MODELS` names.

    Raises ModelError where a folder is missing, a `model.json` is wrong, or a name is taken by another model.
    """
    found: dict[str, RegisteredModel] = {}
    for path in _descriptions():
        model = read_description(path)
        taken = REGISTERED.get(model.name) or found.get(model.name)
        if taken is not None:
            raise ModelError("two models have one name", on=model.name, got=[taken.folder or taken.source, model.folder], hint="rename one")
        found[model.name] = model
    return found


def _descriptions() -> Iterator[Path]:
    for name in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        folder = Path(name)
        if not folder.is_dir():
            raise ModelError(f"a folder that {FOLDERS} names is not there", on=folder, hint="is it mounted on this machine?")
        yield from sorted(path for path in (folder / DESCRIPTION, *folder.glob(f"*/{DESCRIPTION}")) if path.is_file())


def read_description(path: Path) -> RegisteredModel:
    """Read one `model.json`; raises ModelError with the fields that are wrong."""
    try:
        model = RegisteredModel.model_validate_json(path.read_bytes())
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in exc.errors())
        raise ModelError("a model's description is wrong", on=path, got=wrong, hint="see docs/model.md for the fields") from exc
    except OSError as exc:
        raise ModelError("a model's description cannot be read", on=path, got=exc) from exc
    if model.digest is None or model.source != "site" or model.folder is not None:
        raise ModelError(
            "a model's description is wrong",
            on=path,
            expected="a digest, and neither source nor folder",
            hint="coldchain.imaging.models.weights_digest(folder) computes the digest",
        )
    return model.model_copy(update={"folder": str(path.parent)})


def _described_in(folder: str | None, name: str) -> RegisteredModel | None:
    """The model that `folder` describes, if any; one with another name than was asked for is refused."""
    if folder is None or not (Path(folder) / DESCRIPTION).is_file():
        return None
    model = read_description(Path(folder) / DESCRIPTION)
    if model.name != name:
        raise ModelError("the folder holds another model", on=folder, expected=name, got=model.name, hint="name the model it holds")
    return model
