"""Schemas: JSON schemas of the files that an engineer writes, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from coldchain.policy import Policy
from coldchain.site import Site

if TYPE_CHECKING:
    from pydantic import BaseModel


def policy() -> str:
    """JSON schema of a policy file."""
    return _text(Policy)


def site() -> str:
    """JSON schema of a site file."""
    return _text(Site)


def _text(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
