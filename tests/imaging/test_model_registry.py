"""The registry of models: what is said of each, a site's own folders, and kinds that other packages offer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ModelError
from coldchain.imaging import models
from coldchain.imaging.models.loading import KINDS

Put = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the site's models, named by the environment, empty so far."""
    folder = tmp_path / "site-models"
    folder.mkdir()
    monkeypatch.setenv("COLDCHAIN_MODELS", str(folder))
    return folder


@pytest.fixture
def put() -> Put:
    """A function that puts a model into a folder: nuclei-small's files, with a description of its own."""

    def put(folder: Path, /, **changes: Any) -> Path:
        shutil.copytree(models.shipped_folder("nuclei-small"), folder)
        facts = {"name": folder.name, "kind": "stardist2d", "axes": "YX", "version": "3", "licence": "CC0-1.0", "description": "ours"}
        facts |= {"digest": models.weights_digest(folder)} | changes
        (folder / "model.json").write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
        return folder

    return put


def test_every_registered_model_says_what_it_is() -> None:
    """Each built-in model has a kind that can be opened, axes, version, licence and description; each shipped one a digest."""
    for model in models.REGISTERED.values():
        assert model.kind in KINDS
        assert model.axes in {"YX", "YXC", "ZYX"}
        assert all([model.version, model.licence, model.description])
        assert (model.source == "shipped") == (model.digest is not None)


def test_a_site_registers_a_model_by_a_folder(site: Path, put: Put) -> None:
    """A folder with a model.json below a folder that COLDCHAIN_MODELS names is a model, found, checked and loaded by its name."""
    folder = put(site / "retina-2027")
    loaded = models.load("retina-2027")
    assert models.registered_names() == [*models.REGISTERED, "retina-2027"]
    assert models.digest_of("retina-2027") == loaded.digest == models.weights_digest(folder)
    assert (loaded.version, loaded.licence, loaded.axes) == ("3", "CC0-1.0", "YX")
    assert loaded.predict(np.zeros((16, 16))).max() == 0


def test_a_named_folder_may_be_the_model_itself(tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLDCHAIN_MODELS names several folders, each a model or a folder of models."""
    put(tmp_path / "one" / "first")
    put(tmp_path / "second")
    monkeypatch.setenv("COLDCHAIN_MODELS", f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'second'}")
    assert list(models.site_models()) == ["first", "second"]


def test_a_model_folder_describes_itself(tmp_path: Path, put: Put) -> None:
    """A folder that is named outright needs no environment: its model.json registers the model."""
    folder = put(tmp_path / "retina-2027")
    assert models.registered("retina-2027", str(folder)).version == "3"
    assert models.load("retina-2027", str(folder)).digest == models.digest_of("retina-2027", str(folder))


def test_a_folder_of_another_model_is_refused(tmp_path: Path, put: Put) -> None:
    """Asking for one model with the folder of another is an error that names both."""
    folder = put(tmp_path / "retina-2027")
    for name in ("retina-2028", "nuclei-small"):
        with pytest.raises(ModelError, match="holds another model") as caught:
            models.load(name, str(folder))
        assert name in str(caught.value)
        assert "retina-2027" in str(caught.value)


def test_weights_of_a_site_that_changed_are_refused(site: Path, put: Put) -> None:
    """A site's model whose weights are no longer those that its model.json names is not loaded, not even where it once was."""
    folder = put(site / "retina-2027")
    models.load("retina-2027")
    (folder / "thresholds.json").write_text('{"prob": 0.1, "nms": 0.1}')
    for ask in (models.load, models.digest_of):
        with pytest.raises(ModelError, match="not the registered ones"):
            ask("retina-2027")


@pytest.mark.parametrize("name", ["nuclei-small", "twin"])
def test_no_two_models_have_one_name(site: Path, put: Put, name: str) -> None:
    """A site's model cannot take the name of a built-in one, nor of another of the site."""
    put(site / "a", name=name)
    put(site / "b", name=name)
    with pytest.raises(ModelError, match="one name"):
        models.site_models()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": None}, "kind"),
        ({"axes": "XY"}, "axes"),
        ({"digest": "abc"}, "digest"),
        ({"digest": None}, "digest"),
        ({"name": "../up"}, "name"),
        ({"weights": "here"}, "weights"),
        ({"source": "shipped"}, "source"),
        ({"folder": "/elsewhere"}, "folder"),
    ],
)
def test_a_wrong_description_is_told_by_field(site: Path, put: Put, changes: dict[str, Any], told: str) -> None:
    """A model.json with a missing, wrong or unknown field is an error with the file and the field."""
    put(site / "retina-2027", **changes)
    with pytest.raises(ModelError, match="description is wrong") as caught:
        models.site_models()
    assert told in str(caught.value)
    assert str(site / "retina-2027" / "model.json") in str(caught.value)


