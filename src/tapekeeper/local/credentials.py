"""The passwords, keys and ports of one local installation: made once, kept in a private file."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final, Self

from tapekeeper.local.ports import free_port
from tapekeeper.local.private_files import read_json, write_private

if TYPE_CHECKING:
    from pathlib import Path

_PORTS: Final = {
    "api_server_port": None,
    "simulator_port": None,
    "collector_port": 9101,
    "exporter_port": 9102,
    "prometheus_port": 9090,
    "alertmanager_port": 9093,
    "pages_port": None,
    "grafana_port": 3000,
}
"""Which ports there are, and the number that each would like to have."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What has to stay the same when the demo is started again. Never printed, but for the admin's login."""

    application_password: str
    """Of the database login that writes."""
    viewer_password: str
    """Of the database login that only reads."""
    airflow_password: str
    """Of the login of Airflow's own database."""
    admin_login_password: str
    """Of `admin` in Airflow's user interface."""
    viewer_login_password: str
    """Of `viewer` in Airflow's user interface."""
    grafana_password: str
    """Of `admin` in Grafana."""
    grafana_database_password: str
    """Of the database login that dashboards read with."""
    grafana_secret_key: str
    api_secret_key: str
    jwt_secret: str
    fernet_key: str
    api_server_port: int
    simulator_port: int
    collector_port: int
    """Of the live collector's metrics and health."""
    exporter_port: int
    """Of the exporter's metrics and health."""
    prometheus_port: int
    alertmanager_port: int
    pages_port: int
    """Of what Alertmanager calls."""
    grafana_port: int

    @classmethod
    def load(cls, file: Path) -> Self:
        """Return what the file holds, new values for what it does not, and ports that are free now; all kept again."""
        kept = read_json(file)
        ports = {name: free_port(kept.get(name, preferred)) for name, preferred in _PORTS.items()}
        texts = {
            field.name: str(kept.get(field.name) or secrets.token_urlsafe(24))
            for field in fields(cls)
            if field.name not in ports
        }
        texts["fernet_key"] = str(kept.get("fernet_key") or base64.urlsafe_b64encode(os.urandom(32)).decode())
        credentials = cls(**texts, **ports)  # type: ignore[arg-type]
        write_private(file, json.dumps(asdict(credentials)))
        return credentials
