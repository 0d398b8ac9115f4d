"""Prometheus, Alertmanager and Grafana of a local installation, as far as this machine has them.

Rules and routes are those of the clone; only the addresses are this installation's, and nobody is called: what would be
a call is a line in a log.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import requests

from tapekeeper.errors import Stop
from tapekeeper.local.grafana import GRAFANA, LocalGrafana
from tapekeeper.local.loopback import ask
from tapekeeper.local.monitoring_binaries import find_monitoring
from tapekeeper.local.ports import LOOPBACK
from tapekeeper.local.private_files import private_folder, write_private
from tapekeeper.local.supervisor import Program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekeeper.local.credentials import Credentials

PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
PAGES: Final = "pages"
RETENTION: Final = "35d"
"""The rate of messages is compared with the last seven days, objectives are looked at over 30."""
_GROUP: Final = "monitoring"
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class LocalMonitoring:
    """A Prometheus, an Alertmanager, what Alertmanager calls, and a Grafana."""

    folder: Path
    """Holds their data, and what is written for them."""
    clone: Path
    credentials: Credentials
    prometheus: str | None
    """The program, or None where there is none."""
    alertmanager: str | None
    grafana: LocalGrafana

    @classmethod
    def find(cls, folder: Path, clone: Path, credentials: Credentials, search_path: str | None) -> Self:
        """Return what this machine has on a PATH, by default that of this process."""
        found = find_monitoring(search_path)
        grafana = LocalGrafana(folder / GRAFANA, clone, credentials, found.grafana)
        return cls(folder, clone, credentials, found.prometheus, found.alertmanager, grafana)

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{LOOPBACK}:{self.credentials.prometheus_port}"

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""
        return f"http://{LOOPBACK}:{self.credentials.alertmanager_port}"

    @property
    def jobs(self) -> list[str]:
        """Prometheus and Alertmanager as far as they are there, which Prometheus watches as well."""
        found = {ALERTMANAGER: self.alertmanager, PROMETHEUS: self.prometheus}
        return [job for job, program in found.items() if program]

    @property
    def names(self) -> list[str]:
        """All programs, in the order of start."""
        return [*([PAGES] if self.alertmanager else []), *self.jobs, *self.grafana.names]

    def programs(self, watched: Mapping[str, str], postgresql: str) -> list[Program]:
        """Write what the programs read, and return them, none where this machine has none.

        Args:
            watched: host and port to be scraped, by job of prometheus.yml.
            postgresql: host and port of the database.

        Raises:
            Stop: the routes of Alertmanager cannot be written.
        """
        private_folder(self.folder)
        programs = []
        if self.alertmanager:
            pages = [sys.executable, "-m", "tapekeeper.local.pages", str(self.credentials.pages_port)]
            programs = [Program(PAGES, pages, self.folder, _GROUP), self._alertmanager(self.alertmanager)]
        if self.prometheus:
            programs.append(self._prometheus(self.prometheus, watched))
        places = {"prometheus": self.prometheus_url, "alertmanager": self.alertmanager_url, "postgresql": postgresql}
        return programs + self.grafana.programs(places, _GROUP)

    def targets(self) -> dict[str, str]:
        """Return whether each job that Prometheus has is up or down, or unknown as long as it was not scraped.

        Raises:
            requests.RequestException: Prometheus does not answer.
        """
        answer = ask(f"{self.prometheus_url}/api/v1/targets?state=active", seconds=_ANSWER_SECONDS)
        answer.raise_for_status()
        active: list[dict[str, Any]] = answer.json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in sorted(active, key=lambda it: it["scrapePool"])}

    def is_ready(self) -> bool:
        """Tell whether those that there are answer."""
        wanted = {self.prometheus_url: self.prometheus, self.alertmanager_url: self.alertmanager}
        try:
            return (
                all(ask(f"{url}/-/ready", seconds=_ANSWER_SECONDS).ok for url, program in wanted.items() if program)
                and self.grafana.is_ready()
            )
        except requests.RequestException:
            return False

    def _prometheus(self, program: str, watched: Mapping[str, str]) -> Program:
        home = private_folder(self.folder / PROMETHEUS)
        # The configuration looks for its rules and targets beside itself.
        for name in ("prometheus.yml", "rules"):
            (home / name).unlink(missing_ok=True)
            (home / name).symlink_to(self.clone / "prometheus" / name)
        addresses = {PROMETHEUS: self.credentials.prometheus_port}
        addresses |= {ALERTMANAGER: self.credentials.alertmanager_port} if self.alertmanager else {}
        found = dict(watched) | {job: f"{LOOPBACK}:{port}" for job, port in addresses.items()}
        targets = private_folder(home / "targets")
        for file in (self.clone / "prometheus" / "targets").glob("*.yml"):
            job = file.stem
            # Its port may be another one tomorrow: known by its name, that of yesterday is missed by nobody.
            told = [{"targets": [found[job]], "labels": {"instance": job}}] if job in found else []
            write_private(targets / file.name, json.dumps(told))
        command = [
            program,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={LOOPBACK}:{self.credentials.prometheus_port}",
        ]
        return Program(PROMETHEUS, command, home, _GROUP)

    def _alertmanager(self, program: str) -> Program:
        home = private_folder(self.folder / ALERTMANAGER)
        configuration, address = home / "alertmanager.yml", home / "webhook_url"
        write_private(address, f"http://{LOOPBACK}:{self.credentials.pages_port}/\n")
        of_clone = self.clone / "prometheus"
        render = ["sh", of_clone / "render-alertmanager.sh", of_clone / "alertmanager.yml", configuration, address]
        done = subprocess.run(list(map(str, render)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stop(f"the routes of Alertmanager cannot be written: {done.stderr.strip()}")
        command = [
            program,
            f"--config.file={configuration}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self.credentials.alertmanager_port}",
            # It is alone; by itself it would listen for others on all interfaces.
            "--cluster.listen-address=",
        ]
        return Program(ALERTMANAGER, command, home, _GROUP)
