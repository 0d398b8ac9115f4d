"""Airflow's api-server as a real process, with the project's plugins and logins of the simple auth manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from tapekeeper.local.airflow import ADMIN, API_SERVER, MIGRATE, VIEWER, LocalAirflow
from tapekeeper.local.credentials import Credentials
from tapekeeper.local.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tapekeeper.local.supervisor import Program

PROJECT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 30.0
METADATA: Final = "airflow.db"
_PAUSE_SECONDS: Final = 0.2
_NOWHERE: Final = "postgresql://nobody@127.0.0.1/nothing"


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running api-server."""

    url: str
    """Its address with the base path, without a slash at the end."""
    log: Path
    passwords: Mapping[str, str]

    def token(self, user: str) -> str:
        """Return a new token for a user, as a script would ask for one."""
        login = {"username": user, "password": self.passwords[user]}
        answer = requests.post(f"{self.url}/auth/token", json=login, timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def make_metadata(folder: Path) -> Path:
    """Return a SQLite file with Airflow's own tables, for as many api-servers as take a copy: it takes seconds."""
    airflow = LocalAirflow(folder / "airflow", PROJECT, Credentials.load(folder / "credentials.json"))
    migration, *_ = airflow.programs(metadata_url=_metadata_url(folder), tapekeeper_url=_NOWHERE, more={})
    assert migration.name == MIGRATE
    with _started(migration, folder / "migrate.log") as process:
        if process.wait() != 0:
            raise AssertionError((folder / "migrate.log").read_text(encoding="utf-8"))
    return folder / METADATA


@contextmanager
def running_api_server(
    folder: Path, metadata: Path, settings: Mapping[str, str], *, base_path: str = ""
) -> Iterator[ApiServer]:
    """Run an api-server with these tapekeeper settings and a copy of these metadata until the block ends.

    `base_path` is where a proxy would show it, such as /airflow.
    """
    credentials = Credentials.load(folder / "credentials.json")
    airflow = LocalAirflow(folder / "airflow", PROJECT, credentials)
    url = airflow.url + base_path
    shutil.copy(metadata, folder / METADATA)
    programs = airflow.programs(
        metadata_url=_metadata_url(folder),
        tapekeeper_url=_NOWHERE,
        more={**settings, "AIRFLOW__API__BASE_URL": url},
    )
    [api_server] = [program for program in programs if program.name == API_SERVER]
    log = folder / "api-server.log"
    with _started(api_server, log) as process:
        _wait_until_it_answers(url, process, log)
        passwords = {ADMIN: credentials.admin_login_password, VIEWER: credentials.viewer_login_password}
        yield ApiServer(url, log, passwords)


def _metadata_url(folder: Path) -> str:
    return f"sqlite:///{folder / METADATA}"


@contextmanager
def _started(program: Program, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = guarded(list(program.command), environment_file=program.environment_file, parent=os.getpid())
    ours = ("TAPEKEEPER_", "AIRFLOW_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=program.directory, env=environment
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer = requests.get(f"{url}/api/v2/version", timeout=ANSWER_SECONDS)
        except requests.ConnectionError:
            time.sleep(_PAUSE_SECONDS)
        else:
            # A path that Airflow does not know is answered with a page and 200, so the body decides.
            if answer.status_code == HTTPStatus.OK and "version" in answer.json():
                return
    raise AssertionError(
        f"the api-server did not come up:\n{log.read_text(encoding='utf-8', errors='replace')[-5000:]}"
    )
