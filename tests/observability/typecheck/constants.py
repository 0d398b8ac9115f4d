"""A dashboard as TypeScript: a typed constant for every part, so that the compiler says which part is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.observability.lint.dashboard import POSTGRESQL, Dashboard, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELSEWHERE = {"options", "fieldConfig", "targets", "panels"}


class Constant(NamedTuple):
    """One of them."""

    where: str
    kind: str
    """Its type, of shapes.ts."""
    value: Any

    def as_typescript(self, number: int) -> str:
        """Write it, in several lines."""
        return f"const part{number}: S.{self.kind} = {json.dumps(self.value, indent=1)};\n"


def constants(dashboard: Dashboard) -> Iterator[Constant]:
    """Take a dashboard apart."""
    document = dashboard.document
    yield Constant("the dashboard", "Frame", _without(document, {"panels", "templating", "annotations"}))
    for variable in dashboard.variables:
        yield Constant(f"variable {variable['name']!r}", "Variable", variable)
    for annotation in dashboard.annotations:
        where = f"annotation {annotation['name']!r}"
        yield Constant(where, "Annotation", _without(annotation, {"target"}))
        yield _query(where, annotation["target"])
    for panel in dashboard.panels:
        yield from _panel(panel)


def _panel(panel: Json) -> Iterator[Constant]:
    kind = panel["type"]
    where = f"panel {panel.get('title')!r} ({kind})"
    if kind == "row":
        yield Constant(where, "Heading", _without(panel, {"panels"}))
        return
    yield Constant(where, "Panel", _without(panel, _ELSEWHERE))
    yield Constant(f"{where} options", f"Options<{kind!r}>", panel["options"])
    config = panel["fieldConfig"]
    yield Constant(f"{where} defaults", "Field", _without(config["defaults"], {"custom"}))
    yield Constant(f"{where} custom", f"Custom<{kind!r}>", config["defaults"].get("custom", {}))
    for override in config["overrides"]:
        for entry in override["properties"]:
            yield _property(f"{where} override of {override['matcher']['options']!r}", kind, entry)
    for target in panel["targets"]:
        yield _query(f"{where} query {target.get('refId')}", target)


def _property(where: str, kind: str, entry: Json) -> Constant:
    """Write `custom.axis.width` as an option of the panel, and the rest as one of every field."""
    part, _, name = entry["id"].partition(".")
    is_custom = part == "custom"
    value = entry["value"]
    for key in reversed((name if is_custom else entry["id"]).split(".")):
        value = {key: value}
    return Constant(f"{where}: {entry['id']}", f"Custom<{kind!r}>" if is_custom else "Field", value)


def _query(where: str, target: Json) -> Constant:
    source = target.get("datasource")
    is_sql = isinstance(source, dict) and source.get("type") == POSTGRESQL
    return Constant(where, "Sql" if is_sql else "PromQL", target)


def _without(part: Json, keys: set[str]) -> Json:
    return {key: value for key, value in part.items() if key not in keys}
