"""The JSON schemas that ship for editors: up to date, speaking of every field, and of one mind with the files beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from coldchain import schemas, yamlfile
from coldchain.errors import ConfigurationError
from coldchain.policy import Policy

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"
MADE = {"policy": schemas.policy, "site": schemas.site}
FILES = {"policy.yaml": "policy", "lab-policy.yaml": "policy", "site.yaml": "site"}


def validator(name: str) -> jsonschema.Draft202012Validator:
    """The shipped schema, ready to validate."""
    return jsonschema.Draft202012Validator(json.loads((SITES / f"{name}.schema.json").read_text()))


def undescribed(schema: dict[str, Any]) -> Iterator[str]:
    """Fields for which an editor has nothing to show: neither of their own nor of the part that they are."""
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            named = schema["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
            if len(field.get("description") or named.get("description") or "") < 5:
                yield f"{part['title']}.{name}"


@pytest.mark.parametrize("name", MADE)
def test_the_shipped_schema_is_the_models_own(name: str) -> None:
    """A stale schema is noticed. Write it anew with `coldchain schema <name> > deployments/sites/<name>.schema.json`."""
    stale = f"stale: write it anew with `coldchain schema {name} > deployments/sites/{name}.schema.json`"
    assert (SITES / f"{name}.schema.json").read_text() == MADE[name](), stale


@pytest.mark.parametrize("name", MADE)
def test_a_schema_is_one(name: str) -> None:
    """What ships is a JSON schema by the standard that it names."""
    jsonschema.Draft202012Validator.check_schema(validator(name).schema)
    assert validator(name).schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", MADE)
def test_every_field_is_described(name: str) -> None:
    """An editor has a description for each field."""
    assert list(undescribed(json.loads(MADE[name]()))) == []


@pytest.mark.parametrize("file", FILES)
def test_the_shipped_files_fit_their_schema(file: str) -> None:
    """An editor finds nothing wrong with what ships."""
    validator(FILES[file]).validate(yaml.safe_load((SITES / file).read_text()))


@pytest.mark.parametrize("file", FILES)
def test_an_editor_finds_the_schema(file: str) -> None:
    """The first line names the schema, which lies beside the file."""
    first = (SITES / file).read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={FILES[file]}.schema.json"
    assert (SITES / f"{FILES[file]}.schema.json").is_file()


def test_every_shipped_file_is_looked_at() -> None:
    """A YAML file that is added to the sites is one of those above."""
    assert {path.name for path in SITES.glob("*.yaml")} == set(FILES)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "blue"},
        {"version": True},
        {"version": 0},
        {"purge": {"after_days": "30"}},
        {"purge": {"after_days": -1}},
        {"purge": {"approval": "none"}},
        {"audit": {"locations": {"cold": "often"}}},
        {"audit": {"brake": {"share": 2}}},
        {"approvers": [""]},
        {"protected_years": 9},
        {"read_back_before_removal": "yes"},
        {"rules": []},
        {"rules": [{"levels": ["overlays"], "wanted": {}}]},
        {"rules": [{"levels": ["raw"]}]},
        {"rules": [{"levels": ["raw"], "wanted": {"copies": 0}}]},
    ],
    ids=str,
)
def test_an_editor_marks_what_loading_refuses(tmp_path: Path, change: dict[str, Any]) -> None:
    """A wrong value is marked while it is typed, and refused when it is loaded."""
    said = yaml.safe_load((SITES / "lab-policy.yaml").read_text()) | change
    assert not validator("policy").is_valid(said)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigurationError):
        yamlfile.load(tmp_path / "policy.yaml", Policy)
