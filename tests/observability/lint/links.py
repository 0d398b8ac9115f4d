"""Rules about links: they lead to something that is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.observability.lint.dashboard import at
from tests.observability.lint.frame import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.observability.lint.dashboard import Dashboard, Json
    from tests.observability.lint.project import Project

HOME: Final = "tapekeeper-overview"
_CHOSEN: Final = re.compile(r"[?&]var-(\w+)=")


def targets_of(panel: Json) -> list[str]:
    """Return the addresses of the links of a panel, of its title and of its data."""
    config = panel.get("fieldConfig", {})
    found = list(panel.get("links", []))
    found += config.get("defaults", {}).get("links", [])
    for override in config.get("overrides", []):
        found += [link for entry in override["properties"] if entry["id"] == "links" for link in entry["value"]]
    return [link["url"] for link in found]


def links_lead_somewhere(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """To a dashboard of ours with variables that it has, or to a runbook that exists."""
    found = [("the menu", link["url"]) for link in dashboard.document.get("links", []) if link["type"] == "link"]
    found += [(at(panel), url) for panel in dashboard.panels for url in targets_of(panel)]
    for where, url in found:
        if wrong := _wrong(url, project):
            yield f"{where} leads to {url}: {wrong}"


def links_keep_the_time_range(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Who follows trouble of last night does not want to see this morning. Of panels' links Grafana takes the address
    alone, so it has to be in it."""
    for panel in dashboard.panels:
        for url in targets_of(panel):
            if _uid(url) and "${__url_time_range}" not in url:
                yield f"{at(panel)} leads to {url} without ${{__url_time_range}}"


def the_menu_leads_to_all_dashboards(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """By their tag, with the time range."""
    menus = [link for link in dashboard.document.get("links", []) if link["type"] == "dashboards"]
    if not any(TAG in menu["tags"] and menu["keepTime"] for menu in menus):
        yield f"there is no menu of the dashboards with the tag {TAG!r} that keeps the time range"


def every_dashboard_is_led_to(dashboards: Sequence[Dashboard], _: Project) -> Iterator[str]:
    """By a panel of another one: who sees trouble there finds the page that tells more."""
    led_to = {
        (dashboard.document["uid"], _uid(url))
        for dashboard in dashboards
        for panel in dashboard.panels
        for url in targets_of(panel)
    }
    for dashboard in dashboards:
        uid = dashboard.document["uid"]
        if uid != HOME and not any(end == uid != start for start, end in led_to):
            yield f"no panel of another dashboard leads to {uid}"


def _uid(url: str) -> str | None:
    parts = urlsplit(url).path.split("/")
    return parts[2] if url.startswith("/d/") else None


def _wrong(url: str, project: Project) -> str | None:
    if url in project.runbooks:
        return None
    uid = _uid(url)
    if uid is None:
        return "neither a dashboard nor a runbook that exists"
    if uid not in project.dashboards:
        return "there is no such dashboard"
    unknown = set(_CHOSEN.findall(url)) - project.dashboards[uid]
    return f"that dashboard has no variable {', '.join(sorted(unknown))}" if unknown else None
