"""YAML files into models, with file, line and field in every complaint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from coldchain import complaints
from coldchain.complaints import Complaint, Place
from coldchain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 20

_PLAIN_NUMBER = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9_]*)"),
    "tag:yaml.org,2002:float": re.compile(r"[^:]*"),
}
"""How numbers are written. YAML 1.1 would read 010 as 8, 0x10 as 16 and 1:30 as 90."""


def load(path: Path, model: type[Model], check: Callable[[Model], Iterable[Complaint]] = lambda _: ()) -> Model:
    """Read a YAML file as a model that nothing in `check` complains of.

    Raises:
        ConfigurationError: the file is missing, too large, not YAML, repeats a key, does not fit the model, or has complaints.
    """
    lines: dict[Place, int] = {}
    data = _plain(_compose(path), (), lines, path)
    try:
        read = model.model_validate(data)
        complaints.refuse(path.name, check(read))
    except ValidationError as error:
        said = "\n".join(f"  {path}:{_line(each.place, lines)}: {each}" for each in complaints.of(error))
        hint = "docs/engineers.md and docs/retention.md explain each field"
        raise ConfigurationError(f"{path.name} does not fit\n{said}", on=path, hint=hint) from error
    return read


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """The field's line, or that of what it would stand in."""
    return next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 1)


def _where(path: Path, place: Place, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}: {Complaint(place, '').field}"


def _text(path: Path) -> str:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigurationError("a configuration file is not a file", on=path)
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError("a configuration file is too large", on=path, expected=f"at most {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("a configuration file cannot be read", on=path, got=error) from error


def _compose(path: Path) -> yaml.Node:
    import yaml

    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigurationError("a configuration file is not YAML", on=f"{path}:{_line_of(error, text)}", got=error) from error
    except RecursionError as error:
        raise ConfigurationError("a configuration file is nested too deeply", on=path) from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError("a configuration file holds no fields", on=path, expected="lines of `field: value`")
    return node


def _line_of(error: yaml.YAMLError, text: str) -> int:
    """The line at which PyYAML gave up: it marks a line, or counts characters where one is not allowed in YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return int(mark.line) + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int], path: Path, depth: int = 0) -> Any:
    """Turn a node into plain values, noting the line of each field."""
    import yaml

    lines[place] = node.start_mark.line + 1
    if len(lines) > MAX_VALUES:
        raise ConfigurationError("a configuration file holds too many values", on=path, expected=f"at most {MAX_VALUES}")
    if depth > MAX_DEPTH:
        raise ConfigurationError("a configuration file is nested too deeply, or refers to itself", on=f"{path}:{lines[place]}")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines, path, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, i), lines, path, depth + 1) for i, item in enumerate(node.value)]
    return _scalar(node, _where(path, place, node))


def _scalar(node: yaml.Node, where: str) -> Any:
    import yaml

    if (plain := _PLAIN_NUMBER.get(node.tag)) and not plain.fullmatch(node.value):
        raise ConfigurationError("a number is not written plainly", on=where, expected="a decimal number", got=node.value[:80])
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # what PyYAML lets out of a wrong `!!tag value`
        raise ConfigurationError("a value cannot be read", on=where, got=error) from error


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int], path: Path, depth: int) -> dict[Any, Any]:
    found: dict[str | int, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node, _where(path, place, key_node))
        if not isinstance(key, str | int):
            raise ConfigurationError("a field's name is not a word", on=_where(path, place, key_node), got=repr(key)[:80])
        if key in found:
            raise ConfigurationError("a field stands twice", on=_where(path, (*place, key), key_node), got=key)
        found[key] = _plain(value_node, (*place, key), lines, path, depth + 1)
    return found
