"""Rules about variables: what is named exists, and what exists is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.observability.lint.dashboard import POSTGRESQL, PROMETHEUS, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.observability.lint.dashboard import Dashboard
    from tests.observability.lint.project import Project

SOURCES: Final = {"prometheus": PROMETHEUS, "postgresql": POSTGRESQL}
"""The variables that every dashboard has, and what they choose from; provisioning gives the uids."""
ON_TIME_RANGE_CHANGE: Final = 2
_NAMED: Final = re.compile(r"\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)[^}]*\}|\[\[(\w+)[^\]]*\]\]")
_OF_GRAFANA: Final = frozenset(
    f"__{name}"
    for name in (
        "all",
        "data",
        "field",
        "from",
        "interval",
        "interval_ms",
        "range",
        "range_ms",
        "range_s",
        "rate_interval",
        "series",
        "timeFilter",
        "timeFrom",
        "timeGroup",
        "timeGroupAlias",
        "timeTo",
        "to",
        "unixEpochFilter",
        "unixEpochFrom",
        "unixEpochGroup",
        "unixEpochTo",
        "url_time_range",
        "value",
    )
)


def named(dashboard: Dashboard) -> set[str]:
    """Return the names of all variables that are used somewhere, Grafana's own among them."""
    parts = ("panels", "templating", "annotations", "links")
    texts = [text for part in parts for text in strings(dashboard.document.get(part))]
    return {name for text in texts for groups in _NAMED.findall(text) for name in groups if name}


def variables_exist(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """What is not known is sent to the data source as it is written."""
    known = {variable["name"] for variable in dashboard.variables} | _OF_GRAFANA
    yield from (f"${name} is no variable" for name in sorted(named(dashboard) - known))


def variables_are_used(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """A choice that changes nothing misleads."""
    for variable in dashboard.variables:
        if variable["name"] not in named(dashboard) | SOURCES.keys():
            yield f"the variable {variable['name']!r} is not used"


def variables_follow_the_time_range(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """What can be chosen depends on the time that is looked at."""
    for variable in dashboard.variables:
        if variable["type"] == "query" and variable.get("refresh") != ON_TIME_RANGE_CHANGE:
            yield f"the variable {variable['name']!r} does not ask again when the time range changes"


def variables_have_a_label(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """It is what a reader sees."""
    yield from (f"the variable {told['name']!r} has no label" for told in dashboard.variables if not told.get("label"))


def both_data_sources_can_be_chosen(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Where an installation has others; those that are provisioned are chosen at first."""
    found = {told["name"]: told for told in dashboard.variables if told["type"] == "datasource"}
    for name, kind in SOURCES.items():
        told = found.get(name, {})
        if told.get("query") != kind or told.get("current", {}).get("value") != f"tapekeeper-{name}":
            yield f"there is no variable {name!r} for a {kind}, tapekeeper-{name} at first"
