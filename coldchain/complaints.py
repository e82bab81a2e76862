"""Complaints: what is wrong with a configuration, at which of its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Place = tuple[str | int, ...]
"""The way to a field: names of fields and numbers in lists, counted from 0."""

_LONGEST = 80
_KIND = "complaint"


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong at one field."""

    place: Place
    what: str
    expected: str | None = None
    got: object = None
    hint: str | None = None

    @property
    def field(self) -> str:
        """The field's name, e.g. ``rules.0.wanted.copies``."""
        return ".".join(str(part) for part in self.place) or "the whole file"

    def __str__(self) -> str:
        got = None if self.got is None else str(self.got)[:_LONGEST]
        parts = {"expected": self.expected, "got": got, "try": self.hint}
        return f"{self.field}: {self.what} ({', '.join(f'{name} {value}' for name, value in parts.items() if value is not None)})"


def refuse(title: str, complaints: Iterable[Complaint]) -> None:
    """Raise all complaints together, where there are any; in a validator each of them keeps its field.

    Raises:
        ValidationError: there are complaints.
    """
    if found := [_detail(complaint) for complaint in complaints]:
        raise ValidationError.from_exception_data(title, found)


def _detail(complaint: Complaint) -> InitErrorDetails:
    said = {"what": complaint.what, "expected": complaint.expected, "hint": complaint.hint}
    return InitErrorDetails(type=PydanticCustomError(_KIND, "{what}", said), loc=complaint.place, input=complaint.got)


def of(error: ValidationError) -> list[Complaint]:
    """What pydantic found, as complaints."""
    return [_complaint(item) for item in error.errors()]


def _complaint(item: Mapping[str, Any]) -> Complaint:
    if item["type"] != _KIND:
        return Complaint(tuple(item["loc"]), item["msg"], got=repr(str(item.get("input"))[:_LONGEST]))
    said = item["ctx"]
    return Complaint(tuple(item["loc"]), said["what"], said["expected"], item["input"], said["hint"])
