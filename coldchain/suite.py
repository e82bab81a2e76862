"""Suites of rules as data, and the questions that a suite asks of one table.

A suite is a JSON file in `coldchain/suites/`, one a version: `<name>-v<version>.json`. A version is never changed once a release was made
by it, so that a release can be judged again by what held then; the newest one holds where none is named. Its rules use the vocabulary of
Great Expectations (`expect_...`), but nothing here needs that library: this module says what is to be checked, `tasks.gate` does the
checking, `coldchain.gate` judges.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from coldchain.drift import Summary
from coldchain.errors import ConfigurationError
from coldchain.imaging.tables import channel_suffixes

PRESENCE = "expect_column_to_exist"
"""The expectation that reports a missing column; every other rule is left out for columns that are not there."""

_FILE = re.compile(r"(?P<name>[a-z][a-z0-9_]*)-v(?P<version>[1-9][0-9]*)\.json")

FIELD_COLUMNS = ("Metadata_Well", "Metadata_Site", "segmented", "measured")
"""Columns of the derived table `fields`: nuclei in the mask and rows in the table, for each field."""


class Severity(StrEnum):
    """What a broken rule means: `critical` closes the gate, `warning` is reported."""

    CRITICAL = "critical"
    WARNING = "warning"


Table = Literal["rows", "fields", "features", "drift", "controls", "contrast", "effect", "direction"]
Source = tuple[str, tuple[str, ...], tuple[str, ...]]


class Rule(BaseModel):
    """One rule of a suite: an expectation, the columns it is asked of, and what it says in plain words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    says: str = Field(min_length=1, description="the rule in a scientist's words")
    expectation: str = Field(pattern=r"^expect_[a-z_]+$")
    severity: Severity
    table: Table = Field("rows", description="`rows`: the table itself; the others are made of it, see coldchain.deriving")
    of: tuple[str, ...] = Field((), description="columns of the table that such another table is made of; `*` stands for anything")
    columns: tuple[str, ...] = Field((), description="`{channel}` stands for every channel, `*` for anything")
    without: tuple[str, ...] = Field((), description="columns that `columns` and `of` do not mean; `*` stands for anything")
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict, description="`$wells`, `$well_count`, `$treatment`, `$objects` come from the context"
    )

    @property
    def source(self) -> Source:
        """What it is asked of: rules of one source are asked together."""
        return self.table, self.of, self.without if self.of else ()

    def read_for(self, columns: Sequence[str]) -> list[str]:
        """Columns of the table that the other table is made of; all that are meant and there."""
        meant = FIELD_COLUMNS[:2] if self.table == "fields" else self.of
        return [name for name in columns if _fits(name, meant) and not _fits(name, self.without)]


class Suite(BaseModel):
    """A named, versioned list of rules for one kind of table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: int = Field(ge=1)
    description: str
    key: tuple[str, ...] = Field(min_length=1, max_length=6, description="columns that say where a row comes from")
    rules: tuple[Rule, ...] = Field(min_length=1)
    least_earlier: int = Field(3, ge=2, description="earlier plates of the project without which nothing is said of drift")

    @model_validator(mode="after")
    def _names_each_rule_once(self) -> Self:
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"rules named twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _asks_for_every_column_it_uses(self) -> Self:
        asked = {column for rule in self.rules if rule.expectation == PRESENCE for column in rule.columns}
        used = {column for rule in self.rules for column in _used(rule)} | set(self.key)
        if used - asked:
            raise ValueError(f"columns used but not asked for by {PRESENCE}: {', '.join(sorted(used - asked))}")
        return self


class FieldCount(BaseModel):
    """How many nuclei the masks of one field hold."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    well: str
    field: int = Field(ge=0)
    objects: int = Field(ge=0)


