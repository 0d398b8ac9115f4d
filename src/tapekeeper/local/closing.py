"""What the demo says when everything runs: where to look, and how to log in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.local.airflow import ADMIN
from tapekeeper.local.monitoring import PAGES

if TYPE_CHECKING:
    from tapekeeper.local.installation import Installation

_MISSING: Final = "is not on this machine;"
_NAME_WIDTH: Final = 17


def closing_table(installation: Installation, name: str, quality_run_id: int) -> str:
    """Return the table.

    Args:
        installation: the one that runs.
        name: the make target that has started it.
        quality_run_id: of the run whose report is the last one.
    """
    url = installation.airflow.url
    rows = [
        ("Airflow", url),
        ("login", f"{ADMIN}  password  {installation.admin_password}"),
        ("data status", f"{url}/api/data_status/widget"),
        ("last report", f"{url}/api/data_status/reports/{quality_run_id}/"),
        *_monitoring(installation),
        ("metrics", f"http://{installation.collector.address}/metrics of the collector"),
        ("", f"http://{installation.collector.exporter_address}/metrics of what stands in the database"),
        ("in a shell", f"source {installation.environment_file} && tapekeeper status"),
        ("logs", str(installation.supervisor.logs)),
    ]
    lines = [f"  {title:<{_NAME_WIDTH}}{text}" for title, text in rows]
    return "\n".join(["", *lines, "", f"Ctrl-C stops everything; `make {name}` goes on where it ended."])


def _monitoring(installation: Installation) -> list[tuple[str, str]]:
    found = installation.monitoring
    pages = installation.supervisor.log_file(PAGES)
    prometheus = [found.prometheus_url] if found.prometheus else [f"{_MISSING} on Debian: apt-get install prometheus"]
    alertmanager = [f"{_MISSING} on Debian: apt-get install prometheus-alertmanager"]
    if found.alertmanager:
        alertmanager = [found.alertmanager_url, f"calls nobody; what would be a call is in {pages}"]
    grafana = [f"{_MISSING} put the server of its makers on the PATH, or: make compose-demo"]
    if found.grafana.binary:
        grafana = [found.grafana.url, f"{ADMIN}  password  {found.credentials.grafana_password}"]
    rows = {"Prometheus": prometheus, "Alertmanager": alertmanager, "Grafana": grafana}
    return [(name if line == 0 else "", text) for name, told in rows.items() for line, text in enumerate(told)]
