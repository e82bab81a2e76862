"""The gate's outside half: puts a suite's questions to Great Expectations and brings its answers home as plain values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.errors import ComputeFailed, ConfigurationError, InputError
from coldchain.gate import Failure, GateReport, judge, report
from coldchain.suite import Check, GateContext, Suite, compare_fields, load_suite, plan_checks, read_context
from tasks.datadocs import publish, site_settings, staging_of

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.expectations.expectation import Expectation


def validate_table(parquet: Path, suite: str, docs: Path, *, context: Mapping[str, object]) -> GateReport:
    """Hold a Parquet table against a suite, write its Data Docs, and return the report; it raises no error for a table that fails.

    Args:
        parquet: the table: one row a nucleus, or one a well.
        suite: name of a suite of `coldchain/suites/`.
        docs: folder for the static site, `index.html` first; replaced where it is an earlier site of ours.
        context: `wells` of the layout, `channels`, and `fields`: nuclei in the masks as `well`, `field`, `objects`.

    Raises:
        InputError: no readable table, or `docs` holds something else.
        ConfigurationError: an unknown or wrong suite, or one that needs what the context does not say.
    """
    return hold_against(parquet, load_suite(suite), docs, known=read_context(context))


def hold_against(parquet: Path, rules: Suite, docs: Path, *, known: GateContext) -> GateReport:
    """Hold a Parquet table against a suite already read: see `validate_table`, which finds the suite by its name."""
    columns = _columns(parquet)
    checks = plan_checks(rules, known, columns)
    tables = {"rows": _read(parquet, columns, checks, rules)}
    if any(check.rule.table == "fields" for check in checks):
        tables["fields"] = _fields_table(compare_fields(known, _measured(tables["rows"])))
    with _translated(rules):
        broken = _ask(rules, checks, tables, docs)
    said = report(rules, len(tables["rows"]), len(checks), broken)
    publish(said, docs)
    return said


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
    import pyarrow.parquet as pq

    wanted = set(rules.key).union(*(check.needs() for check in checks))
    with _readable(parquet):
        return pq.read_table(parquet, columns=[name for name in columns if name in wanted]).to_pandas()


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


def _fields_table(counts: list[dict[str, str | int]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(counts)


def _ask(rules: Suite, checks: Sequence[Check], tables: Mapping[str, pd.DataFrame], docs: Path) -> list[Failure]:
    with _quiet_import():
        from great_expectations import get_context
    context = get_context(mode="ephemeral", project_config=site_settings(staging_of(docs)))
    broken = [failure for name, table in tables.items() for failure in _ask_table(context, rules, checks, name, table)]
    context.build_data_docs()
    return broken


def _ask_table(context: EphemeralDataContext, rules: Suite, checks: Sequence[Check], name: str, table: pd.DataFrame) -> list[Failure]:
    """Ask one table its questions, and return what is broken in the order of the suite."""
    asked = [(number, check) for number, check in enumerate(checks) if check.rule.table == name]
    answers = _answers(context, rules, asked, name, table)
    if sorted(answers) != [number for number, _ in asked]:
        raise ComputeFailed("questions to the table were not answered", on=rules.name, expected=len(asked), got=len(answers))
    judged = [judge(check, answers[number]) for number, check in asked]
    return [failure for failure in judged if failure]


def _answers(
    context: EphemeralDataContext, rules: Suite, asked: Sequence[tuple[int, Check]], name: str, table: pd.DataFrame
) -> dict[int, dict[str, Any]]:
    from great_expectations import ExpectationSuite, RunIdentifier, ValidationDefinition

    batch = context.data_sources.add_pandas(name).add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    title = f"{rules.name}-v{rules.version}-{name}"
    suite = context.suites.add(ExpectationSuite(name=title, expectations=[_expectation(check, number) for number, check in asked]))
    validation = context.validation_definitions.add(ValidationDefinition(name=title, data=batch, suite=suite))
    result = validation.run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "SUMMARY", "unexpected_index_column_names": [column for column in rules.key if column in table]},
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
