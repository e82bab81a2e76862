"""The storage table: complete, each row with its source, and its limits hold before a byte moves."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from coldchain import solutions, transfer
from coldchain.copies import Artifact
from coldchain.errors import SizeRefused
from coldchain.site import Site
from coldchain.solutions import Solution, built_in
from coldchain.workspace import Workspace

ASKED = {
    "internal_drive", "external_drive", "idr", "aws_s3", "google_cloud", "azure", "figshare", "figshare_plus", "zenodo", "github",
    "git_lfs", "dvc", "onedrive", "dropbox", "google_drive", "local_cluster", "immediate_deletion",
}  # fmt: skip


def test_every_place_that_labs_use_has_a_row() -> None:
    """With its source, and the day on which it was looked up."""
    assert built_in().keys() >= ASKED
    for row in built_in().values():
        assert "/" in row.source
        assert dt.date(2026, 1, 1) <= row.looked_up <= dt.date.today()  # noqa: DTZ011 - a day, not a moment


def limited(ws: Workspace, **limits: Any) -> Workspace:
    """The same site, whose backup is a place with limits."""
    row = built_in()["zenodo"].model_dump() | {"file_bytes": None, "deposit_bytes": None, "deposit_files": None} | limits
    said = ws.site.model_dump()
    said["solutions"] = {"small": row}
    said["locations"] = [each | ({"solution": "small"} if each["name"] == "backup" else {}) for each in said["locations"]]
    return dataclasses.replace(ws, site=Site.model_validate(said))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (lambda artifact: {"deposit_bytes": artifact.bytes - 1}, "bytes"),
        (lambda artifact: {"deposit_files": artifact.files - 1}, "files"),
        (lambda _artifact: {"file_bytes": 1}, "files of at most"),
    ],
    ids=["too much", "too many", "too large a file"],
)
def test_what_a_place_does_not_take_is_refused_before_a_byte_moves(ws: Workspace, ingested: Artifact, limits: Any, said: str) -> None:
    """The limit, what was asked, and what to do are named; nothing stands there."""
    small = limited(ws, **limits(ingested))
    with pytest.raises(SizeRefused, match=f"(?s){said}.*solutions"):
        transfer.deliver(small, ingested, "backup")
    assert ws.stores["backup"].children("") == [".coldchain"]
    assert ws.stores["backup"].children(".coldchain/staging") == []


def test_what_just_fits_is_taken(ws: Workspace, ingested: Artifact) -> None:
    """A limit is what is allowed, and not the first that is not."""
    just = limited(ws, deposit_bytes=ingested.bytes, deposit_files=ingested.files, file_bytes=ingested.bytes)
    assert transfer.deliver(just, ingested, "backup").state == "verified"


def test_a_file_that_is_too_large_is_named() -> None:
    """One of many, with both sizes."""
    row = Solution.model_validate(built_in()["github"].model_dump())
    solutions.refuse_large_file(row, "a", "b", {"small": 104_857_600})
    with pytest.raises(SizeRefused, match=r"'large' of 104,857,601 bytes"):
        solutions.refuse_large_file(row, "a", "b", {"small": 1, "large": 104_857_601})


def test_what_is_not_kept_goes_nowhere() -> None:
    """A location of the row for what is deleted at once takes nothing."""
    with pytest.raises(SizeRefused):
        solutions.refuse_too_large(built_in()["immediate_deletion"], "a", "b", bytes_=1, files=1)
