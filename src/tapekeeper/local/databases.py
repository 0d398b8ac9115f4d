"""The databases and logins of a local installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tapekeeper.local.ports import LOOPBACK
from tapekeeper.store.logins import Login, Role, ensure_logins
from tapekeeper.store.migrate import migrate

if TYPE_CHECKING:
    from tapekeeper.local.credentials import Credentials
    from tapekeeper.local.postgresql import EmbeddedPostgres

APPLICATION_LOGIN: Final = "tapekeeper_application"
VIEWER_LOGIN: Final = "tapekeeper_viewer"
GRAFANA_LOGIN: Final = "tapekeeper_grafana"
AIRFLOW_LOGIN: Final = "airflow"
DATABASE: Final = "tapekeeper"
AIRFLOW_DATABASE: Final = AIRFLOW_LOGIN


def login_url(server: EmbeddedPostgres, login: str, password: str, database: str) -> str:
    """Return the libpq URL of a login."""
    return f"postgresql://{login}:{quote(password, safe='')}@{LOOPBACK}:{server.port}/{database}"


def prepare_databases(server: EmbeddedPostgres, credentials: Credentials) -> list[str]:
    """Make the databases, tables and logins that are missing; returns the migrations that were applied."""
    logins = [
        Login(APPLICATION_LOGIN, Role.WRITER, credentials.application_password),
        Login(VIEWER_LOGIN, Role.READER, credentials.viewer_password),
        Login(GRAFANA_LOGIN, Role.DASHBOARD, credentials.grafana_database_password),
        Login(AIRFLOW_LOGIN, Role.APART, credentials.airflow_password),
    ]
    ensure_logins(server.url(DATABASE), logins)
    return migrate(server.url(DATABASE))
