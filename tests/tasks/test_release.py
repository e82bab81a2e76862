"""A release is put together of the very tables that its artifacts name, and says of them what was found."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from coldchain import making
from coldchain.accepting import accept
from coldchain.approvers import Person
from coldchain.errors import IntegrityError
from coldchain.imaging import partitions, tables
from coldchain.levels import Level
from coldchain.workspace import Workspace
from tasks.release import make_release
from tests.tasks.lived import DATASET, living

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A plate that has lived up to bulk profiles."""
    with living(tmp_path_factory.mktemp("lived")) as ws:
        yield ws


def test_tables_that_were_altered_since_are_not_promoted(lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are not the artifact's are neither judged under its name nor released; mended, they are."""
    monkeypatch.setenv("COLDCHAIN_SITE", str(lived.site.path("site.yaml")))
    folder = making.local_folder(lived, lived.current(DATASET, Level.BULK_PROFILES))
    table = Path(partitions.find(folder, partitions.WELLS))
    was, mode = table.read_bytes(), stat.S_IMODE(table.stat().st_mode)
    table.chmod(0o600)
    pq.write_table(tables.read(table), table, compression="gzip")
    assert table.read_bytes() != was
    with pytest.raises(IntegrityError, match=r"(?s)tables are not what was made.*nothing was promoted"):
        make_release.fn(DATASET, "1.0")
    assert lived.catalogue.artifacts(DATASET, Level.RELEASE) == []
    table.write_bytes(was)
    table.chmod(mode)
    made, _ = make_release.fn(DATASET, "1.0")
    assert made is None, "its masks are by a threshold: the gate finds tables that are no plate's"


def test_what_is_accepted_is_only_text_in_the_readme(lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted, the failures are no reason against a release; a reason makes no heading, link or element in it."""
    monkeypatch.setenv("COLDCHAIN_SITE", str(lived.site.path("site.yaml")))
    _, reports = make_release.fn(DATASET, "1.0")
    failures = [each for report in reports for each in report.failures]
    assert failures
    for each in failures:
        accept(lived, Person("ada", "a test"), DATASET, each.mark, "known\n# Validated [here](http://evil.test)<b>")
    made, _ = make_release.fn(DATASET, "1.0")
    assert made is not None
    text = (making.local_folder(lived, made.artifact) / "README.md").read_text()
    assert "known # Validated \\[here\\](http://evil.test)&lt;b&gt;" in text
    assert text.count("\n# ") == 0
