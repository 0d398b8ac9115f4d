"""Dashboards keep the house rules, and every rule notices what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.observability.lint import frame, house
from tests.observability.lint.dashboard import Dashboard, Json, load
from tests.observability.lint.example import example, panel
from tests.observability.lint.project import Project, project
from tests.observability.lint.promql import as_sent
from tests.observability.test_rules import promtool

DASHBOARDS = load()
Fault = Callable[[Json], object]


@cache
def surroundings() -> Project:
    return project(DASHBOARDS)


@cache
def surroundings_of_the_example() -> Project:
    return project([example()])


def test_there_are_the_seven_dashboards() -> None:
    names = {"overview", "collector", "freshness", "gaps", "backfill", "quality", "airflow_database"}
    assert {dashboard.name for dashboard in DASHBOARDS} == names


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_dashboards_keep_the_rules(dashboard: Dashboard) -> None:
    found = house.findings(dashboard, surroundings())
    assert not found, as_text(found)


def test_together_they_keep_the_rules_too() -> None:
    found = house.findings_across(DASHBOARDS, surroundings())
    assert not found, as_text(found)


def as_text(found: dict[str, list[str]]) -> str:
    """Tell all findings, a line for each: pytest would show the first few."""
    return "".join(f"\n{rule}: {sentence}" for rule, sentences in found.items() for sentence in sentences)


def as_rules(dashboards: list[Dashboard], folder: Path) -> Path:
    """Write every expression as a rule, which is what promtool reads."""
    asked = [query.text for dashboard in dashboards for query in dashboard.queries if query.language == "promql"]
    group = {
        "name": "dashboards",
        "rules": [{"record": f"dashboards:{n}:asked", "expr": as_sent(text)} for n, text in enumerate(asked)],
    }
    file = folder / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    return file


def test_prometheus_itself_takes_every_expression(tmp_path: Path) -> None:
    """The parser of our rules is one of a newer Prometheus."""
    done = promtool("check", "rules", as_rules(DASHBOARDS, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_expression_of_a_newer_prometheus_is_noticed(tmp_path: Path) -> None:
    broken = example()
    in_query("Frames", "sum(", "limitk(3, ")(broken.document)
    done = promtool("check", "rules", as_rules([broken], tmp_path))
    assert done.returncode == 1
    assert "limitk" in done.stdout + done.stderr


def test_the_example_keeps_them() -> None:
    assert house.findings(example(), surroundings_of_the_example()) == {}


def in_panel(title: str, fault: Fault) -> Fault:
    """Plant a fault in one panel."""
    return lambda document: fault(panel(Dashboard("", document), title))


def in_query(title: str, old: str, new: str) -> Fault:
    """Write a part of a panel's query in another way."""

    def plant(document: Json) -> None:
        (target,) = panel(Dashboard("", document), title)["targets"]
        key = "expr" if "expr" in target else "rawSql"
        assert old in target[key]
        target[key] = target[key].replace(old, new)

    return plant


def in_defaults(title: str, **changed: Any) -> Fault:
    return in_panel(title, lambda panel: panel["fieldConfig"]["defaults"].update(changed))


def in_variable(**changed: Any) -> Fault:
    return lambda document: document["templating"]["list"][-1].update(changed)


def leading_to(url: str) -> Fault:
    return in_panel("Frames", lambda panel: panel.update(links=[{"type": "link", "title": "More", "url": url}]))


POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "${postgresql}"}
FAULTS: list[tuple[str, Fault]] = [
    ("uid_is_fixed", lambda document: document.update(uid="overview")),
    ("nothing_volatile", lambda document: document.update(id=7)),
    ("nothing_volatile", lambda document: document.update(version=3)),
    ("is_not_edited_by_hand", lambda document: document.update(editable=True)),
    ("has_the_last_classic_schema", lambda document: document.update(schemaVersion=39)),
    ("has_the_tag", lambda document: document.update(tags=[])),
    ("shows_utc", lambda document: document.update(timezone="browser")),
    ("panels_lie_within_the_grid", in_panel("Newest gaps", lambda panel: panel["gridPos"].update(x=1))),
    ("panels_do_not_overlap", in_panel("Frames", lambda panel: panel["gridPos"].update(w=13))),
    ("titles_are_unique", in_panel("Frames", lambda panel: panel.update(title="Latency"))),
    ("numbers_are_unique", in_panel("Frames", lambda panel: panel.update(id=1))),
    ("panels_have_a_title", in_panel("Frames", lambda panel: panel.update(title=""))),
    ("panels_say_which_question_they_answer", in_panel("Frames", lambda panel: panel.update(description="Frames."))),
    ("panels_say_which_question_they_answer", in_panel("Frames", lambda panel: panel.pop("description"))),
    ("panels_ask_something", in_panel("Frames", lambda panel: panel.update(targets=[]))),
    (
        "queries_have_names_of_their_own",
        in_panel("Frames", lambda panel: panel.update(targets=2 * panel["targets"])),
    ),
    ("numbers_have_a_unit", in_panel("Frames", lambda panel: panel["fieldConfig"]["defaults"].pop("unit"))),
    ("numbers_have_a_unit", in_panel("Latency", lambda panel: panel["options"].pop("yAxis"))),
    ("data_sources_are_variables", in_panel("Frames", lambda panel: panel.update(datasource="Prometheus"))),
    (
        "data_sources_are_variables",
        in_panel("Newest gaps", lambda panel: panel["targets"][0].update(datasource=POSTGRESQL | {"type": "postgres"})),
    ),
    (
        "data_sources_are_variables",
        lambda document: document["annotations"]["list"][0].update(datasource=POSTGRESQL | {"uid": "abc"}),
    ),
    ("data_sources_are_variables", in_variable(datasource=None)),
    (
        "queries_fit_their_data_source",
        in_panel("Frames", lambda panel: panel["targets"][0].update(datasource=POSTGRESQL)),
    ),
    ("variables_exist", in_query("Frames", '"book"', '"$channel"')),
    ("variables_exist", in_query("Newest gaps", "$__timeFilter(opened_at)", "$__timeFliter(opened_at)")),
    ("variables_are_used", in_query("Newest gaps", " AND cause IN (${cause:sqlstring})", "")),
    ("variables_follow_the_time_range", in_variable(refresh=1)),
    ("variables_have_a_label", in_variable(label="")),
    ("both_data_sources_can_be_chosen", lambda document: document["templating"]["list"][1].update(query="postgres")),
    (
        "both_data_sources_can_be_chosen",
        lambda document: document["templating"]["list"][0].update(current={"text": "default", "value": "default"}),
    ),
    ("promql_can_be_read", in_query("Frames", "))", ")")),
    ("rates_follow_the_resolution", in_query("Frames", "$__rate_interval", "7m")),
    ("counters_are_counted", in_query("Latency", "rate(tapekeeper", "last_over_time(tapekeeper")),
    ("metrics_exist", in_query("Frames", "messages_total", "massages_total")),
    ("metrics_exist", in_query("Age of the newest tick", ":tapekeeper_tick_age:", ":tapekeeper_tick:")),
    ("labels_exist", in_query("Frames", "channel=", "chanel=")),
    ("sql_only_reads", in_query("Newest gaps", "SELECT", "DELETE FROM data_gaps; SELECT")),
    ("sql_only_reads", in_query("Newest gaps", "FROM data_gaps", "INTO kept FROM data_gaps")),
    ("sql_only_reads", in_query("Newest gaps", "ORDER", "; ORDER")),
    (
        "sql_only_reads",
        lambda document: document["annotations"]["list"][0]["target"].update(rawSql="CALL tidy(LIMIT 1)"),
    ),
    ("sql_is_bounded", in_variable(query="SELECT DISTINCT cause FROM data_gaps -- LIMIT 20")),
    ("sql_names_its_columns", in_query("Newest gaps", "SELECT", "SELECT data_gaps.*,")),
    ("sql_does_not_quote_variables", in_query("Newest gaps", "${cause:sqlstring}", "'${cause}'")),
    (
        "macros_hold_no_parenthesis",
        in_query("Newest gaps", "$__timeFilter(opened_at)", "$__timeFilter(max(opened_at))"),
    ),
    ("the_line_of_the_alert_is_drawn", in_defaults("Age of the newest tick", thresholds={"steps": [{"value": None}]})),
    ("the_line_of_the_alert_is_drawn", in_defaults("Connections", mappings=[], unit="short")),
    (
        "the_line_is_where_the_alert_begins",
        in_defaults("Age of the newest tick", thresholds={"steps": [{"value": None}, {"value": 121}]}),
    ),
    ("the_runbook_is_a_click_away", in_panel("Connections", lambda panel: panel.pop("links"))),
    ("the_runbook_is_a_click_away", in_query("Frames", "messages_total{channel", "decode_errors_total{channel")),
    ("links_lead_somewhere", leading_to("/d/tapekeeper-nowhere?${__url_time_range}")),
    ("links_lead_somewhere", leading_to("/d/tapekeeper-overview?${__url_time_range}&var-venue=deribit")),
    ("links_lead_somewhere", leading_to("https://git.example.com/tapekeeper/prometheus/runbooks/TicksLost.md")),
    ("links_keep_the_time_range", leading_to("/d/tapekeeper-overview")),
    ("the_menu_leads_to_all_dashboards", lambda document: document.update(links=[])),
]


@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found_by_its_rule_alone(rule: str, fault: Fault) -> None:
    broken = example()
    fault(broken.document)
    assert list(house.findings(Dashboard("overview", broken.document), surroundings_of_the_example())) == [rule]


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _ in FAULTS} == {rule.__name__ for rule in house.RULES}


def test_a_uid_that_is_too_long_for_grafana_is_found() -> None:
    name = "a" * 30
    too_long = Dashboard(name, {"uid": f"tapekeeper-{name}"})
    assert list(frame.uid_is_fixed(too_long, surroundings())) == ["its uid has 41 characters, and Grafana takes 40"]


def across(*changed: tuple[str, str]) -> list[Dashboard]:
    """Return two dashboards that lead to each other, with parts of the second written in another way."""
    first, second = example(), example()
    for found, name in ((first, "overview"), (second, "gaps")):
        found.document.update(uid=f"tapekeeper-{name}", title=name)
    panel(first, "Frames")["links"] = [{"type": "link", "url": "/d/tapekeeper-gaps"}]
    panel(second, "Frames")["links"] = [{"type": "link", "url": url} for url in surroundings().runbooks]
    for key, value in changed:
        second.document[key] = value
    return [first, second]


def test_what_dashboards_break_together_is_found() -> None:
    assert house.findings_across(across(), surroundings()) == {}
    twice = house.findings_across(across(("title", "overview")), surroundings())
    assert twice == {"dashboards_are_distinct": ["2 dashboards have the title 'overview'"]}
    alone = across()
    panel(alone[0], "Frames")["links"] = []
    assert house.findings_across(alone, surroundings()) == {
        "every_dashboard_is_led_to": ["no panel of another dashboard leads to tapekeeper-gaps"]
    }
    unknown = across()
    panel(unknown[1], "Frames")["links"].pop()
    (lacking,) = house.findings_across(unknown, surroundings())["every_alert_has_a_panel"]
    assert lacking.startswith("no panel leads to the runbook of ")
