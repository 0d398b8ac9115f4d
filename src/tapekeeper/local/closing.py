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
    monitoring = installation.monitoring
    prometheus = monitoring.prometheus_url
    rows = [
        ("Prometheus", prometheus if monitoring.prometheus else f"{_MISSING} on Debian: apt-get install prometheus"),
    ]
    if monitoring.alertmanager:
        rows.append(("Alertmanager", monitoring.alertmanager_url))
        rows.append(("", f"it calls nobody; what would be a call is in {installation.supervisor.log_file(PAGES)}"))
    else:
        rows.append(("Alertmanager", f"{_MISSING} on Debian: apt-get install prometheus-alertmanager"))
    return rows
