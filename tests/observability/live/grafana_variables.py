"""Variables in queries, as Grafana puts their values in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from tests.observability.live.grafana_time import rate_interval

if TYPE_CHECKING:
    from tests.observability.live.grafana_time import TimeRange

DATA_SOURCES: Final = {"prometheus": "tapekeeper-prometheus", "grafana-postgresql-datasource": "tapekeeper-postgresql"}
_REFERENCE: Final = re.compile(r"\$\{(?P<braced>[\w.]+)(?::(?P<format>[^}]+))?\}|\$(?P<bare>\w+)(?!\w*\()")
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")
_REGEX_CHARACTERS: Final = re.compile(r"([\\^$*+?.()|\[\]{}])")


class Language(Enum):
    """What a query is written in; it decides how values are quoted where the query does not say."""

    PROMQL = "regex"
    SQL = "sqlstring"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen of a variable."""

    values: tuple[str, ...]
    is_many: bool = False
    """Several could be chosen, so that values are quoted or escaped."""
    all_value: str | None = None
    """What stands for all of them."""


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _regex(values: tuple[str, ...]) -> str:
    # Twice: once for the regular expression, once for the string in PromQL.
    escaped = [_REGEX_CHARACTERS.sub(r"\\\\\1", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


FORMATS: Final[dict[str, Callable[[tuple[str, ...]], str]]] = {
    "raw": ",".join,
    "csv": ",".join,
    "pipe": "|".join,
    "regex": _regex,
    "sqlstring": lambda values: ",".join(map(_quoted, values)),
}


@dataclass(slots=True)
class Variables:
    """The variables of a dashboard, those that Grafana makes included."""

    shown: TimeRange
    chosen: dict[str, Chosen] = field(default_factory=dict)

    def choose(self, variable: dict[str, Any], values: list[str]) -> None:
        """Choose what a dashboard shows at first: all values where that is offered, else the first."""
        has_all = bool(variable.get("includeAll"))
        many = bool(variable.get("multi")) or has_all
        chosen = tuple(values) if has_all else tuple(values[:1])
        self.chosen[variable["name"]] = Chosen(chosen, many, variable.get("allValue") if has_all else None)

    def expand(self, query: str, language: Language, step: int) -> str:
        """Return a query with the values in place.

        Raises:
            ValueError: there is no such variable, or no such format.
        """
        own = self._of_grafana(step)

        def value(reference: re.Match[str]) -> str:
            name, wanted = reference["braced"] or reference["bare"], reference["format"]
            if name in own:
                return own[name]
            if name not in self.chosen:
                if language is Language.PROMQL or not _inside_literal(query, reference.start()):
                    raise ValueError(f"there is no variable {name!r}")
                return reference[0]
            return _formatted(self.chosen[name], wanted, language)

        return _REFERENCE.sub(value, query)

    def _of_grafana(self, step: int) -> dict[str, str]:
        rate, length = rate_interval(step), self.shown.seconds
        return {
            "__interval": f"{step}s",
            "__interval_ms": f"{step * 1_000}",
            "__rate_interval": f"{rate}s",
            "__range": f"{length}s",
            "__range_s": f"{length}",
            "__from": f"{self.shown.start * 1_000:.0f}",
            "__to": f"{self.shown.end * 1_000:.0f}",
        }


def _formatted(chosen: Chosen, wanted: str | None, language: Language) -> str:
    if wanted is None:
        if chosen.all_value is not None:
            return chosen.all_value
        wanted = language.value if chosen.is_many else "raw"
    if wanted not in FORMATS:
        raise ValueError(f"{wanted!r} is no format of a variable")
    return FORMATS[wanted](chosen.values)


def _inside_literal(query: str, position: int) -> bool:
    """Tell whether a part of an SQL query is inside a string: there a dollar may be just a dollar."""
    return any(literal.start() < position < literal.end() for literal in _LITERAL.finditer(query))
