"""The gate's outside half: puts a suite's questions to Great Expectations and brings its answers home as plain values."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain import deriving
from coldchain.drift import Summary
from coldchain.errors import ComputeFailed, ConfigurationError, InputError
from coldchain.gate import Acceptance, Failure, GateReport, report
from coldchain.judging import judge
from coldchain.suite import FIELD_COLUMNS, Check, GateContext, Rule, Source, Suite, compare_fields, load_suite, plan_checks, read_context
from tasks.datadocs import publish, show_as_text, site_settings, staging_of

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.expectations.expectation import Expectation

AT_ONCE = 32
"""Columns that are read at a time where only what is missing in each is asked for: a plate's table may have thousands."""


@dataclass(frozen=True)
class Word:
    """Which artifact a table is of, and what people accepted of it."""

    table: str = ""
    accepted: Sequence[Acceptance] = ()


def validate_table(
    parquet: Path, suite: str, docs: Path, *, context: Mapping[str, object], version: int | None = None, word: Word | None = None
) -> GateReport:
    """Hold a Parquet table against a suite, write its Data Docs, and return the report; it raises no error for a table that fails.

    Args:
        parquet: the table: one row a nucleus, a well or a treatment.
        suite: name of a suite of `coldchain/suites/`.
        docs: folder for the static site, `index.html` first; replaced where it is an earlier site of ours.
        context: `wells` of the layout, `channels`, and `fields`: nuclei in the masks as `well`, `field`, `objects`; `plate_map`, and
            `earlier`, summaries of earlier plates.
        version: of the suite; the newest where none is named.
        word: which artifact the table is of, and what people accepted of it.

    Raises:
        InputError: no readable table, or `docs` holds something else.
        ConfigurationError: an unknown or wrong suite, or one that needs what the context does not say.
    """
    return hold_against(parquet, load_suite(suite, version), docs, known=read_context(context), word=word)


def hold_against(parquet: Path, rules: Suite, docs: Path, *, known: GateContext, word: Word | None = None) -> GateReport:
    """Hold a Parquet table against a suite already read: see `validate_table`, which finds the suite by its name."""
    columns = _columns(parquet)
    known = known if known.treatment else known.model_copy(update={"treatment": _treatment(columns)})
    rows = _read(parquet, columns, plan_checks(rules, known, columns), rules)
    sources = {rule.source: rule for rule in reversed(rules.rules) if rule.table != "rows" and _readable_for(rule, columns)}
    derived = {source: _derived(parquet, rule, rules, known, rows) for source, rule in reversed(sources.items())}
    left_out = {source: each.why_not for source, each in derived.items() if each.why_not}
    checks = plan_checks(rules, known, columns, left_out)
    with _translated(rules):
        broken = _ask(rules, checks, {("rows", (), ()): rows} | _frames(derived, left_out), docs)
    word = word or Word()
    said = report(
        rules,
        len(rows),
        len(checks),
        broken,
        table=word.table,
        accepted=word.accepted,
        left_out=[f"{rule.name}: {left_out[rule.source]}" for rule in rules.rules if rule.source in left_out],
    )
    publish(said, docs)
    return said


def summarise(parquet: Path, dataset: str, suite: str, *, context: Mapping[str, object]) -> Summary:
    """Summarise a table of wells for the plates after it: whatever its suite asks of drift and of controls."""
    rules, known, columns = load_suite(suite), read_context(context), _columns(parquet)
    read = {name for rule in rules.rules if rule.table in {"drift", "effect"} for name in rule.read_for(columns)}
    table = _table(_read_columns(parquet, [name for name in columns if name in read]))
    features = [name for rule in rules.rules if rule.table == "drift" for name in rule.read_for(list(table))]
    return deriving.summary(dataset, table, list(dict.fromkeys(features)), known.plate_map)


