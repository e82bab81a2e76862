"""A tape changer, by the `mtx` command: which tape stands in which slot or drive, and a tape put into a drive when a person says so.

`mtx status` tells of a slot ``Full :VolumeTag=A00001L8`` and of a drive ``Full (Storage Element 5 Loaded):VolumeTag = A00005L8``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from coldchain.errors import ConfigurationError, InputError, LocationUnreachable

PATIENCE_S = 600.0
"""The arm takes minutes; a changer that lost its cable answers never."""

SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
"""Where `mtx` stands though an ordinary user's PATH does not say so."""

_ELEMENT = re.compile(
    r"^\s*(?P<kind>Data Transfer|Storage) Element (?P<number>\d+)(?: IMPORT/EXPORT)?:(?P<state>Full|Empty)\s*"
    r"(?:\((?:Storage Element (?P<slot>\d+)|Unknown Storage Element) Loaded\))?(?::VolumeTag ?= ?(?P<barcode>[^:]*))?"
)


@dataclass(frozen=True)
class Element:
    """A slot or a drive of a changer, and the tape in it; `slot` is where a drive's tape came from."""

    drive: bool
    number: int
    full: bool
    barcode: str = ""
    slot: int | None = None

    def __str__(self) -> str:
        """What it is called."""
        return f"{'drive' if self.drive else 'slot'} {self.number}"


def inventory(device: str) -> list[Element]:
    """Slots and drives of a changer, as it says.

    Raises:
        ConfigurationError: there is no `mtx` command here, or what it says is no inventory.
        LocationUnreachable: the changer does not answer.
    """
    said = _mtx(device, "status")
    found = [_element(match) for line in said.splitlines() if (match := _ELEMENT.match(line))]
    if not found:
        raise ConfigurationError("a changer tells of no slot and no drive", on=device, got=said[:200], hint="is that the changer's device?")
    return found


def load(device: str, barcode: str) -> str:
    """Put the tape of a barcode into the first empty drive, and say which; one that is in a drive already stays there.

    Raises:
        InputError: no tape there has that barcode, or no drive is empty.
    """
    elements = inventory(device)
    tape = next((each for each in elements if barcode and each.barcode == barcode), None)
    if tape is None:
        tapes = ", ".join(each.barcode for each in elements if each.barcode)
        raise InputError("no such tape in the changer", on=f"{barcode} in {device}", expected=tapes, done="nothing was moved")
    if tape.drive:
        return f"{barcode} is in {tape} already"
    drive = next((each for each in elements if each.drive and not each.full), None)
    if drive is None:
        raise InputError("no drive of the changer is empty", on=device, done="nothing was moved", hint="unmount a tape, then `mtx unload`")
    _mtx(device, "load", str(tape.number), str(drive.number))
    return f"{barcode} went from {tape} into {drive}: mount it"


def _element(found: re.Match[str]) -> Element:
    slot = found["slot"]
    barcode = (found["barcode"] or "").strip()
    return Element(found["kind"] != "Storage", int(found["number"]), found["state"] == "Full", barcode, int(slot) if slot else None)


def _mtx(device: str, *words: str) -> str:
    """Run the command; raises where it is missing, fails or never comes back."""
    command = shutil.which("mtx") or shutil.which("mtx", path=SBIN)
    if command is None:
        raise ConfigurationError("there is no `mtx` command here", on=device, hint="install it (Debian: apt-get install mtx)")
    try:
        done = subprocess.run(
            [command, "-f", device, *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocationUnreachable("a changer does not answer", on=device, got=error) from error
    if done.returncode:
        raise LocationUnreachable("a changer refuses", on=f"{device}: {' '.join(words)}", got=done.stderr.strip() or done.stdout.strip())
    return done.stdout
