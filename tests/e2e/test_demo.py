"""The main job, as a person meets it: one command, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import tifffile

from coldchain.imaging import partitions
from coldchain.levels import Level
from coldchain.making import local_folder
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

DATASETS = ("PRJ-0001/PLATE-REAL", "PRJ-0001/PLATE-SYNTH")
Finished = tuple[Path, str]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each file below a folder: what changes when something is written again."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def ask(coldchain: list[str], folder: Path, *words: str) -> Any:
    """Run a command of `coldchain` on the demo's site and read its JSON."""
    done = subprocess.run([*coldchain, *words, "--site", str(folder / "site.yaml"), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_demo_ends_with_a_summary_that_a_person_can_read(finished: Finished) -> None:
    """Both plates, what protects each level, and what was purged are told at the end."""
    _, said = finished
    assert "14 copies were purged from scratch" in said
    assert said.count("3-2-1") >= 4, "raw and release of both plates stand on 3 copies, 2 media, 1 off site"
    assert all(dataset in said for dataset in DATASETS)
    assert "Traceback" not in said


def test_a_second_run_does_nothing_and_says_so(finished: Finished, coldchain: list[str]) -> None:
    """No file of the NAS, the archive or the acquisition is written again."""
    folder, _ = finished
    before = {name: tree(folder / name) for name in ("nas", "cold", "backup", "scratch", "acquisition")}
    done = subprocess.run([*coldchain, "demo", "--folder", str(folder)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0
    assert "Nothing was to do" in done.stdout
    assert {name: tree(folder / name) for name in before} == before


def test_the_demo_leaves_nothing_running(finished: Finished) -> None:
    """No process speaks of the demo's folder any more."""
    folder, _ = finished
    left = [process.info for process in psutil.process_iter(["pid", "cmdline", "cwd"]) if str(folder) in str(process.info)]
    assert left == []


@pytest.mark.parametrize("name", ["PLATE-REAL", "PLATE-SYNTH"])
def test_raw_data_is_as_the_instrument_wrote_it_and_cannot_be_written(finished: Finished, name: str) -> None:
    """`sha256sum -c` passes on the NAS, every byte equals the acquisition's, and writing there fails."""
    folder, _ = finished
    raw, acquired = folder / "nas/projects/PRJ-0001/raw" / name, folder / "acquisition" / name
    assert subprocess.run(["sha256sum", "--quiet", "-c", "MANIFEST.sha256"], cwd=raw, check=False).returncode == 0
    assert {path.name: path.read_bytes() for path in acquired.iterdir()} == {
        path.name: path.read_bytes() for path in raw.iterdir() if path.name != "MANIFEST.sha256"
    }
    refused = subprocess.run(
        ["sh", "-c", "echo x >> dataset.yaml || touch new || rm dataset.yaml"], cwd=raw, capture_output=True, check=False
    )
    assert refused.returncode != 0
    assert not (raw / "new").exists()


def test_status_counts_three_copies_two_media_one_off_site(finished: Finished, coldchain: list[str]) -> None:
    """What cannot be made again stands as 3-2-1; everything else stands, or can be made again from what stands."""
    rows = ask(coldchain, finished[0], "status")["artifacts"]
    assert {row["counted"] for row in rows if row["level"] in {"raw", "release"}} == {"3-2-1"}
    assert {row["protected"] for row in rows} == {"yes", "remake"}
    assert {row["level"] for row in rows if row["protected"] == "remake"} == {"corrected", "single_cell_images"}
    assert not any("scratch" in row["copies"] for row in rows)


def test_each_level_was_made_once(finished: Finished, coldchain: list[str]) -> None:
    """Eight levels for each of the two datasets, one artifact each."""
    rows = ask(coldchain, finished[0], "status")["artifacts"]
    assert sorted((row["dataset"], row["level"]) for row in rows) == sorted(
        (dataset, str(level)) for dataset in DATASETS for level in Level
    )


def test_why_tells_how_a_file_was_made_and_what_protects_it(finished: Finished, coldchain: list[str]) -> None:
    """A chunk of the masks leads to its artifact, its activity with the model's digest, and the decision about it."""
    folder, _ = finished
    chunk = next((folder / "nas/projects/PRJ-0001/results/PLATE-REAL/masks").rglob("zarr.json"))
    answer = ask(coldchain, folder, "why", str(chunk))
    assert answer["activity"]["name"] == "segment"
    assert len(answer["activity"]["model"]["digest"]) == 64
    assert answer["artifact"]["level"] == "masks"
    assert answer["decision"]["action"] == "verify"


def test_verify_and_doctor_find_the_site_in_order(finished: Finished, coldchain: list[str]) -> None:
    """Every byte of every copy matches, and each check of the doctor is fine."""
    assert all(result["ok"] for result in ask(coldchain, finished[0], "verify"))
    findings = ask(coldchain, finished[0], "doctor")
    assert [finding for finding in findings if not finding["ok"]] == []
    assert {"nas: write-protection", "scratch: space", "cluster", "Prefect server"} <= {finding["what"] for finding in findings}


def test_a_hold_is_kept_shown_and_ended(finished: Finished, coldchain: list[str]) -> None:
    """A hold needs a reason and a day; status shows it until it is ended."""
    folder, _ = finished
    held = ask(coldchain, folder, "hold", DATASETS[0], "--reason", "reviewers ask", "--until", "2099-01-01")
    assert [hold["reason"] for hold in ask(coldchain, folder, "status")["holds"]] == ["reviewers ask"]
    ask(coldchain, folder, "hold", DATASETS[0], "--end", str(held["id"]))
    assert ask(coldchain, folder, "status")["holds"] == []


def test_readme_and_provenance_stand_beside_the_results(finished: Finished) -> None:
    """Code version, model digest, hardware and parameters can be read without Coldchain."""
    results = finished[0] / "nas/projects/PRJ-0001/results/PLATE-SYNTH/masks"
    provenance = json.loads(next(results.glob("*.provenance.json")).read_text())["activity"]
    assert provenance["code_version"]
    assert len(provenance["lock_digest"]) == 64
    assert provenance["model"]["name"] == "nuclei-small"
    assert provenance["parameters"]["channel"] == "DNA"
    assert provenance["hardware"]["nodes"]
    assert "Check the files" in next(results.glob("*.README.md")).read_text()


def test_the_nuclei_are_those_that_were_synthesised(finished: Finished) -> None:
    """In fields that quality control did not flag, the number of nuclei is within a fifth of the truth, and dose lowers it."""
    folder, _ = finished
    ws = open_workspace(folder / "site.yaml")
    cells = pq.read_table(
        partitions.find(local_folder(ws, ws.current(DATASETS[1], Level.SINGLE_CELL_PROFILES)), partitions.CELLS)
    ).to_pandas()
    flagged = cells["Metadata_QC_Flagged"]
    assert set(map(tuple, cells[flagged][["Metadata_Well", "Metadata_Site"]].drop_duplicates().to_numpy())) == {("B02", 2), ("C04", 1)}
    found = cells[~flagged].groupby(["Metadata_Well", "Metadata_Site"]).size()
    truth = {
        key: len(np.unique(tifffile.imread(folder / f"acquisition/truth/PLATE-SYNTH/{key[0]}_s{key[1]}.tif"))) - 1 for key in found.index
    }
    ratio = found.sum() / sum(truth.values())
    print(f"nuclei found to nuclei synthesised: {ratio:.3f}")
    assert 0.8 < ratio < 1.2
    by_column = found.groupby(lambda key: key[0][1:]).mean()
    assert by_column["01"] > by_column["04"] * 1.3


def test_profiles_are_complete_to_the_treatment(finished: Finished) -> None:
    """Every level of profiles stands in tables by plate: all features of a cell, wells against all others, and how alike replicates are."""
    ws = open_workspace(finished[0] / "site.yaml")
    cells, bulk = (local_folder(ws, ws.current(DATASETS[1], level)) for level in (Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES))
    names = set(pq.read_schema(partitions.find(cells, partitions.CELLS)).names)
    assert {"Nuclei_Texture_Contrast_DNA_3_00_256", "Cytoplasm_Granularity_1_Marker", "Cells_Correlation_Correlation_DNA_Marker"} <= names
    replicates = pq.ParquetFile(partitions.find(bulk, partitions.REPRODUCIBILITY)).read().to_pylist()
    assert [row["Metadata_Count_Wells"] for row in replicates] == [3, 3, 3, 3]
    assert pq.read_metadata(partitions.find(bulk, partitions.TREATMENTS)).num_rows == 4


def test_plates_are_valid_ngff(finished: Finished) -> None:
    """Standard images and masks of both plates pass the NGFF 0.5 schema, labels included."""
    import yaozarrs

    ws = open_workspace(finished[0] / "site.yaml")
    for dataset in DATASETS:
        for level in (Level.STANDARD, Level.MASKS):
            yaozarrs.validate_zarr_store(str(local_folder(ws, ws.current(dataset, level)) / "plate.ome.zarr"))


def test_the_release_holds_tables_reports_and_a_readme(finished: Finished) -> None:
    """What leaves the lab is complete by itself."""
    ws: Workspace = open_workspace(finished[0] / "site.yaml")
    release = local_folder(ws, ws.current(DATASETS[1], Level.RELEASE))
    assert {"README.md", "single_cell_profiles", "bulk_profiles", "validation"} <= {path.name for path in release.iterdir()}
    assert (release / "validation/single_cell_profiles/index.html").exists()