def _treatment(columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table of treatments that together name one: all that describe it but the number of its wells."""
    return tuple(name for name in columns if name.startswith("Metadata_") and not name.startswith("Metadata_Count_"))


def _readable_for(rule: Rule, columns: Sequence[str]) -> bool:
    """Whether a table has the columns, by their whole names, that a rule's other table is made of."""
    needed = FIELD_COLUMNS[:2] if rule.table == "fields" else [name for name in rule.of if "*" not in name]
    return set(needed) <= set(columns)


def _derived(parquet: Path, rule: Rule, rules: Suite, known: GateContext, rows: pd.DataFrame) -> deriving.Derived:
    if rule.table == "fields":
        return deriving.Derived(compare_fields(known, _measured(rows)))
    if rule.table == "features":
        return deriving.Derived(list(_features(parquet, rule, rules, rows)))
    return deriving.derive(rule, rules, known, _table(rows))


def _table(rows: pd.DataFrame) -> dict[str, Any]:
    return {str(name): rows[name].to_numpy() for name in rows}


def _features(parquet: Path, rule: Rule, rules: Suite, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Look at each feature of a table, some at a time, so that what is held in memory does not grow with the features."""
    names = rule.read_for(_columns(parquet))
    key = [name for name in rules.key if name in rows]
    places = _Places(rows[key])
    for start in range(0, len(names), AT_ONCE):
        part = _read_columns(parquet, names[start : start + AT_ONCE])
        for name in part:
            yield deriving.feature_row(str(name), part[name].to_numpy(), places)


class _Places(Sequence[str]):
    """Where each row is from, as people read it; written out only for the rows that are asked for."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> Any:
        return ", ".join(f"{str(name).removeprefix('Metadata_')} {value}" for name, value in self._rows.iloc[at].items())


def _frames(derived: Mapping[Source, deriving.Derived], left_out: Collection[Source]) -> dict[Source, pd.DataFrame]:
    import pandas as pd

    frames = {source: pd.DataFrame(list(each.rows)) for source, each in derived.items() if source not in left_out}
    return {
        source: frame if source[0] != "features" else frame.reindex(columns=deriving.FEATURE_COLUMNS) for source, frame in frames.items()
    }


def _columns(parquet: Path) -> list[str]:
    import pyarrow.parquet as pq

    with _readable(parquet):
        names: list[str] = pq.read_schema(parquet).names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("a table has columns of the same name", on=parquet, got=", ".join(twice))
    return names


def _read(parquet: Path, columns: Sequence[str], checks: Sequence[Check], rules: Suite) -> pd.DataFrame:
    """Read only the columns that are asked about: a plate's table may have thousands."""
    asked = {name for check in checks if check.rule.table == "rows" for name in check.needs()}
    for rule in rules.rules:
        if rule.table not in {"rows", "features"}:
            asked |= set(rule.read_for(columns))
    return _read_columns(parquet, [name for name in columns if name in asked | set(rules.key)])


def _read_columns(parquet: Path, names: Sequence[str]) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with _readable(parquet):
        return pq.ParquetFile(parquet).read(columns=list(names)).to_pandas()


@contextmanager
def _readable(parquet: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        raise InputError("cannot read the table", on=parquet, expected="a Parquet file", got=exc, hint="make the table again") from exc


def _measured(rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    counts = rows.groupby(["Metadata_Well", "Metadata_Site"], observed=True).size()
    return {(str(well), str(site)): int(count) for (well, site), count in counts.items()}


def _ask(rules: Suite, checks: Sequence[Check], tables: Mapping[Source, pd.DataFrame], docs: Path) -> list[Failure]:
    with _quiet_import():
        from great_expectations import get_context
    context = get_context(mode="ephemeral", project_config=site_settings(staging_of(docs)))
    found: dict[int, list[Failure]] = {}
    for (source, table), name in zip(tables.items(), _names(rules, tables), strict=True):
        asked = [(number, check) for number, check in enumerate(checks) if check.rule.source == source]
        if asked:
            found |= _ask_table(context, rules, asked, name, table)
    if len(found) != len(checks):
        raise ComputeFailed("questions to the table were not answered", on=rules.name, expected=len(checks), got=len(found))
    show_as_text(context)
    context.build_data_docs()
    return [failure for number in sorted(found) for failure in found[number]]


def _names(rules: Suite, tables: Iterable[Source]) -> list[str]:
    """Names of the tables in the pages: the kind, and of several of a kind the first rule that asks of each."""
    sources = list(tables)
    kinds = [kind for kind, _, _ in sources]
    first = {rule.source: rule.name.replace("-", "_") for rule in reversed(rules.rules)}
    return [source[0] if kinds.count(source[0]) == 1 else f"{source[0]}_{first[source]}" for source in sources]


def _ask_table(
    context: EphemeralDataContext, rules: Suite, asked: Sequence[tuple[int, Check]], name: str, table: pd.DataFrame
) -> dict[int, list[Failure]]:
    """Ask one table its questions, and return what is broken by the question's number."""
    answers = _answers(context, rules, asked, name, table)
    if sorted(answers) != [number for number, _ in asked]:
        raise ComputeFailed("questions to the table were not answered", on=rules.name, expected=len(asked), got=len(answers))
    return {number: judge(check, answers[number]) for number, check in asked}


def _answers(
    context: EphemeralDataContext, rules: Suite, asked: Sequence[tuple[int, Check]], name: str, table: pd.DataFrame
) -> dict[int, dict[str, Any]]:
    from great_expectations import ExpectationSuite, RunIdentifier, ValidationDefinition

    batch = context.data_sources.add_pandas(name).add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    title = f"{rules.name}-v{rules.version}-{name}"
    suite = context.suites.add(ExpectationSuite(name=title, expectations=[_expectation(check, number) for number, check in asked]))
    validation = context.validation_definitions.add(ValidationDefinition(name=title, data=batch, suite=suite))
    kind = asked[0][1].rule.table
    index = rules.key if kind == "rows" else deriving.INDEX.get(kind, ())
    result = validation.run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "SUMMARY" if kind == "rows" else "COMPLETE",
            "unexpected_index_column_names": [column for column in index if column in table],
        },
        run_id=RunIdentifier(run_name="gate"),
    )
    answers: list[Any] = [answer.to_json_dict() for answer in result.results]
    return {answer["expectation_config"]["meta"]["check"]: answer for answer in answers}


def _expectation(check: Check, number: int) -> Expectation:
    import great_expectations.expectations as known

    name = "".join(part.capitalize() for part in check.rule.expectation.split("_"))
    kind: Any = getattr(known, name, None)
    if kind is None:
        raise ConfigurationError("a suite uses an unknown expectation", on=check.rule.name, got=check.rule.expectation)
    about = {} if check.column is None else {"column": check.column}
    asked: Expectation = kind(**about, **check.arguments, severity=check.rule.severity.value, notes=check.rule.says, meta={"check": number})
    return asked


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Great Expectations imports a module of the standard library that is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextmanager
def _translated(rules: Suite) -> Iterator[None]:
    """Translate what Great Expectations raises, in this one place."""
    with _quiet_import():
        from great_expectations.compatibility.pydantic import ValidationError
        from great_expectations.exceptions.exceptions import GreatExpectationsError, GreatExpectationsTypeError
    try:
        yield
    except ValidationError as exc:
        raise ConfigurationError("a suite has a rule that cannot be asked", on=f"{rules.name} version {rules.version}", got=exc) from exc
    except (GreatExpectationsError, GreatExpectationsTypeError) as exc:
        raise ComputeFailed(
            "the table could not be validated", on=rules.name, got=exc, done="nothing was promoted", hint="run the gate again"
        ) from exc
