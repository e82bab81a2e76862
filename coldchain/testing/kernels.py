"""Small kernels that show how a cluster behaves: only functions of coldchain travel to its nodes."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from coldchain.errors import ImageError
from coldchain.node import node_name


def square(item: dict[str, Any]) -> dict[str, Any]:
    """Return `{"value": number squared}` for `{"number": ...}`."""
    return {"value": item["number"] ** 2}


def sleep(item: dict[str, Any]) -> dict[str, Any]:
    """Sleep for `seconds`, then say where."""
    time.sleep(item["seconds"])
    return where(item)


def where(item: dict[str, Any]) -> dict[str, Any]:
    """Return process, node and SLURM job of the worker, and those of its variables named in `variables`."""
    variables = {name: os.environ.get(name) for name in item.get("variables", [])}
    return {"pid": os.getpid(), "node": node_name(), "job": os.environ.get("SLURM_JOB_ID"), "variables": variables}


def mark_and_sleep(item: dict[str, Any]) -> dict[str, Any]:
    """Write process and job into the folder `marks`, then sleep for `seconds`: lets a test see a kernel at work."""
    name = f"{os.environ.get('SLURM_JOB_ID', 'local')}-{os.getpid()}"
    Path(item["marks"], name).write_text(str(os.getpid()), encoding="ascii")
    return sleep(item)


def mark_and_hold_the_interpreter(item: dict[str, Any]) -> dict[str, Any]:
    """Write process and job into `marks`, then hold the interpreter's lock for long, as native code does."""
    mark_and_sleep({**item, "seconds": 0})
    return {"value": sum(range(item["count"]))}


def write(item: dict[str, Any]) -> dict[str, Any]:
    """Sleep for `seconds`, write the file `target`, and leave a mark for this execution in the folder `marks`."""
    time.sleep(item.get("seconds", 0))
    Path(item["target"]).write_text(f"item {item['number']}", encoding="ascii")
    Path(item["marks"], f"{item['number']}-{uuid.uuid4().hex}").touch()
    return {"number": item["number"], "job": os.environ.get("SLURM_JOB_ID", "")}


def die(item: dict[str, Any]) -> dict[str, Any]:
    """End the worker's process without a word, as the out-of-memory killer does."""
    os._exit(item.get("code", 7))


def refuse_image(item: dict[str, Any]) -> dict[str, Any]:
    """Raise an ImageError with every part filled in."""
    raise ImageError("the image is truncated", on=item["name"], expected=100, got=3, done="nothing was written", hint="acquire again")
