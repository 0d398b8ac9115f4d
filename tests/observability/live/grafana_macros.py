"""Macros in SQL, as Grafana's PostgreSQL data source expands them; an argument must not hold a closing bracket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.observability.live.grafana_time import as_text, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.observability.live.grafana_time import TimeRange

_MACRO: Final = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def expand_macros(query: str, shown: TimeRange) -> str:
    """Return SQL as the database gets it.

    Raises:
        ValueError: there is no such macro, or it lacks an argument.
    """

    def expanded(macro: re.Match[str]) -> str:
        name, arguments = macro[1], [argument.strip() for argument in macro[2].split(",")]
        if name not in _MACROS:
            raise ValueError(f"there is no macro {name!r}")
        try:
            return _MACROS[name](shown, arguments)
        except IndexError:
            raise ValueError(f"{macro[0]} lacks an argument") from None

    return _MACRO.sub(expanded, query)


def _group(_: TimeRange, arguments: list[str]) -> str:
    seconds = seconds_of(arguments[1])
    return f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"


_MACROS: Final[dict[str, Callable[[TimeRange, list[str]], str]]] = {
    "__time": lambda _, arguments: f'{arguments[0]} AS "time"',
    "__timeFilter": lambda shown, arguments: (
        f"{arguments[0]} BETWEEN '{as_text(shown.start)}' AND '{as_text(shown.end)}'"
    ),
    "__timeFrom": lambda shown, _: f"'{as_text(shown.start)}'",
    "__timeTo": lambda shown, _: f"'{as_text(shown.end)}'",
    "__timeGroup": _group,
    "__timeGroupAlias": lambda shown, arguments: f'{_group(shown, arguments)} AS "time"',
    "__unixEpochFilter": lambda shown, arguments: (
        f"{arguments[0]} >= {shown.start:.0f} AND {arguments[0]} <= {shown.end:.0f}"
    ),
}