class GateContext(BaseModel):
    """What the table is held against: the plate's layout, its channels, and the nuclei counted in its masks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wells: tuple[str, ...] = Field(min_length=1, description="wells of the plate layout, A01")
    channels: tuple[str, ...] = Field((), description="channel names of the plate")
    fields: tuple[FieldCount, ...] | None = Field(None, description="nuclei per field, as segmentation counted them")
    plate_map: dict[str, dict[str, str | float]] = Field(default_factory=dict, description="what each well holds, by its name")
    treatment: tuple[str, ...] = Field((), description="columns that together name a treatment")
    earlier: tuple[Summary, ...] = Field((), description="summaries of earlier plates of the project, each of a dataset of its own")

    @model_validator(mode="after")
    def _counts_each_field_once(self) -> Self:
        twice = [where for where, count in Counter((f.well, f.field) for f in self.fields or ()).items() if count > 1]
        if twice:
            raise ValueError(f"fields counted twice: {twice[:5]}")
        return self


class Check(BaseModel):
    """One rule asked of one column (or of the whole table), with its arguments filled in."""

    model_config = ConfigDict(frozen=True)

    rule: Rule
    column: str | None
    arguments: dict[str, Any]
    key: tuple[str, ...] = ()

    def needs(self) -> set[str]:
        """Return the columns without which the question cannot be asked."""
        return _columns_among(self.arguments) | ({self.column} if self.column else set())


def suite_versions() -> dict[str, list[int]]:
    """Return the versions there are of each suite, in order."""
    there = [_FILE.fullmatch(entry.name) for entry in files("coldchain").joinpath("suites").iterdir()]
    found: dict[str, list[int]] = {}
    for name, version in sorted((each["name"], int(each["version"])) for each in there if each):
        found.setdefault(name, []).append(version)
    return found


def suite_names() -> list[str]:
    """Return the names of the suites there are."""
    return sorted(suite_versions())


def load_suite(name: str, version: int | None = None) -> Suite:
    """Return a version of a suite, the newest where none is named; raises ConfigurationError naming what there is, or the wrong field."""
    there = suite_versions()
    if name not in there:
        raise ConfigurationError("no such suite", on=name, expected=", ".join(there))
    if version is not None and version not in there[name]:
        raise ConfigurationError("no such version of a suite", on=name, expected=there[name], got=version)
    file = f"{name}-v{version or there[name][-1]}.json"
    suite = read_suite(files("coldchain").joinpath("suites", file).read_text("utf-8"), file)
    if file != f"{suite.name}-v{suite.version}.json":
        raise ConfigurationError("a suite is not what its file is called", on=file, got=f"{suite.name} version {suite.version}")
    return suite


def read_suite(text: str, origin: str) -> Suite:
    """Return the suite in a JSON text; raises ConfigurationError with the place in it that is wrong."""
    try:
        return Suite.model_validate(json.loads(text))
    except json.JSONDecodeError as exc:
        raise ConfigurationError("a suite is not JSON", on=f"{origin}, line {exc.lineno}", got=exc.msg) from exc
    except ValidationError as exc:
        raise ConfigurationError("a suite is not valid", on=origin, got=_first_error(exc)) from exc


def read_context(context: Mapping[str, object]) -> GateContext:
    """Return the checked context: `wells`, `channels`, `fields` (each `well`, `field`, `objects`); else ConfigurationError."""
    try:
        return GateContext.model_validate(context)
    except ValidationError as exc:
        raise ConfigurationError("the gate's context is not valid", on="context", got=_first_error(exc)) from exc


def plan_checks(suite: Suite, context: GateContext, columns: Sequence[str], left_out: Collection[Source] = ()) -> list[Check]:
    """Return every question that the suite asks of a table with these columns, save of sources that are left out.

    A missing column is asked for by name (and found missing); other questions that would need it are left out. Raises
    ConfigurationError where the suite needs something that the context does not say.
    """
    asked = [check for rule in suite.rules if rule.source not in left_out for check in _expand(rule, context, columns, suite.key)]
    return [check for check in asked if check.rule.expectation == PRESENCE or _can_be_asked(check, columns)]


def compare_fields(context: GateContext, measured: Mapping[tuple[str, str], int]) -> list[dict[str, str | int]]:
    """Return nuclei per field, in the masks (`segmented`) and in the table (`measured`, by well and site), for every field of either."""
    segmented = {(field.well, str(field.field)): field.objects for field in _fields(context)}
    return [
        dict(zip(FIELD_COLUMNS, (*where, segmented.get(where, 0), measured.get(where, 0)), strict=True))
        for where in sorted(segmented.keys() | measured.keys())
    ]


def _columns_among(arguments: Mapping[str, Any]) -> set[str]:
    said = arguments.get("column_list")
    listed = said if isinstance(said, list) else []
    return {*listed, *(arguments[name] for name in ("column_A", "column_B") if name in arguments)}


def _used(rule: Rule) -> set[str]:
    """Return the columns of the table, by their whole names, that a rule uses; nuclei per field are counted by well and site."""
    if rule.table == "fields":
        return set(FIELD_COLUMNS[:2])
    if rule.table != "rows":
        return {column for column in rule.of if "*" not in column}
    return {column for column in rule.columns if "*" not in column} | _columns_among(rule.arguments)


def _expand(rule: Rule, context: GateContext, columns: Sequence[str], key: tuple[str, ...]) -> list[Check]:
    arguments = {name: _resolve(value, context) for name, value in rule.arguments.items()}
    if not rule.columns:
        return [Check(rule=rule, column=None, arguments=arguments, key=key)]
    if rule.table != "rows":
        return [Check(rule=rule, column=name, arguments=arguments, key=key) for name in rule.columns]
    meant = [name for column in rule.columns for name in _meant(column, context, columns) if not _fits(name, rule.without)]
    return [Check(rule=rule, column=name, arguments=arguments, key=key) for name in dict.fromkeys(meant)]


def _meant(column: str, context: GateContext, columns: Sequence[str]) -> list[str]:
    if "*" in column:
        return [name for name in columns if _fits(name, [column])]
    if "{channel}" in column:
        return [column.replace("{channel}", suffix) for suffix in channel_suffixes(context.channels)]
    return [column]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a column is one of those that patterns mean; only `*` is special."""
    return any(fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns)


def _resolve(value: JsonValue, context: GateContext) -> Any:
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    match value:
        case "$wells":
            return list(context.wells)
        case "$well_count":
            return len(context.wells)
        case "$treatment":
            return list(context.treatment)
        case "$objects":
            return sum(field.objects for field in _fields(context))
    raise ConfigurationError("a suite asks for an unknown value", got=value, expected="$wells, $well_count, $treatment or $objects")


def _fields(context: GateContext) -> tuple[FieldCount, ...]:
    if context.fields is None:
        raise ConfigurationError("the suite needs something that its context does not say", on="context", expected="fields", got="nothing")
    return context.fields


def _can_be_asked(check: Check, columns: Sequence[str]) -> bool:
    return (check.needs() if check.rule.table == "rows" else _used(check.rule)) <= set(columns)


def _first_error(exc: ValidationError) -> str:
    first = exc.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'whole'}: {first['msg']}"
