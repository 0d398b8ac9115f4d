"""A client of Airflow's REST API (version 2, as of Airflow 3.3): log in, unpause, trigger, watch."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import requests

from tapekeeper.errors import AuthRejected, RequestRejected, VenueUnavailable
from tapekeeper.local.loopback import direct_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWER_SECONDS: Final = 30.0
ACTIVE_STATES: Final = ("queued", "running")
_PAGE: Final = 100
_HEALTHY_PARTS: Final = ("metadatabase", "scheduler", "dag_processor")


class AirflowClient:
    """One logged-in user of one Airflow.

    Every method raises RequestRejected when Airflow refuses, with its own words, and requests.RequestException when it
    cannot be reached.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._user = user
        self._password = password
        self._session = direct_session()

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def is_healthy(self) -> bool:
        """Tell whether all components that we start report themselves healthy.

        The status alone says nothing: an api-server answers 200 with a page for paths that it does not know.
        """
        try:
            found = self._session.get(f"{self._url}/api/v2/monitor/health", timeout=ANSWER_SECONDS).json()
            return all(found[part]["status"] == "healthy" for part in _HEALTHY_PARTS)
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False

    def log_in(self) -> None:
        """Fetch a token for all later calls.

        Raises:
            AuthRejected: Airflow does not know the user or the password.
        """
        login = {"username": self._user, "password": self._password}
        answer = self._session.post(f"{self._url}/auth/token", json=login, timeout=ANSWER_SECONDS)
        if answer.status_code != HTTPStatus.CREATED:
            raise AuthRejected(f"Airflow refuses the login of {self._user!r} with HTTP {answer.status_code}")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that have been read so far."""
        return {dag["dag_id"] for dag in self._ask("GET", "dags", params={"limit": _PAGE})["dags"]}

    def import_errors(self) -> list[str]:
        """Return what went wrong when DAG files were read: file and last line of the stack trace."""
        found = self._ask("GET", "importErrors", params={"limit": _PAGE})["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in found]

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Stop a DAG from running, or let it; Airflow pauses new ones."""
        self._ask("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run with parameters."""
        # logical_date has to be there; without one any number of runs may be started in the same moment.
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self._ask("POST", f"dags/{dag_id}/dagRuns", json=body)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return queued, running, success or failed."""
        return str(self._ask("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def active_runs(self, dag_id: str, prefix: str) -> Sequence[str]:
        """Return the ids of the runs under way whose id starts with the prefix."""
        found = self._ask("GET", f"dags/{dag_id}/dagRuns", params={"state": ACTIVE_STATES, "limit": _PAGE})
        return [run["dag_run_id"] for run in found["dag_runs"] if run["dag_run_id"].startswith(prefix)]

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, which ends its tasks."""
        self._ask("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"})

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of a run, by id and, where mapped, index."""
        found = self._ask("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": _PAGE})
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): str(task["state"])
            for task in found["task_instances"]
        }

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Return what a task has left for others under a key."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._ask("GET", path, params={"deserialize": "true"})["value"]

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=ANSWER_SECONDS, **options)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise VenueUnavailable(f"Airflow: {method} {path} answered HTTP {answer.status_code}", after_seconds=1)
        if not answer.ok:
            raise RequestRejected(f"Airflow: {method} {path} answered HTTP {answer.status_code}: {answer.text[:500]}")
        return answer.json()
