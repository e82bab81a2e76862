"""A tape changer by the `mtx` command: its inventory, and a tape that goes into a drive when a person says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coldchain.errors import ConfigurationError, InputError, LocationUnreachable
from coldchain.testing.changer import Changer
from tasks.stores import changer
from tasks.stores.changer import Element, inventory, load


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changer:
    """A changer with four slots, one drive and three tapes, one of them without a barcode."""
    found = Changer(tmp_path / "changer", tapes={1: "A00001L8", 2: "A00002L8", 4: ""})
    monkeypatch.setenv("PATH", str(found.bin), prepend=os.pathsep)
    return found


def test_slots_and_drives_are_told(library: Changer) -> None:
    """Full or empty, with the barcode where there is one; the mail slot is a slot."""
    assert inventory(library.device) == [
        Element(True, 0, False),
        Element(False, 1, True, "A00001L8"),
        Element(False, 2, True, "A00002L8"),
        Element(False, 3, False),
        Element(False, 4, True),
    ]


def test_a_tape_is_loaded_by_its_barcode(library: Changer) -> None:
    """Into the empty drive, which then tells from where it came; a second time nothing moves."""
    assert load(library.device, "A00002L8") == "A00002L8 went from slot 2 into drive 0: mount it"
    assert inventory(library.device)[0] == Element(True, 0, True, "A00002L8", 2)
    assert load(library.device, "A00002L8") == "A00002L8 is in drive 0 already"


def test_what_cannot_be_loaded_stays_where_it_is(library: Changer) -> None:
    """A tape that is not there, one without a barcode, and one for which no drive is empty."""
    for barcode in ("A00009L8", ""):
        with pytest.raises(InputError, match=r"no such tape(?s:.*)A00001L8, A00002L8"):
            load(library.device, barcode)
    load(library.device, "A00001L8")
    with pytest.raises(InputError, match="no drive of the changer is empty"):
        load(library.device, "A00002L8")
    assert inventory(library.device)[2].full


def test_what_mtx_says_is_told(library: Changer) -> None:
    """In its own words, with the device."""
    with pytest.raises(LocationUnreachable, match=r"refuses(?s:.*)/dev/sg9(?s:.*)No such file"):
        inventory("/dev/sg9")


def test_what_is_no_inventory_is_refused(library: Changer) -> None:
    """A command that tells of no slot is no changer's."""
    (library.bin / "mtx").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(ConfigurationError, match="no slot and no drive"):
        inventory(library.device)


def test_a_changer_that_never_answers_is_given_up(library: Changer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may answer later."""
    monkeypatch.setattr(changer, "PATIENCE_S", 0.2)
    (library.bin / "mtx").write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(LocationUnreachable, match="does not answer"):
        inventory(library.device)


def test_a_machine_without_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(changer, "SBIN", str(tmp_path))
    with pytest.raises(ConfigurationError, match="apt-get install mtx"):
        inventory("/dev/sg3")
