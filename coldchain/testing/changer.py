"""A stand-in for the `mtx` command: status, load and unload of a changer, with mtx 1.3's words and exit codes.

It imports nothing of ours: it starts as fast as an interpreter does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

State = dict[str, Any]


class Changer:
    """A changer as a test sees it: `bin` goes to the front of PATH, and `device` into the site."""

    def __init__(self, home: Path, *, tapes: Mapping[int, str], slots: int = 4, drives: int = 1) -> None:
        """Make a changer of a folder of its own: tapes by their slots, 1 and up; the last slot is its mail slot."""
        self.home, self.bin, self.device = home, home / "bin", "/dev/sg3"
        self.bin.mkdir(parents=True)
        full = {str(slot): barcode for slot, barcode in tapes.items()}
        state = {"device": self.device, "slots": slots, "tapes": full, "drives": [None] * drives}
        (home / "state.json").write_text(json.dumps(state))
        command = self.bin / "mtx"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{Path(__file__).resolve()}" "{home.resolve()}" "$@"\n')
        command.chmod(0o755)


def _fail(said: str) -> NoReturn:
    sys.stderr.write(f"mtx: {said}\n")
    raise SystemExit(1)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _tag(barcode: str, mark: str) -> str:
    return f":VolumeTag{mark}{barcode}" if barcode else ""


def _status(state: State) -> None:
    drives, slots = state["drives"], state["slots"]
    _say(f"  Storage Changer {state['device']}:{len(drives)} Drives, {slots} Slots ( 1 Import/Export )")
    for number, tape in enumerate(drives):
        said = f"Full (Storage Element {tape[0]} Loaded){_tag(tape[1], ' = ')}" if tape else "Empty"
        _say(f"Data Transfer Element {number}:{said}")
    for slot in range(1, slots + 1):
        mail = " IMPORT/EXPORT" if slot == slots else ""
        tape = state["tapes"].get(str(slot))
        _say(f"      Storage Element {slot}{mail}:{'Empty' if tape is None else 'Full ' + _tag(tape, '=')}")


def _load(state: State, slot: int, drive: int) -> None:
    if state["drives"][drive]:
        _fail(f"Drive {drive} Full (Storage Element {state['drives'][drive][0]} loaded)")
    if str(slot) not in state["tapes"]:
        _fail(f"Source Element Address {slot} is Empty")
    state["drives"][drive] = [slot, state["tapes"].pop(str(slot))]
    _say(f"Loading media from Storage Element {slot} into drive {drive}...done")


def _unload(state: State, slot: int, drive: int) -> None:
    if not state["drives"][drive]:
        _fail(f"Data Transfer Element {drive} is Empty")
    state["tapes"][str(slot)] = state["drives"][drive][1]
    state["drives"][drive] = None
    _say(f"Unloading drive {drive} into Storage Element {slot}...done")


def main(home: Path, words: Sequence[str]) -> None:
    """Do what the command line says."""
    state: State = json.loads((home / "state.json").read_text())
    flag, device, what, *rest = words
    if flag != "-f" or device != state["device"]:
        _fail(f"cannot open SCSI device '{device}' - No such file or directory")
    if what == "status":
        _status(state)
    else:
        {"load": _load, "unload": _unload}[what](state, *map(int, rest))
        (home / "state.json").write_text(json.dumps(state))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
