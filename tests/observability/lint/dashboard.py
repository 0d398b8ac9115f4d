"""A dashboard as its file holds it, and what the rules look at in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parents[3] / "grafana" / "dashboards"
Json = dict[str, Any]
PROMETHEUS: Final = "prometheus"
POSTGRESQL: Final = "grafana-postgresql-datasource"


class Query(NamedTuple):
    """A question to a data source."""

    where: str
    language: str
    """`promql` or `sql`."""
    text: str
    panel: Json | None = None
    """Of whose targets it is one; None for a variable or an annotation."""


@dataclass(frozen=True)
class Dashboard:
    """A file of grafana/dashboards."""

    name: str
    """Of the file, without its ending."""
    document: Json

    @cached_property
    def panels(self) -> list[Json]:
        """Every panel, headings and those inside of collapsed ones too."""
        return list(_flat(self.document.get("panels", [])))

    @cached_property
    def answers(self) -> list[Json]:
        """The panels that ask something: neither headings nor texts."""
        return [panel for panel in self.panels if panel["type"] not in {"row", "text"}]

    @cached_property
    def variables(self) -> list[Json]:
        """What a reader can choose, and the data sources."""
        return list(self.document.get("templating", {}).get("list", []))

    @cached_property
    def annotations(self) -> list[Json]:
        """What is marked in every graph."""
        return list(self.document.get("annotations", {}).get("list", []))

    @cached_property
    def queries(self) -> list[Query]:
        """Every question of panels, variables and annotations."""
        targets: list[tuple[str, Json, Json | None]] = [
            (at(panel), target, panel) for panel in self.answers for target in panel.get("targets", [])
        ]
        targets += [(f"annotation {told['name']}", told.get("target", {}), None) for told in self.annotations]
        found = [
            Query(where, language, target[key], panel)
            for where, target, panel in targets
            for key, language in (("expr", "promql"), ("rawSql", "sql"))
            if key in target
        ]
        chosen = [variable for variable in self.variables if variable["type"] == "query"]
        return found + [Query(f"variable {told['name']}", "sql", told["query"]) for told in chosen]


def at(panel: Json) -> str:
    """Name a panel in a finding."""
    return f"panel {panel.get('title')!r}"


def strings(value: Any) -> Iterator[str]:
    """Yield every text inside of a part of a file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def load(folder: Path = FOLDER) -> list[Dashboard]:
    """Read every dashboard of a folder."""
    return [
        Dashboard(file.stem, json.loads(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("*.json"))
    ]


def _flat(panels: list[Json]) -> Iterator[Json]:
    for panel in panels:
        yield panel
        yield from _flat(panel.get("panels") or [])
