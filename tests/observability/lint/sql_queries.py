"""Rules about SQL: it only reads, it reads a bounded piece, and Grafana's macros understand it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.observability.lint.dashboard import Dashboard
    from tests.observability.lint.project import Project

_READS: Final = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
_WRITES: Final = re.compile(
    r"\b(insert|update|delete|merge|truncate|drop|alter|create|grant|revoke|copy|call|do|lock|into|set|vacuum|refresh"
    r"|pg_sleep|pg_terminate_backend|pg_cancel_backend|nextval|setval|set_config|lo_import|dblink)\b",
    re.IGNORECASE,
)
_BOUNDED: Final = re.compile(r"\$__(timeFilter|timeFrom|unixEpochFilter|unixEpochFrom)\(|\bLIMIT\s+\d+", re.IGNORECASE)
_EVERY_COLUMN: Final = re.compile(r"(\bSELECT(\s+DISTINCT)?|,)\s*(\w+\.)?\*", re.IGNORECASE)
_TEXT: Final = re.compile(r"'(?:[^']|'')*'")
_COMMENT: Final = re.compile(r"--[^\n]*|/\*[\s\S]*?\*/")
_VARIABLE: Final = re.compile(r"\$\{?[A-Za-z]|\[\[\w")
_NESTED_MACRO: Final = re.compile(r"\$__\w+\([^)]*\(")


def sql_only_reads(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Grafana sends what it is given; the role of the reader is the second guard."""
    for where, text in _statements(dashboard):
        bare = _without_texts(text)
        if not _READS.match(bare):
            yield f"{where}: it does not begin with SELECT or WITH"
        if ";" in bare.rstrip().removesuffix(";"):
            yield f"{where}: it is more than one statement"
        yield from (f"{where}: {word!r} does not only read" for word in _WRITES.findall(bare))


def sql_is_bounded(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """By the time that is looked at, or by a number of rows: the tables grow for years."""
    for where, text in _statements(dashboard):
        if not _BOUNDED.search(_without_texts(text)):
            yield f"{where}: it has neither $__timeFilter nor LIMIT"


def sql_names_its_columns(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """A column that is added later would show up in a panel that nobody looked at."""
    yield from (f"{where}: SELECT *" for where, text in _statements(dashboard) if _EVERY_COLUMN.search(text))


def sql_does_not_quote_variables(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """`${name:sqlstring}` brings its own quotes; with others around, a value can end them."""
    for where, text in _statements(dashboard):
        yield from (
            f"{where}: a variable inside of {found}" for found in _TEXT.findall(text) if _VARIABLE.search(found)
        )


def macros_hold_no_parenthesis(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Grafana takes the first closing one as the end of the macro."""
    for where, text in _statements(dashboard):
        yield from (f"{where}: {found} ... is cut at its first ')'" for found in _NESTED_MACRO.findall(text))


def _statements(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    for query in dashboard.queries:
        if query.language == "sql":
            yield query.where, _COMMENT.sub("", query.text)


def _without_texts(statement: str) -> str:
    return _TEXT.sub("''", statement)
