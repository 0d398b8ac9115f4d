"""`make compose-demo`: the containers of docker-compose.yml with a simulated venue, and a backfill through Airflow."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment, now_microseconds
from tapekeeper.errors import ConfigInvalid, RetryLater, Stop, TapekeeperError
from tapekeeper.local.airflow import ADMIN
from tapekeeper.local.airflow_client import AirflowClient
from tapekeeper.local.console import Console
from tapekeeper.local.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLONE: Final = Path(__file__).parents[3]
DEMO: Final = "simulator/compose.env"
BACKFILL_DAG: Final = "deribit_perpetual_candles"
LIVE_DAG: Final = "deribit_perpetual_candles_live"
INSTRUMENTS: Final = ("BTC-PERPETUAL", "ETH-PERPETUAL")
DAYS: Final = 7
DAGS_SECONDS: Final = 180.0
BACKFILL_SECONDS: Final = 1800.0
_POLL_SECONDS: Final = 1.0
_PAGES: Final = {
    "airflow-api-server": ("Airflow", "", "airflow_admin_password"),
    "grafana": ("Grafana", "", "grafana_admin_password"),
    "prometheus": ("Prometheus", "", None),
    "alertmanager": ("Alertmanager", "", None),
    "collector": ("live collector", "/readyz", None),
    "exporter": ("exporter", "/metrics", None),
}
"""What a person may want to open: by service its name, the path, and the secret that logs `admin` in."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The containers of the demo: a project of their own beside those of a real installation."""

    command: tuple[str, ...]
    """Docker Compose, with the files that hold its variables."""
    services: tuple[str, ...] = ()
    """Only these and what they need; none named means all."""

    def run(self, *arguments: str) -> None:
        """Run a command of Compose, which tells what it does itself.

        Raises:
            Stop: it failed.
        """
        if subprocess.run([*self.command, *arguments], cwd=CLONE, check=False).returncode:
            raise Stop(f"docker compose {arguments[0]} failed: `{' '.join(self.command)} logs SERVICE` tells why")

    def described(self) -> dict[str, Any]:
        """Return the file of the stack as Compose understands it, with all variables filled in."""
        found = subprocess.run(
            [*self.command, "config", "--format", "json"], cwd=CLONE, capture_output=True, check=False
        )
        if found.returncode:
            raise Stop(f"docker-compose.yml cannot be read: {found.stderr.decode(errors='replace').strip()}")
        described: dict[str, Any] = json.loads(found.stdout)
        return described


def find_compose(folder: Path = CLONE) -> tuple[str, ...]:
    """Return the command of Docker Compose: the plugin of Docker, else a program, else that of the development tools.

    Raises:
        ConfigInvalid: there is none.
    """
    if docker := shutil.which("docker"):
        plugin = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return (docker, "compose")
    own = folder / ".venv" / "bin" / "docker-compose"
    program = shutil.which("docker-compose") or (str(own) if own.exists() else None)
    if program is None:
        raise ConfigInvalid("Docker Compose is not installed: see https://docs.docker.com/compose/install/")
    return (program,)


def demo_stack(services: Sequence[str] = ()) -> Stack:
    """Return the stack of the demo; variables of the file .env hold where the demo has none of its own."""
    files = [name for name in (".env", DEMO) if (CLONE / name).exists()]
    return Stack((*find_compose(), *(word for name in files for word in ("--env-file", name))), tuple(services))


def start(stack: Stack, console: Console) -> None:
    """Build and start the containers, wait for their health, and fetch the last days through Airflow."""
    described = stack.described()
    secrets = Path(described["secrets"]["airflow_admin_password"]["file"]).parent
    if subprocess.run(["sh", CLONE / "docker" / "make-secrets.sh", secrets], check=False).returncode:
        raise Stop(f"the secrets cannot be made: {secrets} has to be a folder of yours")
    console.say("Building the images: some minutes the first time.")
    stack.run("build", "--quiet")
    console.say("Starting the containers, and waiting until each says that it is well.")
    stack.run("up", "--detach", "--wait", *stack.services)
    url = address(described, "airflow-api-server")
    client = AirflowClient(url, ADMIN, read_secret(described, "airflow_admin_password"))
    try:
        with console.step("Airflow's DAGs"):
            client.log_in()
            _wait(lambda: {BACKFILL_DAG, LIVE_DAG} <= client.dag_ids(), DAGS_SECONDS, "Airflow has not read the DAGs")
        with console.step(f"the last {DAYS} days of {' and '.join(INSTRUMENTS)} through Airflow"):
            summary = _backfill(client)
        client.pause(LIVE_DAG, paused=False)
    finally:
        client.close()
    console.say(f"{summary['inserted']:,} rows are new, of {summary['requested']:,} asked for.")
    console.say("\n".join(pages(described, stack.services)))
    console.say("\nmake compose-down ends it and keeps the data; make compose-down ARGS=--volumes forgets that too.")


def _backfill(client: AirflowClient) -> dict[str, Any]:
    """Run the backfill and return its summary."""
    end = now_microseconds()
    run_id = f"compose__{format_moment(end)}"
    conf = {
        "instruments": list(INSTRUMENTS),
        "start": format_moment(end - DAYS * MICROSECONDS_PER_DAY),
        "end": format_moment(end),
        "keep_fresh": True,
    }
    client.pause(BACKFILL_DAG, paused=False)
    client.trigger(BACKFILL_DAG, run_id, conf)
    _wait(lambda: client.run_state(BACKFILL_DAG, run_id) in {"success", "failed"}, BACKFILL_SECONDS, "it has not ended")
    if client.run_state(BACKFILL_DAG, run_id) == "failed":
        raise Stop(f"the run {run_id} failed: {client.task_states(BACKFILL_DAG, run_id)}; Airflow shows the logs")
    summary: dict[str, Any] = client.xcom(BACKFILL_DAG, run_id, "summary", "return_value")
    return summary


def _wait(reached: Callable[[], bool], seconds: float, otherwise: str) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if reached():
                return
        except (requests.RequestException, RetryLater):
            pass  # It is being started again; the clock runs on.
        time.sleep(_POLL_SECONDS)
    raise Stop(f"{otherwise} within {seconds:.0f} seconds")


def address(described: dict[str, Any], service: str) -> str:
    """Return where a service answers on this machine."""
    return f"http://{LOOPBACK}:{described['services'][service]['ports'][0]['published']}"


def read_secret(described: dict[str, Any], name: str) -> str:
    """Return the content of a secret."""
    return Path(described["secrets"][name]["file"]).read_text(encoding="utf-8").strip()


def pages(described: dict[str, Any], services: Sequence[str] = ()) -> list[str]:
    """Return a line for each page that a person may want to open, with the login where there is one.

    With services named, only theirs.
    """
    lines = []
    for service, (name, path, secret) in _PAGES.items():
        if services and service not in services:
            continue
        login = f"  login admin  password {read_secret(described, secret)}" if secret else ""
        lines.append(f"  {name:<16} {address(described, service)}{path}{login}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or end the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tapekeeper.local.compose", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="build, start, and backfill")
    up.add_argument("services", nargs="*", help="only these and what they need")
    down = commands.add_parser("down", help="end all containers; the data stay")
    down.add_argument("--volumes", action="store_true", help="delete the data too")
    chosen = parser.parse_args(arguments)
    console = Console(to_standard_error=False)
    try:
        if chosen.command == "up":
            start(demo_stack(chosen.services), console)
        else:
            demo_stack().run("down", "--remove-orphans", *(["--volumes"] if chosen.volumes else []))
    except (TapekeeperError, requests.RequestException) as error:
        console.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
