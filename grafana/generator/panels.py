"""Panels: what is asked, how it is drawn. A dashboard gives them their number and their place.

Option names are those of Grafana's own schema; the type check of the generated files compares them with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from grafana.generator.links import runbook_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana.generator.queries import Json

_NEWEST: Final[Json] = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_NO_LEGEND: Final[Json] = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
_LEGEND: Final[Json] = {
    "calcs": ["lastNotNull", "max"],
    "displayMode": "table",
    "placement": "bottom",
    "showLegend": True,
}

_NAMES: Final[Json] = _NO_LEGEND | {"showLegend": True}

Steps = tuple[tuple[float | None, str], ...]
"""Colours from a value upwards, the first from None: `((None, "green"), (120, "red"))`."""
CALM: Final[Steps] = ((None, "green"),)
PLAIN: Final[Steps] = ((None, "text"),)
WARNING: Final = ("orange",)
SHADED: Final[Json] = {"type": "color-background", "mode": "basic"}
"""Cells on the colour of their word or step."""
MINUTE: Final = "time:YYYY-MM-DD HH:mm"
"""Unit of a moment, in a table."""
COLOURED: Final[Json] = {"type": "color-text"}
"""Cells whose text has the colour of its word or step."""
QUIET: Final = {"green": "dark-green"}
"""Colours for whole tiles and cells: bright green would outshine a red one."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel."""

    kind: str
    title: str
    question: str
    """What it answers; shown where a person points at the title."""
    queries: Sequence[Json]
    width: int
    """Of 24 columns."""
    height: int
    """In rows of 30 pixels."""
    options: Json
    unit: str | None = None
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    steps: Steps = CALM
    coloured_by: str = "thresholds"
    """Grafana's colour mode: `thresholds`, `palette-classic`, `fixed` ..."""
    colour: str | None = None
    custom: Json = field(default_factory=dict)
    mappings: Sequence[Json] = ()
    overrides: Sequence[Json] = ()
    no_value: str | None = None
    """Shown where there is no data, on `unknown`: what is not known is not well."""
    unknown: str = "red"
    """Another colour where a young installation cannot know yet."""
    said_when_empty: str | None = None
    """The same where nothing is well."""
    alerts: Sequence[str] = ()
    """Alerts on what is shown: the panel leads to their runbooks."""
    more: Json | None = None
    """A link to the dashboard that tells more, by `leads_to`."""
    transformations: Sequence[Json] = ()
    smallest_step: str | None = None
    """Points lie at least so far apart, such as `1h`: `$__rate_interval` is then that, and counts are of an hour."""

    def as_json(self, number: int, column: int, row: int) -> Json:
        """Give the panel as the file holds it.

        Args:
            number: unique in the dashboard.
            column: of the left edge, from 0.
            row: of the upper edge, from 0.
        """
        names = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        links = [*([self.more] if self.more else []), *map(runbook_of, self.alerts)]
        panel: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.question,
            "gridPos": {"x": column, "y": row, "w": self.width, "h": self.height},
            "datasource": self.queries[0]["datasource"],
            "targets": [{"refId": name} | query for name, query in zip(names, self.queries, strict=False)],
            "options": self.options,
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
        }
        if links:
            panel["links"] = links
        if self.smallest_step:
            panel["interval"] = self.smallest_step
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel

    def _defaults(self) -> Json:
        color: Json = {"mode": self.coloured_by} | ({"fixedColor": self.colour} if self.colour else {})
        steps = [{"color": colour, "value": value} for value, colour in self.steps]
        given = {
            "unit": self.unit,
            "decimals": self.decimals,
            "min": self.minimum,
            "max": self.maximum,
            "noValue": self.no_value or self.said_when_empty,
            "custom": self.custom or None,
        }
        # The text alone would stand on the colour of the first step, which says that all is well.
        nothing = {"text": self.no_value, "color": self.unknown, "index": len(self.mappings)}
        unknown: Json = {"type": "special", "options": {"match": "null+nan", "result": nothing}}
        defaults: Json = {"color": color, "mappings": [*self.mappings, *([unknown] if self.no_value else [])]}
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        return defaults | {name: value for name, value in given.items() if value is not None}


