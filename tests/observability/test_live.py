"""Everything that is watched, running: what dashboards ask is answered, and who is called when the collector dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.observability.live.dashboard_queries import Grafana, Outcome
from tests.observability.live.seconds import seconds_for_minutes
from tests.observability.live.servers import (
    Webhook,
    running_alertmanager,
    running_prometheus,
    running_webhook,
    with_webhook,
)
from tests.observability.live.stack import SCRAPED, Stack, running_stack
from tests.support.processes import wait_for
from tests.support.simulator import PROJECT

DASHBOARDS = sorted((PROJECT / "grafana" / "dashboards").glob("*.json"))
HISTORY_DAYS = 3.5
"""What is usual is known after three days, and the slow budget looks at three."""
EMPTY = {
    f"tapekeeper-airflow-database / {panel}"
    for panel in (
        "Scheduler",
        "Import errors",
        "Runs that failed",
        "Start delay",
        "Reading the DAGs",
        "Tasks that wait",
        "DAG runs",
        "Duration of DAG runs",
        "Room for tasks",
    )
}
"""The panels that have nothing to show: they look at Airflow's own metrics, and no Airflow runs here."""


@pytest.fixture(scope="module")
def stack(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(module_database_url, tmp_path_factory.mktemp("live"), days=HISTORY_DAYS) as running:
        yield running


@pytest.fixture(scope="module")
def grafana(stack: Stack) -> Grafana:
    return Grafana(stack.prometheus, stack.reader_url)


def wrong(outcomes: list[Outcome]) -> list[str]:
    """Return what a person would see that something is wrong with."""
    told = [f"{outcome.where}: {outcome.trouble}" for outcome in outcomes if outcome.trouble]
    return told + [
        f"{outcome.where}: empty"
        for outcome in outcomes
        if outcome.panel and not outcome.trouble and (outcome.values == 0) != (outcome.panel in EMPTY)
    ]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_query_is_answered_and_no_panel_is_empty(grafana: Grafana, file: Path) -> None:
    assert wrong(grafana.open(json.loads(file.read_text(encoding="utf-8")))) == []


PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "${postgresql}"}


def page(metric: dict[str, Any] | None = None, sql: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a dashboard with a panel of each data source, and what is changed of their queries."""
    asked = {
        "datasource": PROMETHEUS,
        "refId": "A",
        "expr": "rate(tapekeeper_collector_messages_total[$__rate_interval])",
    }
    rows = {
        "datasource": POSTGRESQL,
        "refId": "A",
        "format": "time_series",
        "rawSql": "SELECT opened_at AS time, missing FROM data_gaps WHERE $__timeFilter(opened_at) ORDER BY opened_at",
    }
    return {
        "uid": "page",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "prometheus", "type": "datasource", "query": PROMETHEUS["type"]},
                {"name": "postgresql", "type": "datasource", "query": POSTGRESQL["type"]},
            ]
        },
        "annotations": {"list": []},
        "panels": [
            {"title": "Metric", "targets": [{**asked, "legendFormat": "{{channel}}", **(metric or {})}]},
            {"title": "Rows", "targets": [{**rows, **(sql or {})}]},
        ],
        **more,
    }


def test_a_good_page_is_good(grafana: Grafana) -> None:
    assert wrong(grafana.open(page())) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (page({"expr": "tapekeeper_colector_messages_total"}), "Metric / A: empty"),
        (page({"expr": "rate(tapekeeper_collector_messages_total[5m]"}), "Metric / A: 1:45: parse error"),
        (page({"expr": "0 / (0 * tapekeeper_instruments_expected)", "legendFormat": ""}), "Metric / A: empty"),
        (page({"expr": 'up{job=~"$jobs"}'}), "Metric / A: there is no variable 'jobs'"),
        (page({"legendFormat": "{{chanel}}"}), "Metric / A: the legend has the label 'chanel'"),
        (page({"datasource": {**PROMETHEUS, "uid": "${postgresql}"}}), "Metric / A: ${postgresql} is no data source"),
        (page(sql={"rawSql": "SELECT opened_at AS time, mising FROM data_gaps"}), 'Rows / A: column "mising"'),
        (page(sql={"rawSql": "SELECT now() AS time, 1 AS one LIMIT 0"}), "Rows / A: empty"),
        (page(sql={"rawSql": "SELECT opened_at, missing FROM data_gaps"}), "Rows / A: a time series has no column"),
        (page(sql={"rawSql": "SELECT $__timeFrame()"}), "Rows / A: there is no macro '__timeFrame'"),
        (page(sql={"rawSql": "SELECT $dataset", "format": "table"}), "Rows / A: there is no variable 'dataset'"),
        (page(sql={"rawSql": "DELETE FROM data_gaps", "format": "table"}), "Rows / A: cannot execute DELETE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(grafana: Grafana, broken: dict[str, Any], told: str) -> None:
    [found] = wrong(grafana.open(broken))
    assert found.startswith(f"page / {told}")


def test_the_death_of_the_collector_is_one_page_and_its_return_ends_it(stack: Stack, tmp_path: Path) -> None:
    with (
        running_webhook() as webhook,
        running_alertmanager(with_webhook(tmp_path, webhook.url, seconds_for_minutes)) as alertmanager,
        running_prometheus(tmp_path / "prometheus", stack.targets(alertmanager), seconds_for_minutes) as prometheus,
    ):
        # Until the first scrape everything is missing.
        wait_for(lambda: prometheus.value("count(up == 1)") == SCRAPED and not told(alertmanager))
        webhook.calls.clear()
        stack.running_collector.kill()
        wait_for(lambda: bool(pages(webhook)))
        # What follows from it fires as well, later, and is kept back.
        wait_for(lambda: told(alertmanager).get("TicksAbsent") == "suppressed")
        assert pages(webhook) == {"TargetDown"}
        stack.start_collector()
        wait_for(lambda: "TargetDown" in pages(webhook, "resolved"))


def told(alertmanager: str) -> dict[str, str]:
    """Return `active` or `suppressed` for each critical alert of the collector that Alertmanager knows."""
    alerts = requests.get(f"http://{alertmanager}/api/v2/alerts", timeout=60).json()
    return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts if of_the_collector(alert)}


def pages(webhook: Webhook, status: str = "firing") -> set[str]:
    """Return the alerts of the collector that somebody was woken up for, or that were told to be over."""
    alerts = [alert for call in webhook.calls if call["receiver"] == "page" for alert in call["alerts"]]
    return {alert["labels"]["alertname"] for alert in alerts if alert["status"] == status and of_the_collector(alert)}


def of_the_collector(alert: dict[str, Any]) -> bool:
    """Tell whether an alert is critical and speaks of the collector, by its job or because nothing else feeds it.

    What it says about the disk of this machine is another matter.
    """
    labels = alert["labels"]
    return (
        labels["alertname"] != "DiskWillFill"
        and labels["severity"] == "critical"
        and labels["service"] in {"collector", "freshness", "monitoring"}
        and labels.get("job", "collector") == "collector"
    )
