"""Dashboards are what Grafana's own schema says, and the compiler notices what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.observability.lint.dashboard import Dashboard, Json, load
from tests.observability.lint.example import example, panel
from tests.observability.typecheck.compiler import RegistryAway, complaints, installed

Fault = Callable[[Json], object]


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    try:
        installed()
    except RegistryAway as away:
        pytest.skip(f"Grafana's schema and TypeScript are not there and npm cannot fetch them: {away}")


def test_dashboards_are_what_grafanas_schema_says(tmp_path: Path) -> None:
    found = complaints({dashboard.name: dashboard for dashboard in load()}, tmp_path)
    told = [f"{name}: {complaint}" for name, told in found.items() for complaint in told]
    assert not told, "\n".join(told)


def renamed(part: Json, old: str, new: str) -> None:
    part[new] = part.pop(old)


def overrides(part: Json, name: str, value: object) -> None:
    part["overrides"] = [
        {"matcher": {"id": "byName", "options": "gap"}, "properties": [{"id": name, "value": value}]},
    ]


def frames(document: Json) -> Json:
    return panel(Dashboard("", document), "Frames")


def connections(document: Json) -> Json:
    return panel(Dashboard("", document), "Connections")


def latency(document: Json) -> Json:
    return panel(Dashboard("", document), "Latency")


def gaps(document: Json) -> Json:
    return panel(Dashboard("", document), "Newest gaps")


def defaults(part: Json) -> Json:
    told: Json = part["fieldConfig"]["defaults"]
    return told


FAULTS: dict[str, tuple[str, Fault]] = {
    "key_of_the_dashboard": ("refesh", lambda it: renamed(it, "refresh", "refesh")),
    "value_of_the_dashboard": ("Type '7'", lambda it: it.update(graphTooltip=7)),
    "key_that_is_missing": ("timezone", lambda it: it.pop("timezone")),
    "link_of_the_dashboard": ("asDropDown", lambda it: renamed(it["links"][0], "asDropdown", "asDropDown")),
    "kind_of_variable": ("qery", lambda it: it["templating"]["list"][2].update(type="qery")),
    "refresh_of_variable": ("9", lambda it: it["templating"]["list"][2].update(refresh=9)),
    "annotation": ("iconColour", lambda it: renamed(it["annotations"]["list"][0], "iconColor", "iconColour")),
    "query_of_annotation": ("csv", lambda it: it["annotations"]["list"][0]["target"].update(format="csv")),
    "kind_of_panel": ("graph", lambda it: frames(it).update(type="graph")),
    "place": ("'w'", lambda it: frames(it)["gridPos"].pop("w")),
    "heading": ("colapsed", lambda it: renamed(it["panels"][0], "collapsed", "colapsed")),
    "key_of_panel": ("transparnt", lambda it: frames(it).update(transparnt=True)),
    "link_of_panel": ("targetBlnk", lambda it: renamed(connections(it)["links"][0], "targetBlank", "targetBlnk")),
    "option": ("graphMod", lambda it: renamed(connections(it)["options"], "graphMode", "graphMod")),
    "option_inside_another": (
        "showLegnd",
        lambda it: renamed(frames(it)["options"]["legend"], "showLegend", "showLegnd"),
    ),
    "value_of_option": ('"bg"', lambda it: connections(it)["options"].update(colorMode="bg")),
    "option_of_heatmap": ("shceme", lambda it: renamed(latency(it)["options"]["color"], "scheme", "shceme")),
    "field": ("unti", lambda it: renamed(defaults(frames(it)), "unit", "unti")),
    "kind_of_steps": ('"abs"', lambda it: defaults(frames(it))["thresholds"].update(mode="abs")),
    "kind_of_mapping": ('"vale"', lambda it: defaults(connections(it))["mappings"][0].update(type="vale")),
    "custom_field": ("lineWidht", lambda it: renamed(defaults(frames(it))["custom"], "lineWidth", "lineWidht")),
    "type_of_custom_field": ("string", lambda it: defaults(frames(it))["custom"].update(lineWidth="1")),
    "value_of_custom_field": ("stacked", lambda it: defaults(frames(it))["custom"]["stacking"].update(mode="stacked")),
    "custom_field_of_stat": ("number", lambda it: defaults(connections(it)).update(custom={"lineWidth": 1})),
    "override": ("uni", lambda it: overrides(gaps(it)["fieldConfig"], "uni", "s")),
    "custom_override": ("widht", lambda it: overrides(gaps(it)["fieldConfig"], "custom.widht", 90)),
    "key_of_query": ("legendFromat", lambda it: renamed(frames(it)["targets"][0], "legendFormat", "legendFromat")),
    "format_of_query": ("timeseries", lambda it: gaps(it)["targets"][0].update(format="timeseries")),
    "source_of_query": ('"postgres"', lambda it: gaps(it)["targets"][0]["datasource"].update(type="postgres")),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the compiler says about examples with a fault each, and about one without."""
    broken = {name: example() for name in ("nothing", *FAULTS)}
    for name, (_, fault) in FAULTS.items():
        fault(broken[name].document)
    return complaints(
        {name: Dashboard(name, it.document) for name, it in broken.items()}, tmp_path_factory.mktemp("tsc")
    )


def test_the_example_is_what_the_schema_says(found: dict[str, list[str]]) -> None:
    assert found["nothing"] == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(found: dict[str, list[str]], name: str) -> None:
    word, _ = FAULTS[name]
    assert any(word in complaint for complaint in found[name]), found[name]
