"""All house rules, and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.observability.lint import alert_lines, frame, links, panels, promql_queries, sql_queries, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.observability.lint.dashboard import Dashboard
    from tests.observability.lint.project import Project

RULES: Final[tuple[Callable[[Dashboard, Project], Iterator[str]], ...]] = (
    frame.uid_is_fixed,
    frame.nothing_volatile,
    frame.is_not_edited_by_hand,
    frame.has_the_last_classic_schema,
    frame.has_the_tag,
    frame.shows_utc,
    frame.panels_lie_within_the_grid,
    frame.panels_do_not_overlap,
    frame.titles_are_unique,
    frame.numbers_are_unique,
    panels.panels_have_a_title,
    panels.panels_say_which_question_they_answer,
    panels.panels_ask_something,
    panels.queries_have_names_of_their_own,
    panels.numbers_have_a_unit,
    panels.data_sources_are_variables,
    panels.queries_fit_their_data_source,
    variables.variables_exist,
    variables.variables_are_used,
    variables.variables_follow_the_time_range,
    variables.variables_have_a_label,
    variables.both_data_sources_can_be_chosen,
    promql_queries.promql_can_be_read,
    promql_queries.rates_follow_the_resolution,
    promql_queries.counters_are_counted,
    promql_queries.metrics_exist,
    promql_queries.labels_exist,
    sql_queries.sql_only_reads,
    sql_queries.sql_is_bounded,
    sql_queries.sql_names_its_columns,
    sql_queries.sql_does_not_quote_variables,
    sql_queries.macros_hold_no_parenthesis,
    alert_lines.the_line_of_the_alert_is_drawn,
    alert_lines.the_line_is_where_the_alert_begins,
    alert_lines.the_runbook_is_a_click_away,
    links.links_lead_somewhere,
    links.links_keep_the_time_range,
    links.the_menu_leads_to_all_dashboards,
)
"""About one dashboard."""
ACROSS: Final[tuple[Callable[[Sequence[Dashboard], Project], Iterator[str]], ...]] = (
    frame.dashboards_are_distinct,
    links.every_dashboard_is_led_to,
    alert_lines.every_alert_has_a_panel,
)
"""About all of them together."""


def findings(dashboard: Dashboard, project: Project) -> dict[str, list[str]]:
    """Return what a dashboard breaks, by the name of the rule."""
    found = {rule.__name__: list(rule(dashboard, project)) for rule in RULES}
    return {name: sentences for name, sentences in found.items() if sentences}


def findings_across(dashboards: Sequence[Dashboard], project: Project) -> dict[str, list[str]]:
    """Return what dashboards break together, by the name of the rule."""
    found = {rule.__name__: list(rule(dashboards, project)) for rule in ACROSS}
    return {name: sentences for name, sentences in found.items() if sentences}
