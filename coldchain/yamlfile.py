"""YAML files into models, with file, line and field in every complaint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from coldchain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import yaml

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 20


def load(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as a model.

    Raises:
        ConfigurationError: the file is missing, too large, not YAML, repeats a key, or does not fit the model.
    """
    lines: dict[Place, int] = {}
    data = _plain(_compose(path), (), lines, path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        complaints = "\n".join(_complaint(path, item, lines) for item in error.errors())
        raise ConfigurationError(f"{path.name} does not fit\n{complaints}", on=path, hint="see docs/engineers.md") from error


def _complaint(path: Path, item: Mapping[str, Any], lines: Mapping[Place, int]) -> str:
    place = tuple(item["loc"])
    line = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 1)
    name = ".".join(str(part) for part in place) or "the whole file"
    return f"  {path}:{line}: {name}: {item['msg']} (got {str(item.get('input'))[:80]!r})"


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

    try:
        node = yaml.compose(_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigurationError("a configuration file is not YAML", on=path, got=error) from error
    except RecursionError as error:
        raise ConfigurationError("a configuration file is nested too deeply", on=path) from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError("a configuration file holds no fields", on=path, expected="lines of `field: value`")
    return node


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
    return _scalar(node, f"{path}:{lines[place]}")


def _scalar(node: yaml.Node, where: str) -> Any:
    import yaml

    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # what PyYAML lets out of a wrong `!!tag value`
        raise ConfigurationError("a value cannot be read", on=where, got=error) from error


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int], path: Path, depth: int) -> dict[Any, Any]:
    found: dict[str | int, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node, f"{path}:{key_node.start_mark.line + 1}")
        if not isinstance(key, str | int):
            raise ConfigurationError("a field's name is not a word", on=f"{path}:{key_node.start_mark.line + 1}", got=repr(key)[:80])
        if key in found:
            raise ConfigurationError("a field stands twice", on=f"{path}:{key_node.start_mark.line + 1}", got=key)
        found[key] = _plain(value_node, (*place, key), lines, path, depth + 1)
    return found
