"""rsync over ssh: it moves the bytes, and what it says of them counts for nothing. What it says when it fails is translated here."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from coldchain.errors import ColdchainError, ConfigurationError, InputError, LocationUnreachable, OutOfSpace

FLAGS = ("--recursive", "--inplace", "--from0", "--files-from=-", "--secluded-args", "--no-implied-dirs", "--timeout=300")
"""In place, so that what was cut off goes on where it was: everything stands in staging until it was read back."""

_FULL = ("No space left on device", "Disk quota exceeded")
_REFUSED = ("Permission denied", "Read-only file system", "Operation not permitted")
_LINE = frozenset({10, 12, 30, 35, 255})
"""Exit codes of a line that was cut: socket, protocol stream, timeouts, ssh's own."""


def copy(ssh: Sequence[str], source: str, target: str, names: Sequence[str], *, times: bool, on: str) -> None:
    """Copy files by name from one folder to another, of which one is ``host:path``; what stands there whole is left alone.

    With `times` files keep theirs, and size and time tell what is whole; without them it is their bytes.

    Raises:
        LocationUnreachable: the line was cut; the next run goes on from there.
        OutOfSpace, ConfigurationError, InputError: by rsync's words, which are given.
    """
    how = ["--times"] if times else ["--checksum"]
    command = ["rsync", *FLAGS, *how, "-e", shlex.join(ssh), "--", f"{source}/", f"{target}/"]
    said = b"\0".join(os.fsencode(name) for name in names)
    try:
        done = subprocess.run(command, input=said, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ConfigurationError("there is no rsync on this machine", on=on, hint="install the package rsync") from error
    if done.returncode:
        raise _failed(done.returncode, " ".join(done.stderr.decode(errors="replace").split())[-500:], on)


def _failed(code: int, words: str, on: str) -> ColdchainError:
    got, done = f"{words or 'nothing'} (rsync ended with {code})", "what is whole stays in staging"
    if any(word in words for word in _FULL):
        return OutOfSpace("no space left", on=on, got=got, done=done, hint="make room, then start again")
    if any(word in words for word in _REFUSED):
        return ConfigurationError("files cannot be read or written", on=on, got=got, done=done, hint="look at the rights there")
    if "command not found" in words or code == 127:
        return ConfigurationError("there is no rsync on the machine", on=on, got=got, hint="install the package rsync there")
    if code in _LINE:
        return LocationUnreachable("the line to a machine was cut while files were copied", on=on, got=got, done=done)
    return InputError("files were not copied", on=on, got=got, done=done, hint="look at what rsync says")
