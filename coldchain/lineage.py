"""The whole chain of an artifact: what it was made of, and how, up to raw; and what of it may be told to others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldchain.errors import NotInCatalogue

if TYPE_CHECKING:
    from coldchain.catalogue import Catalogue
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity

Link = tuple["Artifact", "Activity"]
"""An artifact, and the activity that made it."""

_SECRET = re.compile(r"(?i)pass(word|wd|phrase)?$|secret|token|credential|api_?key|private_?key|access_?key")
_PATH = re.compile(r"(?:/|~/|[A-Za-z]:[\\/]|\\\\|file:/)[^\n]*")
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def lineage(catalogue: Catalogue, artifact: Artifact) -> list[Link]:
    """An artifact and everything it was made of, step by step, each once; what the catalogue does not know any more is left out."""
    found: dict[str, Link] = {artifact.id: (artifact, catalogue.activity(artifact.activity))}
    waiting = [artifact.id]
    while waiting:
        for name in found[waiting.pop(0)][1].inputs:
            if name not in found and (known := _known(catalogue, name)) is not None:
                found[name] = (known, catalogue.activity(known.activity))
                waiting.append(name)
    return list(found.values())


def _known(catalogue: Catalogue, name: str) -> Artifact | None:
    try:
        return catalogue.artifact(name)
    except NotInCatalogue:
        return None


def told(value: Any) -> Any:
    """A value without what is nobody else's business: secrets are left out, and of paths of this machine only the last name is told."""
    if isinstance(value, Mapping):
        return {str(key): told(each) for key, each in value.items() if not _SECRET.search(str(key))}
    if isinstance(value, str):
        return _told_text(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [told(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else _told_text(str(value))


def _told_text(text: str) -> str:
    if _PATH.fullmatch(text):
        return re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return _USERINFO.sub("", text)


def plain_name(text: str) -> str:
    """A name as part of an identifier: letters, digits, - . and _."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "-" for letter in text) or "unknown"


def gpus(activity: Activity) -> list[str]:
    """Names of the graphics cards that an activity ran on, as its hardware says."""
    return _gathered(activity.hardware, "gpus")


def nodes(activity: Activity) -> list[str]:
    """Names of the nodes that an activity ran on; the host where there were no workers."""
    return _gathered(activity.hardware, "node") or _gathered(activity.hardware, "host")


def _gathered(value: Any, name: str) -> list[str]:
    """What stands under a name anywhere in a description of hardware, each once."""
    found: dict[str, None] = {}
    if isinstance(value, Mapping):
        for key, each in value.items():
            inside = each if isinstance(each, list | tuple) else [each]
            here = [str(one) for one in inside if isinstance(one, str) and one] if key in {name, f"{name}s"} else []
            found |= dict.fromkeys([*here, *_gathered(each, name)])
    elif isinstance(value, list | tuple):
        found |= dict.fromkeys(one for each in value for one in _gathered(each, name))
    return list(found)
