"""Every query of a dashboard, run as Grafana runs it."""

from __future__ import annotations

import math
import re
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from tests.observability.live.grafana_macros import expand_macros
from tests.observability.live.grafana_time import SCRAPE_SECONDS, range_of
from tests.observability.live.grafana_variables import DATA_SOURCES, Language, Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.observability.live.servers import Prometheus

Json = dict[str, Any]
NUMBERS: Final = frozenset({20, 21, 23, 700, 701, 1700})
"""PostgreSQL's own numbers of the types smallint to numeric."""
TIMESTAMP_WITHOUT_ZONE: Final = 1114
MOST_SERIES: Final = 50
"""More lines than this nobody can tell apart."""
MOST_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a query."""

    where: str
    """Such as `tapekeeper-gaps / Open gaps / A`."""
    panel: str
    """`uid / title of the panel`; empty for variables and annotations, which may have nothing to tell."""
    values: int = 0
    """How many samples or rows came; NaN is none."""
    trouble: str = ""
    """An error, or something in the answer that would look wrong."""


@dataclass(slots=True)
class Grafana:
    """The two data sources."""

    prometheus: Prometheus
    database_url: str

    def open(self, dashboard: Json) -> list[Outcome]:
        """Ask everything that a dashboard asks when it is opened."""
        page = _Page(self, dashboard["uid"], Variables(range_of(dashboard, time.time())))
        return list(page.everything(dashboard))


@dataclass(slots=True)
class _Page:
    """A dashboard that is open."""

    grafana: Grafana
    uid: str
    variables: Variables

    def everything(self, dashboard: Json) -> Iterator[Outcome]:
        """Run all queries: the variables' first, as others depend on them."""
        for variable in dashboard["templating"]["list"]:
            yield self.fill(variable)
        for annotation in dashboard["annotations"]["list"]:
            if not annotation.get("builtIn"):
                yield self.ask(f"annotation {annotation['name']}", "", annotation["target"], {})
        for panel in _panels(dashboard["panels"]):
            name = f"{self.uid} / {panel['title']}"
            for target in panel.get("targets", []):
                yield self.ask(f"{panel['title']} / {target['refId']}", name, target, panel)

    def fill(self, variable: Json) -> Outcome:
        """Find the values of a variable and choose."""

        def values() -> tuple[int, str]:
            found = self._values(variable)
            self.variables.choose(variable, found)
            return len(found), "" if found else "the variable has no value"

        return self._outcome(f"variable {variable['name']}", "", values)

    def ask(self, name: str, panel_name: str, target: Json, panel: Json) -> Outcome:
        """Run one query."""
        return self._outcome(name, panel_name, lambda: self._answer(target, panel))

    def _outcome(self, name: str, panel: str, run: Callable[[], tuple[int, str]]) -> Outcome:
        where = f"{self.uid} / {name}"
        try:
            values, trouble = run()
        except (ValueError, psycopg2.Error) as error:
            return Outcome(where, panel, trouble=str(error).strip().splitlines()[0])
        return Outcome(where, panel, values, trouble)

    def _values(self, variable: Json) -> list[str]:
        if variable["type"] == "datasource":
            return [DATA_SOURCES[variable["query"]]]
        if variable["type"] in ("custom", "interval"):
            return [value.strip() for value in variable["query"].split(",")]
        if variable["type"] != "query" or self._kind(variable) != "grafana-postgresql-datasource":
            raise ValueError(f"a variable of type {variable['type']} from this data source is not known here")
        return [str(row[0]) for row in self._rows(variable["query"], SCRAPE_SECONDS)[0]]

    def _kind(self, target: Json) -> str:
        """Return the type of a data source, which has to be the one that its variable stands for."""
        source = target["datasource"]
        uid = self.variables.expand(source["uid"], Language.PROMQL, SCRAPE_SECONDS)
        if uid != DATA_SOURCES.get(source["type"]):
            raise ValueError(f"{source['uid']} is no data source of type {source['type']}")
        return str(source["type"])

    def _answer(self, target: Json, panel: Json) -> tuple[int, str]:
        step = self.variables.shown.step(panel)
        if self._kind(target) == "prometheus":
            return self._series(target, step)
        rows, columns = self._rows(target["rawSql"], step)
        if target["format"] == "time_series":
            _require_time_series(rows, columns)
        if len(rows) > MOST_ROWS:
            return len(rows), f"{len(rows)} rows"
        return len(rows), ""

    def _series(self, target: Json, step: int) -> tuple[int, str]:
        query = self.variables.expand(target["expr"], Language.PROMQL, step)
        shown = self.variables.shown
        if target.get("instant"):
            result = self.grafana.prometheus.ask("query", query=query, time=shown.end)["result"]
        else:
            start, end = (math.floor(moment / step) * step for moment in (shown.start, shown.end))
            answer = self.grafana.prometheus.ask("query_range", query=query, start=start, end=end, step=step)
            result = answer["result"]
        samples = [value for one in result for _, value in one.get("values", [one.get("value")])]
        return sum(value != "NaN" for value in samples), _trouble(target, result)

    def _rows(self, query: str, step: int) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
        """Return the rows of SQL and the type of each column."""
        text = expand_macros(self.variables.expand(query, Language.SQL, step), self.variables.shown)
        with closing(psycopg2.connect(self.grafana.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall(), {column.name: column.type_code for column in cursor.description or ()}


def _trouble(target: Json, result: list[Json]) -> str:
    if len(result) > MOST_SERIES:
        return f"{len(result)} series"
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")):
        if result and not any(label in one["metric"] for one in result):
            return f"the legend has the label {label!r}, and no series has it"
    return ""


def _require_time_series(rows: list[tuple[Any, ...]], columns: dict[str, int]) -> None:
    if "time" not in columns:
        raise ValueError("a time series has no column named time")
    if columns["time"] == TIMESTAMP_WITHOUT_ZONE:
        raise ValueError("the column time has no time zone")
    if not NUMBERS & {kind for name, kind in columns.items() if name != "time"}:
        raise ValueError("a time series has no column of numbers")
    times = [row[list(columns).index("time")] for row in rows]
    if times != sorted(times):
        raise ValueError("a time series is not in the order of time")


def _panels(told: list[Json]) -> Iterator[Json]:
    """Yield every panel, those of folded rows too."""
    for panel in told:
        yield panel
        yield from _panels(panel.get("panels", []))
