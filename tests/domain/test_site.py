"""The site file: locations, roles, and what would make a count of copies untrue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coldchain.errors import ConfigurationError
from coldchain.site import Site

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"

Change = Callable[[dict[str, Any]], Any]


def changed(folder: Path, change: Change) -> Path:
    """The demo's site with one change, as a file."""
    said = yaml.safe_load((SITES / "site.yaml").read_text())
    change(said)
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return path


def complaint(folder: Path, change: Change) -> str:
    """What reading the changed site complains of."""
    with pytest.raises(ConfigurationError) as caught:
        Site.load(changed(folder, change))
    return str(caught.value)


def place(said: dict[str, Any], name: str) -> dict[str, Any]:
    """One location of a site file."""
    return next(each for each in said["locations"] if each["name"] == name)


def test_the_demo_site_is_read(tmp_path: Path) -> None:
    """Paths are relative to the site file, wherever the program runs."""
    site = Site.load(changed(tmp_path, lambda _said: None))
    assert site.path("nas") == tmp_path / "nas"
    assert site.catalogue_url() == f"sqlite:///{tmp_path}/catalogue.db"
    assert site.location("scratch").transient
    assert set(site.by_name) == {"nas", "scratch", "cold", "backup"}


def test_the_demo_policy_is_read() -> None:
    """The policy that ships fits."""
    assert Site.load(SITES / "site.yaml").load_policy().name == "demo"


def test_a_server_catalogue_keeps_its_url(tmp_path: Path) -> None:
    """A URL that is no SQLite file stays as it is."""
    site = Site.load(changed(tmp_path, lambda said: said.update(catalogue="postgresql+psycopg://host/db")))
    assert site.catalogue_url() == "postgresql+psycopg://host/db"


WRONG: dict[str, tuple[Change, str]] = {
    "two of one name": (lambda said: place(said, "cold").update(name="nas"), "two locations have one name"),
    "unknown role": (lambda said: said["roles"].update(cold="attic"), "roles name unknown locations: attic"),
    "missing role": (lambda said: said["roles"].pop("cold"), "roles.cold"),
    "lasting scratch": (lambda said: place(said, "scratch").pop("purge_age_days"), "no purge_age_days"),
    "purged NAS": (lambda said: place(said, "nas").update(purge_age_days=30), "removes files by itself"),
    "purged archive": (lambda said: said["roles"].update(cold="scratch"), "removes files by itself"),
    "home is nowhere": (lambda said: said.update(home="campuss"), "no location stands at home"),
    "one folder twice": (lambda said: place(said, "cold").update(root="nas"), "one inside the other"),
    "a folder in another": (lambda said: place(said, "cold").update(root="nas/projects/cold"), "one inside the other"),
    "a folder in another, hidden": (lambda said: place(said, "cold").update(root="backup/../nas/cold"), "one inside the other"),
    "unknown medium": (lambda said: place(said, "nas").update(medium="paper"), "locations.0.medium"),
    "unknown field": (lambda said: place(said, "nas").update(colour="blue"), "locations.0.colour"),
    "a hostile name": (lambda said: place(said, "nas").update(name="../nas"), "locations.0.name"),
    "a name with a newline": (lambda said: place(said, "nas").update(name="nas\n"), "locations.0.name"),
    "one location": (lambda said: said.update(locations=said["locations"][:1]), "locations"),
    "no purge age": (lambda said: place(said, "scratch").update(purge_age_days=0), "locations.1.purge_age_days"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_site_is_refused(tmp_path: Path, name: str) -> None:
    """What would leave data unprotected, or copies counted that are none, is refused with its name."""
    change, says = WRONG[name]
    said = complaint(tmp_path, change)
    assert says in said
    assert f"{tmp_path / 'site.yaml'}:" in said


def test_a_line_is_named(tmp_path: Path) -> None:
    """A complaint names the line of the file."""
    path = changed(tmp_path, lambda said: place(said, "cold").update(medium="paper"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "medium: paper" in text)
    with pytest.raises(ConfigurationError, match=f"site.yaml:{line}: locations.2.medium"):
        Site.load(path)