def test_a_broken_site_model_does_not_stop_the_built_in_ones(site: Path) -> None:
    """A model.json that is no JSON is told to who asks for a site's model, and to nobody else."""
    (site / "broken").mkdir()
    (site / "broken" / "model.json").write_text("{")
    assert models.registered("nuclei-small").name == "nuclei-small"
    with pytest.raises(ModelError, match="description is wrong"):
        models.registered("retina-2027")


def test_a_folder_that_is_not_mounted_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that COLDCHAIN_MODELS names and that is not there is an error, not an empty list."""
    monkeypatch.setenv("COLDCHAIN_MODELS", str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="not there"):
        models.registered_names()


def test_provenance_says_model_and_thresholds_used() -> None:
    """A loaded model gives plain values for provenance, with the thresholds that a call uses: its own where not given."""
    model = models.load("nuclei-small")
    said = model.provenance(nms_threshold=0.6)
    assert json.loads(json.dumps(said)) == said
    assert said == {
        "name": "nuclei-small",
        "kind": "stardist2d",
        "axes": "YX",
        "version": "1",
        "licence": "BSD-3-Clause",
        "digest": model.digest,
        "prob_threshold": pytest.approx(0.479, abs=1e-3),
        "nms_threshold": 0.6,
    }


def test_the_thresholds_told_are_those_used() -> None:
    """Predicting with the thresholds that a model calls its own gives what predicting without any gives."""
    model = models.load("nuclei-small")
    image = np.random.default_rng(5).poisson(5 + 50 * (np.add.outer(np.arange(96), np.arange(96)) % 32 > 16))
    np.testing.assert_array_equal(model.predict(image), model.predict(image, **model.thresholds()))


def test_what_lies_beyond_the_context_changes_nothing() -> None:
    """Pixels further away than the context leave the network's answer as it is: objects well inside keep their outlines."""
    model = models.load("nuclei-small")
    from coldchain.imaging.synthesis import nuclei_field
    from coldchain.imaging.synthetic_nuclei import Conditions

    image = nuclei_field(np.random.default_rng(4), (256, 512), count=120, conditions=Conditions()).image
    other = image.copy()
    far = 256 + 2 * 32 + model.context[1]  # an object there has its middle within 32 px of the block
    other[:, far:] = image[:, far:][:, ::-1]  # the same intensities elsewhere: the normalisation stays
    first, second = model.predict(image)[:, :224] > 0, model.predict(other)[:, :224] > 0
    np.testing.assert_array_equal(first, second)
    assert 0 < model.context[0] < 128


def test_axes_that_a_network_does_not_have_are_refused(site: Path, put: Put) -> None:
    """A model that is registered for colour images, with a network for one channel, is an error at loading."""
    put(site / "retina-2027", axes="YXC")
    with pytest.raises(ModelError, match="other images"):
        models.load("retina-2027")


def test_a_kind_that_nothing_opens_is_told(site: Path, put: Put) -> None:
    """A model of an unknown kind is an error that lists the kinds there are."""
    put(site / "retina-2027", kind="cellwalk")
    with pytest.raises(ModelError, match="nothing here opens") as caught:
        models.load("retina-2027")
    assert all(kind in str(caught.value) for kind in KINDS)


CELLWALK = '''
import numpy as np
from coldchain.imaging.models.protocol import Opened

def open_cellwalk(folder, model):
    """All that is above the threshold is one object."""
    return Opened(lambda images, *thresholds, **options: [(image > 1).astype(np.int32) for image in images], 0.5, 0.5, (0, 0))
'''
ASK = """
import numpy as np
from coldchain.imaging import models
model = models.load("walker")
print(model.kind, model.predict(np.arange(4).reshape(2, 2)).tolist(), model.provenance()["prob_threshold"])
"""


def offered(folder: Path, opener: str) -> None:
    """An installed distribution that offers the kind cellwalk."""
    facts = folder / "our_lab-1.0.dist-info"
    facts.mkdir()
    (folder / "our_lab.py").write_text(CELLWALK)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: our-lab\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[coldchain.models]\ncellwalk = our_lab:{opener}\n")


def asked(tmp_path: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Ask for the model in a fresh interpreter that has the distribution."""
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "COLDCHAIN_MODELS": str(site)}
    return subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False, timeout=240)


def test_another_package_offers_a_kind(tmp_path: Path, site: Path, put: Put) -> None:
    """A distribution adds a kind of model by an entry point; its models are registered, checked and loaded as any other."""
    put(site / "walker", kind="cellwalk")
    offered(tmp_path, "open_cellwalk")
    done = asked(tmp_path, site)
    assert done.stdout.strip() == "cellwalk [[0, 0], [1, 1]] 0.5", done.stderr[-2000:]


def test_a_kind_that_cannot_be_imported_is_told(tmp_path: Path, site: Path, put: Put) -> None:
    """An entry point that names nothing is a ModelError, not an AttributeError."""
    put(site / "walker", kind="cellwalk")
    offered(tmp_path, "renamed_since")
    done = asked(tmp_path, site)
    assert "ModelError: what opens a kind of model cannot be imported" in done.stderr
