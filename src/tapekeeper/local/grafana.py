"""Grafana of a local installation, where this machine has one: the clone's dashboards over its own data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import requests

from tapekeeper.local.airflow import ADMIN
from tapekeeper.local.loopback import ask
from tapekeeper.local.ports import LOOPBACK
from tapekeeper.local.private_files import private_folder, write_private
from tapekeeper.local.supervisor import Program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekeeper.local.credentials import Credentials
    from tapekeeper.local.monitoring_binaries import Grafana

GRAFANA: Final = "grafana"
CLOSED: Final = {
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_AUTH_ANONYMOUS_ENABLED": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    "GF_SECURITY_ALLOW_EMBEDDING": "false",
    "GF_SECURITY_DISABLE_GRAVATAR": "true",
    "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
    "GF_USERS_ALLOW_ORG_CREATE": "false",
    "GF_USERS_ALLOW_SIGN_UP": "false",
}
"""Nobody comes in without the password, and nothing is asked or told outside."""
_OF_CONTAINERS: Final = {
    "prometheus": "http://prometheus:9090",
    "alertmanager": "http://alertmanager:9093",
    "postgresql": "postgres:5432",
    "password": "/run/secrets/grafana_database_password",
    "dashboards": "/etc/grafana/dashboards",
}
"""What stands in grafana/provisioning, which is written for containers."""
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class LocalGrafana:
    """One Grafana."""

    folder: Path
    """Holds its data, its settings, and the provisioning with this installation's addresses."""
    clone: Path
    credentials: Credentials
    binary: Grafana | None
    """What starts it, or None where there is none."""

    @property
    def url(self) -> str:
        """Where Grafana answers."""
        return f"http://{LOOPBACK}:{self.credentials.grafana_port}"

    @property
    def names(self) -> list[str]:
        """Its program, if there is one."""
        return [GRAFANA] if self.binary else []

    def programs(self, places: Mapping[str, str], group: str) -> list[Program]:
        """Write what Grafana reads, and return its program, none where this machine has none.

        Args:
            places: where `prometheus`, `alertmanager` (URLs) and `postgresql` (host and port) answer.
            group: of the program.
        """
        if self.binary is None:
            return []
        private_folder(self.folder)
        password = self.folder / "database_password"
        write_private(password, self.credentials.grafana_database_password)
        self._provision({**places, "password": str(password), "dashboards": str(self._dashboards)})
        environment_file = self.folder / "environment.json"
        write_private(environment_file, json.dumps(self._environment()))
        # Without a file of our own it would read what is there for the whole machine.
        write_private(self.folder / "grafana.ini", "")
        command = [*self.binary.command, f"--config={self.folder / 'grafana.ini'}"]
        return [Program(GRAFANA, command, self.folder, group, environment_file=environment_file)]

    def is_ready(self) -> bool:
        """Tell whether it answers, if there is one."""
        if self.binary is None:
            return True
        try:
            return ask(f"{self.url}/api/health", seconds=_ANSWER_SECONDS).ok
        except requests.RequestException:
            return False

    @property
    def _dashboards(self) -> Path:
        return self.clone / "grafana" / "dashboards"

    def _provision(self, places: Mapping[str, str]) -> None:
        """Write the clone's provisioning with the places of this installation instead of the containers'."""
        for file in (self.clone / "grafana" / "provisioning").glob("*/*.y*ml"):
            text = file.read_text(encoding="utf-8")
            for name, place in places.items():
                text = text.replace(_OF_CONTAINERS[name], place)
            write_private(private_folder(self.folder / "provisioning" / file.parent.name) / file.name, text)

    def _environment(self) -> dict[str, str]:
        return CLOSED | {
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(self._dashboards / "overview.json"),
            "GF_DATE_FORMATS_DEFAULT_TIMEZONE": "utc",
            "GF_LOG_MODE": "console",
            "GF_PATHS_DATA": str(self.folder / "data"),
            "GF_PATHS_LOGS": str(self.folder / "logs"),
            "GF_PATHS_PLUGINS": str(self.folder / "plugins"),
            "GF_PATHS_PROVISIONING": str(self.folder / "provisioning"),
            "GF_SECURITY_ADMIN_PASSWORD": self.credentials.grafana_password,
            "GF_SECURITY_ADMIN_USER": ADMIN,
            "GF_SECURITY_SECRET_KEY": self.credentials.grafana_secret_key,
            "GF_SERVER_HTTP_ADDR": LOOPBACK,
            "GF_SERVER_HTTP_PORT": str(self.credentials.grafana_port),
            "GF_SERVER_ROOT_URL": self.url,
        }
