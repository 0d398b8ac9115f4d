"""The local Airflow: its configuration by environment, and its processes.

Every value follows Airflow 3.3's configuration reference; all components get the same keys, or they refuse each other.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.local.ports import LOOPBACK
from tapekeeper.local.private_files import private_folder, write_private
from tapekeeper.local.supervisor import Program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekeeper.local.credentials import Credentials

ADMIN: Final = "admin"
VIEWER: Final = "viewer"
TASKS_AT_ONCE: Final = 4
MIGRATE: Final = "airflow-migrate"
API_SERVER: Final = "airflow-api-server"
SCHEDULER: Final = "airflow-scheduler"
DAG_PROCESSOR: Final = "airflow-dag-processor"
COMPONENTS: Final = (API_SERVER, SCHEDULER, DAG_PROCESSOR)
_SERVER_GROUP: Final = "airflow-server"
_WORK_GROUP: Final = "airflow-work"
"""Stopped before the server, so that tasks that are under way can still report to it."""
_STOP_SECONDS: Final = 10
"""The scheduler waits for its tasks, however long they take; ours lose nothing when they are killed."""
_NEW_DAG_SECONDS: Final = "10"
"""How soon a new or changed DAG file is noticed."""
_ORPHANED_TASKS_SECONDS: Final = "30"
"""How soon a scheduler takes over tasks of one that was killed."""
_HEARTBEAT_SECONDS: Final = "1"
"""How long a task that has ended may keep its place, and a scheduler that stops waits for it; by default it is 5."""


@dataclass(frozen=True, slots=True)
class LocalAirflow:
    """One Airflow in a folder of its own, with the DAGs and plugins of the clone."""

    folder: Path
    """AIRFLOW_HOME: logs, the passwords of the logins, the environment of the processes."""
    clone: Path
    credentials: Credentials

    @property
    def url(self) -> str:
        """The address of the user interface and of the REST API."""
        return f"http://{LOOPBACK}:{self.credentials.api_server_port}"

    @property
    def task_logs(self) -> Path:
        """Where the tasks' own logs are, by DAG, run and task."""
        return self.folder / "logs"

    def programs(self, *, metadata_url: str, tapekeeper_url: str, more: Mapping[str, str]) -> list[Program]:
        """Write the files that Airflow needs, and return its programs; the migration goes first and ends by itself.

        Args:
            metadata_url: libpq URL of Airflow's own database.
            tapekeeper_url: libpq URL behind the connection id `tapekeeper`.
            more: further environment variables of every component, such as tapekeeper's settings.
        """
        private_folder(self.folder)
        passwords = {ADMIN: self.credentials.admin_login_password, VIEWER: self.credentials.viewer_login_password}
        write_private(self._passwords_file, json.dumps(passwords))
        environment_file = self.folder / "environment.json"
        environment = self._environment(metadata_url) | {"AIRFLOW_CONN_TAPEKEEPER": tapekeeper_url} | dict(more)
        write_private(environment_file, json.dumps(environment))

        def program(name: str, group: str, *command: str, once: bool = False) -> Program:
            return Program(
                name,
                (sys.executable, "-m", "airflow", *command),
                self.folder,
                group,
                environment_file=environment_file,
                grace_seconds=_STOP_SECONDS,
                once=once,
            )

        return [
            program(MIGRATE, _SERVER_GROUP, "db", "migrate", once=True),
            program(API_SERVER, _SERVER_GROUP, "api-server"),
            # The api-server reads the tasks' logs from the same disk; a log server would listen on all interfaces.
            program(SCHEDULER, _WORK_GROUP, "scheduler", "--skip-serve-logs"),
            program(DAG_PROCESSOR, _WORK_GROUP, "dag-processor"),
        ]

    @property
    def _passwords_file(self) -> Path:
        return self.folder / "passwords.json"

    @property
    def _bundle(self) -> dict[str, object]:
        return {
            "name": "tapekeeper",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(self.clone / "dags"), "refresh_interval": int(_NEW_DAG_SECONDS)},
        }

    def _environment(self, metadata_url: str) -> dict[str, str]:
        core = {
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": str(TASKS_AT_ONCE),
            "LOAD_EXAMPLES": "False",
            "DAGS_FOLDER": str(self.clone / "dags"),
            "PLUGINS_FOLDER": str(self.clone / "plugins"),
            "FERNET_KEY": self.credentials.fernet_key,
            "SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:ADMIN,{VIEWER}:VIEWER",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
        }
        api = {
            "HOST": LOOPBACK,
            "PORT": str(self.credentials.api_server_port),
            "BASE_URL": self.url,
            "WORKERS": "1",
            "SECRET_KEY": self.credentials.api_secret_key,
        }
        sections: dict[str, dict[str, str]] = {
            "CORE": core,
            "API": api,
            "API_AUTH": {"JWT_SECRET": self.credentials.jwt_secret},
            "DATABASE": {"SQL_ALCHEMY_CONN": metadata_url.replace("postgresql:", "postgresql+psycopg2:", 1)},
            "DAG_PROCESSOR": {
                "DAG_BUNDLE_CONFIG_LIST": json.dumps([self._bundle]),
                "MIN_FILE_PROCESS_INTERVAL": _NEW_DAG_SECONDS,
            },
            "SCHEDULER": {"ORPHANED_TASKS_CHECK_INTERVAL": _ORPHANED_TASKS_SECONDS},
            "WORKERS": {"MIN_HEARTBEAT_INTERVAL": _HEARTBEAT_SECONDS},
            "LOGGING": {"COLORED_CONSOLE_LOG": "False"},
        }
        variables = {
            f"AIRFLOW__{section}__{option}": value
            for section, options in sections.items()
            for option, value in options.items()
        }
        return {"AIRFLOW_HOME": str(self.folder), **variables}
