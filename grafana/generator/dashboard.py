"""A dashboard: its frame, its variables, its annotations, and panels laid out from left to right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from grafana.generator.links import TAG, menu
from grafana.generator.queries import POSTGRESQL, PROMETHEUS, Json

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

COLUMNS: Final = 24
SCHEMA_VERSION: Final = 42
"""The last one of classic dashboards, which Grafana 11, 12 and 13 load."""


class Dashboard:
    """One dashboard.

    Args:
        name: of the file, and after `tapekeeper-` the uid, which never changes: other pages lead to it.
        title: what a person reads.
        question: what the whole of it answers.
        time_from: the range at first, such as `now-6h`.
        refresh: how often it asks again, such as `30s`.
    """

    def __init__(self, name: str, title: str, question: str, *, time_from: str = "now-6h", refresh: str = "1m") -> None:
        self.name = name
        self.title = title
        self.question = question
        self._time_from = time_from
        self._refresh = refresh
        self._panels: list[Json] = []
        self._variables: list[Json] = [
            _data_source("prometheus", "Metrics", PROMETHEUS["type"]),
            _data_source("postgresql", "Database", POSTGRESQL["type"]),
        ]
        self._annotations: list[Json] = []
        self._next_row = 0

    @property
    def uid(self) -> str:
        """Give the uid: fixed, as links, provisioning and bookmarks use it."""
        return f"tapekeeper-{self.name.replace('_', '-')}"

    def variable(self, name: str, label: str, query: Json, *, many: bool = True) -> Dashboard:
        """Let the reader choose among the answers of an SQL query with one text column.

        Args:
            name: as queries write it, `${name:sqlstring}`.
            label: as the reader sees it.
            query: made by `sql`.
            many: whether several can be chosen, all of them at first.
        """
        chosen: Json = {"text": ["All"], "value": ["$__all"]} if many else {"text": "", "value": ""}
        self._variables.append(
            {
                "type": "query",
                "name": name,
                "label": label,
                "datasource": query["datasource"],
                "query": query["rawSql"],
                "refresh": 2,
                "regex": "",
                "sort": 1,
                "hide": 0,
                "multi": many,
                "includeAll": many,
                "options": [],
                "current": chosen,
            }
        )
        return self

    def annotation(self, name: str, query: Json, colour: str) -> Dashboard:
        """Mark moments in every graph; the query gives time, text, and timeend where it is a span."""
        self._annotations.append(
            {
                "name": name,
                "datasource": query["datasource"],
                "enable": True,
                "hide": False,
                "iconColor": colour,
                "target": {"refId": "Anno"} | query,
            }
        )
        return self

    def row(self, title: str | None, *panels: Panel) -> Dashboard:
        """Put panels below what is there, from left to right, in as many lines as they need.

        Args:
            title: of the heading above them; None makes no heading.
            panels: a line is as high as its highest panel.
        """
        if title is not None:
            place = {"x": 0, "y": self._next_row, "w": COLUMNS, "h": 1}
            self._panels.append(
                {
                    "id": len(self._panels) + 1,
                    "type": "row",
                    "title": title,
                    "collapsed": False,
                    "gridPos": place,
                    "panels": [],
                }
            )
            self._next_row += 1
        column = height = 0
        for panel in panels:
            if column + panel.width > COLUMNS:
                self._next_row += height
                column = height = 0
            self._panels.append(panel.as_json(len(self._panels) + 1, column, self._next_row))
            column += panel.width
            height = max(height, panel.height)
        self._next_row += height
        return self

    def as_text(self) -> str:
        """Give the file: the same input gives the same bytes."""
        dashboard = {
            "uid": self.uid,
            "title": self.title,
            "description": self.question,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "time": {"from": self._time_from, "to": "now"},
            "timepicker": {"refresh_intervals": ["15s", "30s", "1m", "5m", "15m", "1h"]},
            "timezone": "utc",
            "weekStart": "monday",
            "fiscalYearStartMonth": 0,
            "refresh": self._refresh,
            "liveNow": False,
            "preload": False,
            "links": [menu()],
            "templating": {"list": self._variables},
            "annotations": {"list": self._annotations},
            "panels": self._panels,
        }
        return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _data_source(name: str, label: str, kind: str) -> Json:
    uid = f"tapekeeper-{name}"
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": kind,
        "regex": "",
        "hide": 2,
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "options": [],
        "current": {"text": uid, "value": uid},
    }
