"""Airflow inside the test process, on a database file of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

DAGS: Final = Path(__file__).parents[2] / "dags"


def configure_airflow() -> Path:
    """Set the environment that Airflow reads at its first import, once, and return its home."""
    home = os.environ.get("AIRFLOW_HOME")
    if home is None or not Path(home).name.startswith("tapekeeper-airflow-"):
        home = tempfile.mkdtemp(prefix="tapekeeper-airflow-")
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"
        # Elsewhere a bundle would find what an earlier run has left under its name.
        os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"] = f"{home}/bundles"
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
        os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "INFO"
    return Path(home)
