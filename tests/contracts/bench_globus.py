"""The bench of the Globus engine: the real SDK, a stand-in for the service, and collections that are folders of this machine."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from coldchain.location import Location
from coldchain.testing.globus import Cloud
from tasks.stores.globus import GlobusStore
from tasks.stores.globus_ssh import GlobusSshStore
from tasks.stores.globus_tasks import Patience
from tests.contracts.benches import FolderBench, place

FAST = Patience(first=0.005, longest=0.02, deadline=60, overtime=5, looks=3)
THERE, HERE = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("there.example", "here.example"))


def globus_place(root: str, here: Path, **more: Any) -> Location:
    """A location on the collection `there`, whose folders are this machine's from the root down."""
    reach = {"collection": THERE, "here": HERE, "here_folder": str(here), "here_path": str(here), "block": "globus"}
    return place(root, engine="globus", globus=reach, **more)


def opened(cloud: Cloud, location: Location, here: Path, *, kind: Any = GlobusStore, **more: Any) -> Any:
    """A store that asks the stand-in, and does not wait long."""
    login = {"client_id": cloud.client_id, "client_secret": cloud.client_secret}
    return kind(location, here, lambda: login, **{"patience": FAST, **more})


@contextmanager
def running(there: Path, here: Path, **more: Any) -> Iterator[Cloud]:
    """The stand-in, with the SDK led to it."""
    with Cloud({THERE: there, HERE: here}, **more) as cloud, pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        yield cloud


def globus(request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Make a location on a collection, and send from the folder that it stands in."""
    cloud = _entered(request)
    return FolderBench(opened(cloud, globus_place(str(root), root.parent), root.parent), root)


def globus_ssh(request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Make one whose machine ssh reaches, too."""
    cloud = _entered(request)
    location = globus_place(str(root), root.parent, ssh={"host": "centre", "python": sys.executable})
    store = opened(cloud, location, root.parent, kind=GlobusSshStore, config=request.getfixturevalue("sshd"))
    request.addfinalizer(store.close)
    return FolderBench(store, root)


def _entered(request: pytest.FixtureRequest) -> Cloud:
    stack = ExitStack()
    request.addfinalizer(stack.close)
    return stack.enter_context(running(Path("/"), Path("/")))
