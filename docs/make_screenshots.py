"""Make the screenshots of the documents from a finished demo that `coldchain ui` serves.

Run: ``python docs/make_screenshots.py http://127.0.0.1:4200``, after ``make demo``, while ``make ui`` runs, and when the form of
`reprocess` was sent once, for PLATE-SYNTH of PRJ-0001 with the model nuclei-unet, and no dry run. Needs Chromium and its driver.
"""

# ruff: noqa: INP001 - a script of its own, never imported
from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

IMAGES = Path(__file__).resolve().parent / "images"
MOST_BYTES = 200_000
COLOURS = (256, 128, 64, 32, 16)
PATIENCE_S = 60
SETTLE_S = 3  # pictures and tables are drawn after the page's text
KEYS = {
    "masks": "masks",
    "quality": "quality",
    "plate": "plate-nuclei-per-field",
    "alike": "wells-alike",
    "copies": "copies",
    "gate": "gate",
    "comparison": "comparison",
    "comparison-fields": "comparison-fields",
}
HEIGHTS = {
    "masks": 770,
    "quality": 560,
    "plate": 720,
    "alike": 720,
    "copies": 700,
    "gate": 580,
    "comparison": 700,
    "comparison-fields": 450,
}
FORMS = {"segment": "Channel", "reprocess": "Dry run", "choose": "Level of the data", "accept": "Reason"}
"""Deployments whose forms are shown, and words that show that the form has come."""
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
]  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One screenshot: its file, the page, the words that show that the page has come, and the height that is kept, in px."""

    name: str
    page: str
    words: str
    height: int


def main() -> None:
    """Take every screenshot, from the address that `coldchain ui` printed and from the demo's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:4200")
    parser.add_argument("--folder", type=Path, default=Path("demo-site"), help="folder of the demo's site")
    chosen = parser.parse_args()
    address, report = chosen.address.rstrip("/"), chosen.folder.resolve() / "reports" / "latest.html"
    with browser() as page:
        for shot in [*shots(address), Shot("sweep-report", report.as_uri(), "policy", 900)]:
            size = take(page, address, shot)
            print(f"{shot.name}.png: {size / 1000:.0f} kB")  # noqa: T201 - a script tells what it wrote


def shots(address: str) -> list[Shot]:
    """Find the pages: the newest artifact of each key, a flow run's artifacts, all artifacts, and the forms of some deployments."""
    found = {name: newest(address, f"prj-0001-plate-synth-{key}") for name, key in KEYS.items()}
    pages = [Shot(name, f"/artifacts/artifact/{artifact['id']}", "Flow Run", HEIGHTS[name]) for name, artifact in found.items()]
    sweep = newest(address, "sweep")
    return [
        *pages,
        Shot("sweep-artifact", f"/artifacts/artifact/{sweep['id']}", "Flow Run", 700),
        Shot("run", f"/runs/flow-run/{found['masks']['flow_run_id']}?tab=Artifacts", "plate-synth-masks", 857),
        Shot("artifacts", "/artifacts", "plate-synth", 700),
        *(Shot(f"{name}-form", f"/deployments/deployment/{deployment(address, name)}/run", words, 857) for name, words in FORMS.items()),
    ]


def newest(address: str, key: str) -> dict[str, Any]:
    """Return the newest artifact with a key."""
    found = ask(address, "/artifacts/filter", {"limit": 1, "sort": "CREATED_DESC", "artifacts": {"key": {"any_": [key]}}})
    if not found:
        raise SystemExit(f"{address} has no artifact {key}: run `make demo` first")
    return found[0]


def deployment(address: str, name: str) -> str:
    """Return the id of a deployment."""
    (found,) = ask(address, "/deployments/filter", {"limit": 1, "deployments": {"name": {"any_": [name]}}})
    return str(found["id"])


def ask(address: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask the Prefect server."""
    request = urllib.request.Request(f"{address}/api{path}", json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310 - the user's own server
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the user's own server
        found: list[dict[str, Any]] = json.load(answer)
        return found


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Start Chromium with an empty profile; it ends with the block."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise SystemExit("no Chromium with its driver on this machine: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield chrome
        finally:
            chrome.quit()


def take(page: webdriver.Chrome, address: str, shot: Shot) -> int:
    """Open a page, wait until it is drawn, and write its upper part; returns the bytes of the file."""
    page.get(shot.page if "://" in shot.page else f"{address}/v2{shot.page}")
    WebDriverWait(page, PATIENCE_S).until(lambda shown: shot.words in shown.find_element(By.TAG_NAME, "body").text)
    time.sleep(SETTLE_S)
    picture = Image.open(BytesIO(page.get_screenshot_as_png())).convert("RGB")
    content = small(picture.crop((0, 0, picture.width, min(shot.height, picture.height))))
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{shot.name}.png").write_bytes(content)
    return len(content)


def small(picture: Image.Image) -> bytes:
    """Return a PNG with as many colours as fit into the size that is allowed."""
    content = b""
    for colours in COLOURS:
        file = BytesIO()
        picture.quantize(colours).save(file, "PNG", optimize=True)
        content = file.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return content


if __name__ == "__main__":
    main()
