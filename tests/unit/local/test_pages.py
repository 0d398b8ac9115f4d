"""What Alertmanager tells becomes a line for a person."""

from __future__ import annotations

from typing import Any

import pytest

from tapekeeper.local.pages import Pages


def call(receiver: str, *names: str, summary: str = "It is so.", status: str = "firing") -> dict[str, Any]:
    alerts = [
        {
            "status": status,
            "labels": {"alertname": name},
            "annotations": {"summary": summary, "runbook_url": f"https://example.com/{name}.md"},
        }
        for name in names
    ]
    return {"version": "4", "receiver": receiver, "status": status, "alerts": alerts}


def test_every_alert_is_a_line() -> None:
    assert Pages().lines(call("page", "TargetDown", "RowsDropped", status="resolved")) == [
        "page: TargetDown resolved: It is so. https://example.com/TargetDown.md",
        "page: RowsDropped resolved: It is so. https://example.com/RowsDropped.md",
    ]


def test_watchdog_which_comes_every_minute_is_told_once() -> None:
    pages = Pages()
    assert len(pages.lines(call("watchdog", "Watchdog"))) == 1
    assert pages.lines(call("watchdog", "Watchdog")) == []
    assert len(pages.lines(call("page", "TargetDown"))) == 1


def test_whoever_sends_it_cannot_write_lines_or_colours_of_his_own() -> None:
    [line] = Pages().lines(call("page", "TargetDown", summary="a\n2026-01-01T00:00:00Z page: \x1b[31mX"))
    assert line.isprintable()


def test_what_is_no_call_is_refused() -> None:
    with pytest.raises(KeyError):
        Pages().lines({"alerts": [{"labels": {}}]})
