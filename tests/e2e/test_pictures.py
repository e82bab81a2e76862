"""What a person who opens the Prefect UI after the demo sees, in a real browser."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.server import free_port
from deployments.ui import Served, serving

pytestmark = [pytest.mark.long, pytest.mark.server, pytest.mark.browser, pytest.mark.timeout(900)]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
]  # fmt: skip


@pytest.fixture(scope="module")
def served(finished: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the finished demo's site with its own Prefect database, as `make ui` does."""
    home = tmp_path_factory.mktemp("ui") / "prefect"
    shutil.copytree(finished[0] / "prefect", home)
    with serving(finished[0] / "site.yaml", home=home, port=free_port()) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Chromium, where it is installed."""
    from selenium import webdriver

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def ask(served: Served, path: str, body: dict[str, Any]) -> Any:
    """Ask the Prefect server."""
    request = urllib.request.Request(served.server.url_api + path, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
        return json.load(answer)


@pytest.fixture
def opened(served: Served, browser: Any) -> Callable[[str], Any]:
    """Open the newest artifact with a key, as a click on it does, and give back the page's main part."""

    def open_artifact(key: str) -> Any:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        wanted = {"limit": 1, "sort": "CREATED_DESC", "artifacts": {"key": {"any_": [key]}}}
        (artifact,) = ask(served, "/artifacts/filter", wanted)
        browser.get(f"{served.server.url_ui}/artifacts/artifact/{artifact['id']}")
        WebDriverWait(browser, 60).until(lambda page: "Flow Run" in page.find_element(By.TAG_NAME, "body").text)
        return browser.find_element(By.TAG_NAME, "body")

    return open_artifact


@pytest.mark.parametrize("key", ["prj-0001-plate-real-masks", "prj-0001-plate-synth-masks", "prj-0001-plate-synth-plate-nuclei-per-field"])
def test_pictures_are_seen(opened: Callable[[str], Any], browser: Any, key: str) -> None:
    """Outlines of the nuclei and the plate's heat map are drawn in the page, at a size at which one sees something."""
    from selenium.webdriver.support.ui import WebDriverWait

    opened(key)
    widest = "return Math.max(0, ...[...document.querySelectorAll('img')].map(i => i.naturalWidth))"
    assert WebDriverWait(browser, 30).until(lambda page: page.execute_script(widest)) >= 300


def test_the_quality_table_names_the_flagged_fields_first(opened: Callable[[str], Any]) -> None:
    """The field that is out of focus and the one that is saturated stand above the others, each with its rule."""
    text = opened("prj-0001-plate-synth-quality").text
    assert text.index("B02") < text.index("C04") < text.index("A01")
    assert "focus" in text
    assert "saturation" in text


def test_the_table_of_copies_is_seen(opened: Callable[[str], Any]) -> None:
    """Each level with what counts of it."""
    text = opened("prj-0001-plate-synth-copies").text
    assert "3-2-1" in text
    assert "single_cell_profiles" in text


def test_every_flow_has_a_form(served: Served) -> None:
    """All deployments are there, each with a form of named, described fields."""
    deployments = ask(served, "/deployments/filter", {})
    names = {deployment["name"] for deployment in deployments}
    assert {"ingest", "stage", "correct", "segment", "profile", "promote", "archive", "preserve", "sweep", "lifecycle"} <= names
    for deployment in deployments:
        (form,) = (name for name in deployment["parameter_openapi_schema"]["definitions"] if name.endswith("Form"))
        for field in deployment["parameter_openapi_schema"]["definitions"][form]["properties"].values():
            assert field["title"]
            assert field["description"]


def test_a_form_is_seen(served: Served, browser: Any) -> None:
    """The form of `segment` shows its fields, their help and their defaults."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    (segment,) = [deployment for deployment in ask(served, "/deployments/filter", {}) if deployment["name"] == "segment"]
    browser.get(f"{served.server.url_ui}/deployments/deployment/{segment['id']}/run")
    WebDriverWait(browser, 60).until(lambda page: "Model" in page.find_element(By.TAG_NAME, "body").text)
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "The dataset's name, as in its dataset.yaml" in text
    assert "nuclei-small" in text
