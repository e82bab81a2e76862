"""Whatever is handed in as a name, a description, a policy, a site or a manifest: it is read, or refused by an error of ours."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import deployments
from coldchain import yamlfile
from coldchain.dataset import Dataset
from coldchain.errors import ColdchainError, ConfigurationError, IntegrityError, LayoutError, UnsafePathError
from coldchain.imaging.conventions import BUILT_IN, find_convention
from coldchain.imaging.naming import COLUMNS, ROWS, normalise_well, parse_name
from coldchain.imaging.sources.opening import ending
from coldchain.manifest import Manifest, safe_name
from coldchain.policy import Policy
from coldchain.site import Site

EXAMPLES = int(os.environ.get("COLDCHAIN_FUZZ", "200"))
fuzzing = settings(max_examples=EXAMPLES, deadline=None)
SITES = Path(deployments.__file__).with_name("sites")
DATASET = b"""project: PRJ-0001
name: PLATE-A
pattern: operetta
channels: {1: DNA, 2: Marker}
pixel_size_um: 0.65
plate_map:
  A01: {treatment: DMSO, dose: 0.0}
acquired_at: 2026-11-20T09:30:00+01:00
"""


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of a good file with a few parts cut out, doubled, moved or replaced."""
    text = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        part = bytes(text[start:end])
        text[start:end] = draw(
            st.sampled_from([b"", part * 2, b"\n", b"\x00", b": ", b"- ", b"&a ", b"*a", b"1e999", b"!!python/name:os"])
            | st.binary(max_size=6)
        )
    return bytes(text)


@fuzzing
@given(st.sampled_from(sorted(BUILT_IN)), st.text(max_size=80))
@example("operetta", "r01c02f03p01-ch1sk1fk1fl1.tiff\n")
@example("roche", "A_A\u0660\u0661f00d2.TIF")
def test_any_name_is_a_key_or_no_name_of_the_convention(pattern: str, name: str) -> None:
    """What is read is a well of a plate, and whole numbers."""
    _is_a_key_or_refused(pattern, name)


@fuzzing
@given(st.data(), st.sampled_from(sorted(BUILT_IN)))
def test_a_name_that_is_nearly_right_is_a_key_or_refused(data: st.DataObject, pattern: str) -> None:
    """From the convention's own example, with some characters changed."""
    _is_a_key_or_refused(pattern, data.draw(mutated(BUILT_IN[pattern].example.encode())).decode(errors="replace"))


def _is_a_key_or_refused(pattern: str, name: str) -> None:
    try:
        key = parse_name(name, find_convention(pattern))
    except LayoutError:
        return
    assert normalise_well(key.well) == key.well
    assert all(isinstance(part, int) and part >= 0 for part in key[1:])
    assert ROWS * COLUMNS == 1536


@fuzzing
@given(st.text(max_size=40))
def test_any_name_has_an_ending_or_none(name: str) -> None:
    """Never an error."""
    assert ending(name) == "" or name.lower().endswith(ending(name))


KINDS: dict[str, tuple[type[BaseModel], bytes]] = {
    "dataset": (Dataset, DATASET),
    "policy": (Policy, (SITES / "lab-policy.yaml").read_bytes()),
    "site": (Site, (SITES / "site.yaml").read_bytes()),
}


def _loaded(model: type[BaseModel], content: bytes) -> BaseModel | ConfigurationError:
    """A model from a file, or the error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "described.yaml"
        path.write_bytes(content)
        try:
            return yamlfile.load(path, model)
        except ConfigurationError as error:
            found = error
    assert "described.yaml" in str(found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_file_is_read(kind: str) -> None:
    """What is changed below is good as it is."""
    assert isinstance(_loaded(*KINDS[kind]), KINDS[kind][0])


@fuzzing
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200))
@example("dataset", b"a: &a [*a]")
@example("policy", b"? {a: b}\n: c")
@example("site", b"- " * 5000)
def test_any_bytes_are_a_description_or_refused(kind: str, content: bytes) -> None:
    """By an error that names the file."""
    _loaded(KINDS[kind][0], content)


@fuzzing
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_a_description_that_is_nearly_right_is_read_or_refused(data: st.DataObject, kind: str) -> None:
    """From a good one, with some parts changed."""
    model, whole = KINDS[kind]
    _loaded(model, data.draw(mutated(whole)))


GOOD = Manifest.of([("a.tif", "0" * 64), ("deep/new\nline", "1" * 64), ("back\\slash", "2" * 64)]).text


def _parsed(content: bytes) -> Manifest | None:
    try:
        return Manifest.parse(content, "a manifest")
    except (IntegrityError, UnsafePathError):
        return None


@fuzzing
@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_refused(content: bytes) -> None:
    """What is read is the same when it is written and read again, and each of its names stays in its folder."""
    _is_whole(content)


@fuzzing
@given(mutated(GOOD))
@example(b"0" * 64 + b"  ../../etc/passwd\n")
@example(b"0" * 64 + b"  /etc/passwd\n")
@example(b"\\" + b"0" * 64 + b"  a\\x\n")
def test_a_manifest_that_is_nearly_right_is_read_or_refused(content: bytes) -> None:
    """From a good one, with some parts changed."""
    _is_whole(content)


def _is_whole(content: bytes) -> None:
    found = _parsed(content)
    if found is not None:
        assert Manifest.parse(found.text) == found
        assert [safe_name(name) for name in found.entries] == list(found.entries)


@fuzzing
@given(st.text(max_size=60))
def test_any_name_of_a_file_is_safe_or_refused(name: str) -> None:
    """A safe one stays below its folder."""
    check: Callable[[str], str] = safe_name
    try:
        safe = check(name)
    except ColdchainError:
        return
    assert ".." not in safe.split("/")
    assert not safe.startswith("/")
