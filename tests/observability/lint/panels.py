"""Rules about one panel: that a person understands it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.observability.lint.dashboard import POSTGRESQL, PROMETHEUS, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.observability.lint.dashboard import Dashboard
    from tests.observability.lint.project import Project

SOURCES: Final = (
    {"type": PROMETHEUS, "uid": "${prometheus}"},
    {"type": POSTGRESQL, "uid": "${postgresql}"},
)
"""Through the variables of the dashboard, with the full name of the plugin: the picker then finds them."""
_OF_GRAFANA: Final = {"type": "datasource", "uid": "-- Mixed --"}
_WITH_UNIT: Final = frozenset({"timeseries", "stat", "gauge", "bargauge"})


def panels_have_a_title(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Without one nobody can speak of it."""
    yield from (f"panel {panel.get('id')} has no title" for panel in dashboard.panels if not panel.get("title"))


def panels_say_which_question_they_answer(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """The description is the question: what answers none is clutter."""
    for panel in dashboard.answers:
        if "?" not in panel.get("description", ""):
            yield f"{at(panel)} has no description that asks something"


def panels_ask_something(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """A panel without a query stays empty."""
    for panel in dashboard.answers:
        if not any(target.get("expr") or target.get("rawSql") for target in panel.get("targets", [])):
            yield f"{at(panel)} has no query"


def queries_have_names_of_their_own(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Of two queries with one refId Grafana shows one."""
    for panel in dashboard.answers:
        names = [target.get("refId") for target in panel.get("targets", [])]
        if len(set(names)) < len(names) or None in names:
            yield f"{at(panel)} gives its queries the names {names}"


def numbers_have_a_unit(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Or words in their place."""
    for panel in dashboard.answers:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if panel["type"] == "heatmap":
            has_unit = panel["options"].get("yAxis", {}).get("unit")
        else:
            has_unit = panel["type"] not in _WITH_UNIT or defaults.get("unit") or defaults.get("mappings")
        if not has_unit:
            yield f"{at(panel)} has no unit"


def data_sources_are_variables(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """As objects: Grafana 13 refuses a name alone, and a fixed uid would tie the file to one installation."""
    for panel in dashboard.answers:
        targets = panel.get("targets", [])
        told = [target.get("datasource") for target in targets]
        if any(source not in SOURCES for source in told) or panel.get("datasource") not in (*SOURCES, _OF_GRAFANA):
            yield f"{at(panel)} asks {panel.get('datasource')}, its queries {told}"
    for kind, asked in (("variable", dashboard.variables), ("annotation", dashboard.annotations)):
        for part in asked:
            if part.get("type") != "datasource" and part.get("datasource") not in SOURCES:
                yield f"{kind} {part['name']!r} asks {part.get('datasource')}"


def queries_fit_their_data_source(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """PromQL goes to Prometheus, SQL to PostgreSQL."""
    language: dict[str, Any] = {PROMETHEUS: "expr", POSTGRESQL: "rawSql"}
    for panel in dashboard.answers:
        for target in panel.get("targets", []):
            source = target.get("datasource")
            if isinstance(source, dict) and source.get("type") in language and language[source["type"]] not in target:
                yield f"{at(panel)} asks {source['type']} without {language[source['type']]!r}"
