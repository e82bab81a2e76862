"""What an import brings along, seen by a fresh interpreter."""

from __future__ import annotations

import importlib.metadata
import json
import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import coldchain
import deployments
import flows
import tasks

HEAVY = {
    "PIL", "boto3", "csbdeep", "dask_jobqueue", "distributed", "globus_sdk", "great_expectations", "keras", "matplotlib", "ome_zarr",
    "pyarrow", "pycytominer", "scipy", "skimage", "stardist", "tensorflow", "tifffile", "zarr",
}  # fmt: skip
OUTSIDE = {"dask", "pandas", "prefect", "prefect_aws", "botocore"}
LAYERS = ["coldchain", "tasks", "flows", "deployments"]

EACH_ALONE = """
import importlib, sys
ours = {name.partition(".")[0] for name in sys.argv[1:]}
for name in sys.argv[1:]:
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] in ours]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {error!r}")
"""


def modules_of(package: object) -> list[str]:
    """Every module of a package; Alembic's migration scripts are loaded by path, not imported."""
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [package.__name__, *(name for name in names if ".migrations" not in name)]


def in_fresh_interpreter(code: str, *arguments: str) -> str:
    """Run code in an interpreter that has imported nothing of ours, in a neutral folder."""
    done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(names: list[str]) -> set[str]:
    """Top-level packages in sys.modules after importing all these modules."""
    code = "import importlib, json, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    return set(json.loads(in_fresh_interpreter(code, *names)))


def test_the_tests_run_against_the_installed_wheel() -> None:
    """All four packages come from site-packages of this environment, not from a checkout."""
    site = Path(sysconfig.get_paths()["purelib"]).resolve()
    for package in (coldchain, tasks, flows, deployments):
        assert Path(package.__file__).resolve().is_relative_to(site), f"{package.__name__} is imported from {package.__file__}"


def test_the_wheel_holds_what_runs_need() -> None:
    """Prefect's deployments, the shipped model, the suites and the migrations are in the wheel; the linter's rules are not."""
    files = {str(file) for file in importlib.metadata.files("coldchain") or ()}
    assert "deployments/prefect.yaml" in files
    assert any(name.startswith("coldchain/models/nuclei-small/") for name in files)
    assert any(name.startswith("coldchain/sql/migrations/versions/") for name in files)
    assert not any(name.endswith("ruff.toml") for name in files)


def test_the_product_knows_no_orchestrator_and_no_outside_system() -> None:
    """Importing every module of coldchain/ loads neither Prefect, dask nor a heavy library, nor a higher layer."""
    loaded = loaded_by(modules_of(coldchain))
    assert not loaded & (HEAVY | OUTSIDE | {"tasks", "flows", "deployments"})


def test_only_the_catalogue_brings_the_database_along() -> None:
    """A kernel on a cluster node needs no SQLAlchemy."""
    assert "sqlalchemy" not in loaded_by(["coldchain", "coldchain.errors", "coldchain.manifest", "coldchain.imaging.segment"])


def test_tasks_import_nothing_heavy() -> None:
    """Importing every module of tasks/ loads no heavy library (what Prefect itself brings aside), nor a higher layer."""
    by_prefect = loaded_by(["prefect", "prefect.artifacts"])
    assert not (loaded_by(modules_of(tasks)) - by_prefect) & (HEAVY | {"dask", "pandas", "flows", "deployments"})


def test_flows_import_nothing_heavy() -> None:
    """A worker starts a flow without loading TensorFlow, and no flow knows deployments/."""
    by_prefect = loaded_by(["prefect", "prefect.artifacts"])
    assert not (loaded_by(modules_of(flows)) - by_prefect) & (HEAVY | {"dask", "pandas", "deployments"})


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_can_be_imported_first(layer: str) -> None:
    """No module needs another one of ours to have been imported before it."""
    package = {"coldchain": coldchain, "tasks": tasks, "flows": flows, "deployments": deployments}[layer]
    assert in_fresh_interpreter(EACH_ALONE, *modules_of(package)) == ""
