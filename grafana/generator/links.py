"""Links from a panel to what tells more, and from every dashboard to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.rules import runbook

if TYPE_CHECKING:
    from grafana.generator.queries import Json

TAG: Final = "tapekeeper"
"""Every dashboard has it, so that one menu lists them all."""
_EMPTY: Final[Json] = {
    "asDropdown": False,
    "icon": "external link",
    "includeVars": False,
    "keepTime": False,
    "tags": [],
    "targetBlank": False,
    "tooltip": "",
    "type": "link",
    "url": "",
}


def menu() -> Json:
    """Link to all dashboards, in a menu that keeps the time range."""
    return _EMPTY | {"type": "dashboards", "title": TAG, "tags": [TAG], "asDropdown": True, "keepTime": True}


def leads_to(uid: str, title: str) -> Json:
    """Link to another dashboard, with the same time range: of a panel's link Grafana takes only the address."""
    return _EMPTY | {"title": title, "url": f"/d/{uid}?${{__url_time_range}}"}


def runbook_of(alert: str) -> Json:
    """Link to the page that tells what to do about an alert."""
    return _EMPTY | {"title": f"Runbook of {alert}", "url": runbook(alert), "targetBlank": True}
