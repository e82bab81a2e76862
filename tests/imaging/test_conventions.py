"""Naming conventions: the built-in ones, and a site's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldchain.errors import ConfigurationError, InputError, LayoutError
from coldchain.imaging.conventions import BUILT_IN, Convention, find_convention
from coldchain.imaging.naming import ImageKey, parse_name, read_layout
from coldchain.site import Site

OWN = r"(?P<row>\d\d)-(?P<column>\d\d)-(?P<field>\d+)_(?P<channel>\d+)\.tif"
DEMO = Path(__file__).parents[2] / "deployments" / "sites" / "site.yaml"


def of(expression: str = OWN, example: str = "03-12-1_2.tif", **more: str) -> Convention:
    """A site's own convention."""
    return Convention(expression=expression, example=example, **more)


@pytest.mark.parametrize(
    ("expression", "example", "said"),
    [
        ("(", "a", "not a regular expression"),
        (r"(?P<well>A01)_(?P<channel>\d)(?P<colour>x?)", "A01_1", "colour"),
        (r"(?P<well>A01)", "A01", "group `channel`"),
        (r"(?P<channel>\d)", "1", "either `well`"),
        (r"(?P<channel>\d)(?P<row>\d)", "11", "either `well`"),
        (r"(?P<channel>\d)(?P<well>A\d)(?P<row>\d)(?P<column>\d)", "1A123", "either `well`"),
        (OWN, "A01.tif", "not of its own convention"),
    ],
)
def test_an_unsound_convention_is_refused_when_it_is_read(expression: str, example: str, said: str) -> None:
    """An expression that is none, says too little or too much, or not even its own example, is refused in words."""
    with pytest.raises(ValueError, match=said):
        of(expression, example)


def test_previews_that_swallow_the_images_are_refused() -> None:
    """An expression for previews that takes the example too would leave a plate without images."""
    with pytest.raises(ValueError, match="taken for a preview"):
        of(previews=".*")
    with pytest.raises(ValueError, match="not a regular expression"):
        of(previews="[")


def test_a_sites_own_convention_reads_a_folder(tmp_path: Path) -> None:
    """Rows and columns by number, in a way that no vendor names them; previews of the site's are no images."""
    for name in ("03-12-1_2.tif", "03-12-1_1.tif", "small_1.tif"):
        (tmp_path / name).touch()
    layout = read_layout(tmp_path, of(previews=r"small.*"), {1: "DNA", 2: "Actin"})
    assert (layout.wells, layout.channels, layout.others) == (("C12",), ("DNA", "Actin"), ("small_1.tif",))


def test_a_group_that_is_no_number_names_the_file() -> None:
    """An expression that finds words where numbers are expected is an error of the file's name, which says where to look."""
    loose = of(r"(?P<well>\w+)_(?P<channel>\w+)\.tif", "A01_1.tif")
    assert parse_name("A01_1.tif", loose) == ImageKey("A01", 1, 1)
    with pytest.raises(LayoutError, match=r"(?s)A01_dapi\.tif.*site\.yaml"):
        parse_name("A01_dapi.tif", loose)
    optional = of(r"(?P<well>\w\d\d)(_(?P<channel>\d))?\.tif", "A01_1.tif")
    with pytest.raises(LayoutError, match=r"A01\.tif"):
        parse_name("A01.tif", optional)


def test_find_knows_both() -> None:
    """The site's own are found beside the built-in ones; an unknown name lists both, and where to add one."""
    own = {"ours": of()}
    assert find_convention("ours", own) is own["ours"]
    assert find_convention("roche", own) is BUILT_IN["roche"]
    with pytest.raises(InputError, match=r"(?s)operetta.*ours.*conventions"):
        find_convention("theirs", own)


def site(tmp_path: Path, conventions: str) -> Path:
    """The demo's site with conventions of its own."""
    path = tmp_path / "site.yaml"
    path.write_text(f"{DEMO.read_text()}\nconventions:\n{conventions}", "utf-8")
    return path


def test_a_site_brings_its_own(tmp_path: Path) -> None:
    """A convention in site.yaml is read with the site."""
    loaded = Site.load(site(tmp_path, f"  ours: {{expression: '{OWN}', example: 03-12-1_2.tif}}\n"))
    assert find_convention("ours", loaded.conventions).matched("03-12-1_2.tif")


@pytest.mark.parametrize("name", ["roche", "files", "opaque"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    """A site cannot give another meaning to a name that datasets use already."""
    with pytest.raises(ConfigurationError, match=f"conventions named {name}"):
        Site.load(site(tmp_path, f"  {name}: {{expression: '{OWN}', example: 03-12-1_2.tif}}\n"))


def test_a_wrong_convention_is_named_with_its_line(tmp_path: Path) -> None:
    """A slip in an expression shows when the site is loaded, with file, line and field."""
    with pytest.raises(ConfigurationError, match=r"site\.yaml:\d+.*conventions\.ours"):
        Site.load(site(tmp_path, "  ours: {expression: '(', example: a.tif}\n"))
