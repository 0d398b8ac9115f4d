"""The closing table: where to look, or how to get what this machine lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapekeeper.local.airflow import LocalAirflow
from tapekeeper.local.closing import closing_table
from tapekeeper.local.collector import LocalCollector
from tapekeeper.local.credentials import Credentials
from tapekeeper.local.grafana import LocalGrafana
from tapekeeper.local.installation import Installation
from tapekeeper.local.monitoring import LocalMonitoring
from tapekeeper.local.monitoring_binaries import Grafana
from tapekeeper.local.supervisor import Supervisor
from tapekeeper.settings import read_settings

FOUND = Grafana(["/g/bin/grafana", "server"], Path("/g"))


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.load(tmp_path / "credentials.json")


def told(tmp_path: Path, credentials: Credentials, *, installed: bool) -> str:
    program = "/x/it" if installed else None
    grafana = LocalGrafana(tmp_path, tmp_path, credentials, FOUND if installed else None)
    installation = Installation(
        LocalAirflow(tmp_path, tmp_path, credentials),
        LocalCollector(tmp_path, tmp_path, credentials),
        LocalMonitoring(tmp_path, tmp_path, credentials, program, program, grafana),
        Supervisor(tmp_path, tmp_path, [], {}, keep_open=0),
        read_settings({}),
        None,
        tmp_path / "environment",
    )
    return closing_table(installation, "demo", 7)


def test_it_tells_every_address_and_how_to_log_in(tmp_path: Path, credentials: Credentials) -> None:
    table = told(tmp_path, credentials, installed=True)
    ports = (
        credentials.api_server_port,
        credentials.prometheus_port,
        credentials.alertmanager_port,
        credentials.grafana_port,
        credentials.collector_port,
        credentials.exporter_port,
    )
    assert [port for port in ports if f"http://127.0.0.1:{port}" not in table] == []
    assert table.count(f"admin  password  {credentials.admin_login_password}") == 1
    assert table.count(f"admin  password  {credentials.grafana_password}") == 1
    assert str(tmp_path / "logs" / "pages.log") in table
    assert "api/data_status/reports/7/" in table
    assert "not on this machine" not in table


def test_of_what_this_machine_lacks_it_tells_how_to_get_it(tmp_path: Path, credentials: Credentials) -> None:
    lines = told(tmp_path, credentials, installed=False).splitlines()
    missing = {line.split()[0]: line for line in lines if "not on this machine" in line}
    assert missing.keys() == {"Prometheus", "Alertmanager", "Grafana"}
    assert missing["Prometheus"].endswith("apt-get install prometheus")
    assert missing["Alertmanager"].endswith("apt-get install prometheus-alertmanager")
    assert not any(credentials.grafana_password in line for line in lines)
