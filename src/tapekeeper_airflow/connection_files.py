"""Airflow's connections from files: `AIRFLOW_CONN_TAPEKEEPER_FILE` names one that holds a URL.

As a secrets backend, so that a secret that Docker or Kubernetes mounts as a file is in no environment:
`[secrets] backend = tapekeeper_airflow.connection_files.ConnectionFiles`.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.secrets import BaseSecretsBackend


class ConnectionFiles(BaseSecretsBackend):
    """Knows the connections whose file the environment names, and leaves all others to Airflow."""

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - Airflow's
        """Return the URL in the connection's file, or None where the environment names none."""
        file = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}_FILE")
        return Path(file).read_text(encoding="utf-8").strip() if file else None