def named(texts: Mapping[Any, tuple[str, str]]) -> list[Json]:
    """Show words and colours for values: `{1: ("GREEN", "green"), 0: ("RED", "red")}`."""
    options = {
        str(value): {"text": text, "color": colour, "index": n}
        for n, (value, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def column(name: str, **properties: Any) -> Json:
    """Draw one column of a table, or one series, differently; `custom__width=90` sets `custom.width`."""
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def alert_line(*values: float, colours: Sequence[str] = ("red",)) -> Steps:
    """Give the steps that draw the line of an alert in a graph, whichever side of it is well.

    Red where somebody is called; `WARNING` where it can wait.
    """
    return ((None, "green"), *zip(values, colours, strict=True))


def coloured(colours: dict[str, str]) -> list[Json]:
    """Give series the same colour always, by their names."""
    return [column(name, color={"mode": "fixed", "fixedColor": colour}) for name, colour in colours.items()]


def stat(title: str, question: str, *queries: Json, width: int = 4, height: int = 4, **more: Any) -> Panel:
    """Show one number, large, on the colour of its step."""
    more["steps"] = tuple((value, QUIET.get(colour, colour)) for value, colour in more.get("steps", CALM))
    options = {
        "colorMode": more.pop("color_mode", "background_solid"),
        "graphMode": more.pop("graph", "none"),
        "justifyMode": "center",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": _NEWEST,
        "showPercentChange": False,
        "textMode": more.pop("text_mode", "auto"),
        "wideLayout": True,
    }
    return Panel("stat", title, question, queries, width, height, options, **more)


def graph(title: str, question: str, *queries: Json, width: int = 12, height: int = 8, **more: Any) -> Panel:
    """Draw numbers over time. With steps beyond the first, the line of the alert is drawn too, and the axis reaches it.

    `legend` is False, `names`, or True for names with newest and greatest value.
    """
    legend = {True: _LEGEND, False: _NO_LEGEND, "names": _NAMES}[more.pop("legend", True)]
    stacked = more.pop("stacked", False)
    lines = [value for value, _ in more.get("steps", CALM) if value is not None]
    custom: Json = {
        "axisPlacement": "auto",
        "drawStyle": more.pop("drawn_as", "line"),
        "fillOpacity": 40 if stacked else 10,
        "lineInterpolation": more.pop("line", "linear"),
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if lines else "off"},
    }
    if lines or stacked:
        custom |= {"axisSoftMin": 0}
    if lines:
        custom |= {"axisSoftMax": 1.1 * max(lines)}
    custom |= more.pop("custom", {})
    more.setdefault("coloured_by", "palette-classic")
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel("timeseries", title, question, queries, width, height, options, custom=custom, **more)


def bars(title: str, question: str, *queries: Json, width: int = 12, height: int = 8, **more: Any) -> Panel:
    """Show a bar per series, from its newest number."""
    options = {
        "displayMode": "basic",
        "legend": _NO_LEGEND,
        "maxVizHeight": 36,
        "minVizHeight": 14,
        "minVizWidth": 8,
        "namePlacement": more.pop("names", "left"),
        "orientation": "horizontal",
        "reduceOptions": more.pop("reduced", _NEWEST),
        "showUnfilled": True,
        "sizing": "manual",
        "valueMode": "color",
    }
    return Panel("bargauge", title, question, queries, width, height, options, **more)


def table(title: str, question: str, *queries: Json, width: int = 24, height: int = 8, **more: Any) -> Panel:
    """List rows.

    `nothing` is what stands there when there is no row and that is well; a cell without a value in a column that is
    named in `overrides` stays empty.
    """
    options = {"cellHeight": "sm", "showHeader": True, "frameIndex": 0, "sortBy": more.pop("sorted_by", [])}
    if nothing := more.pop("nothing", None):
        empty = {"id": "noValue", "value": ""}
        told = more.get("overrides", ())
        more["overrides"] = [one | {"properties": [*one["properties"], empty]} for one in told]
        more["said_when_empty"] = nothing
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False} | more.pop("custom", {})
    more.setdefault("steps", PLAIN)
    return Panel("table", title, question, queries, width, height, options, custom=custom, **more)


def states(title: str, question: str, *queries: Json, width: int = 24, height: int = 8, **more: Any) -> Panel:
    """Draw a band per series, coloured by its state over time."""
    options = {
        "alignValue": "left",
        "legend": _NO_LEGEND,
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": more.pop("show_value", "never"),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0} | more.pop("custom", {})
    return Panel("state-timeline", title, question, queries, width, height, options, custom=custom, **more)


def heatmap(title: str, question: str, *queries: Json, width: int = 12, height: int = 8, **more: Any) -> Panel:
    """Draw the buckets of a histogram over time; `unit` is that of the bucket bounds."""
    unit = more.pop("unit")
    scheme = {
        "mode": "scheme",
        "scheme": "Oranges",
        "steps": 64,
        "exponent": 0.5,
        "fill": "dark-orange",
        "reverse": False,
    }
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": scheme | {"scale": "exponential"},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    return Panel("heatmap", title, question, queries, width, height, options, **more)
