"""Prometheus, Alertmanager and whoever is called, as real processes with the configuration of this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests

from tapekeeper.local.guard import guarded
from tapekeeper.local.ports import LOOPBACK, free_port
from tests.observability.rules import PROMETHEUS
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

KEPT_FOR: Final = "40d"
"""Longer than the widest range of a dashboard."""
ANSWER_SECONDS: Final = 60.0


def as_it_is(text: str) -> str:
    """Change nothing of a configuration."""
    return text


def program(*names: str) -> str:
    """Return the first of these programs that is installed; the test is skipped where there is none."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed: apt-get install prometheus prometheus-alertmanager")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server, and what it answers."""

    url: str

    def ask(self, path: str, **parameters: str | float | None) -> Any:
        """Return the data of an answer of the API.

        Raises:
            ValueError: the server refuses the question; the message says why.
        """
        asked = {name: value for name, value in parameters.items() if value is not None}
        answer = requests.get(f"{self.url}/api/v1/{path}", params=asked, timeout=ANSWER_SECONDS).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression now, of its first series, or None without any."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        told = self.ask("query", query='ALERTS{alertstate="firing"}')["result"]
        return {one["metric"]["alertname"] for one in told}


@contextmanager
def running_prometheus(
    folder: Path, targets: Mapping[str, str], render: Callable[[str], str] = as_it_is, *, history: Path | None = None
) -> Iterator[Prometheus]:
    """Run Prometheus with our configuration and rules.

    Args:
        folder: a new one, for the configuration and the data.
        targets: the address (host:port) of each job; its instance is told as the job's name.
        render: what becomes of the text of every configuration file.
        history: a folder of blocks to begin with.
    """
    folder.mkdir()
    port = free_port()
    for file in (PROMETHEUS / "prometheus.yml", *sorted((PROMETHEUS / "rules").glob("*.yml"))):
        rendered = folder / file.relative_to(PROMETHEUS)
        rendered.parent.mkdir(exist_ok=True)
        rendered.write_text(render(file.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "targets").mkdir()
    for job, address in {**targets, "prometheus": f"{LOOPBACK}:{port}"}.items():
        told = [{"targets": [address], "labels": {"instance": instance(job)}}] if address else []
        (folder / "targets" / f"{job}.yml").write_text(json.dumps(told), encoding="utf-8")
    if history is not None:
        shutil.copytree(history, folder / "data")
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={KEPT_FOR}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    with _running(command, folder / "log", f"http://{LOOPBACK}:{port}/-/ready"):
        yield Prometheus(f"http://{LOOPBACK}:{port}")


def instance(job: str) -> str:
    """Return what the only target of a job is called, whatever its port is."""
    return f"{job}:9100"


def with_webhook(folder: Path, webhook: str, render: Callable[[str], str] = as_it_is) -> Path:
    """Write our routes, all of whose receivers call this webhook, and return the file."""
    template, secret, routes = folder / "template.yml", folder / "webhook_url", folder / "alertmanager.yml"
    template.write_text(render((PROMETHEUS / "alertmanager.yml").read_text(encoding="utf-8")), encoding="utf-8")
    secret.write_text(webhook, encoding="utf-8")
    subprocess.run(["sh", PROMETHEUS / "render-alertmanager.sh", template, routes, secret], check=True)
    return routes


@contextmanager
def running_alertmanager(routes: Path) -> Iterator[str]:
    """Run Alertmanager with these routes, and its data beside them; yield its address, host:port."""
    address = f"{LOOPBACK}:{free_port()}"
    command = [
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={routes}",
        f"--storage.path={routes.parent / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with _running(command, routes.parent / "alertmanager.log", f"http://{address}/-/ready"):
        yield address


@contextmanager
def _running(command: Sequence[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(guarded([*command], parent=os.getpid()), stdout=output, stderr=output)
        try:
            wait_for(lambda: process.poll() is not None or answers(ready))
            assert process.poll() is None, log.read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    """Tell whether a server answers, and gladly."""
    try:
        return requests.get(url, timeout=ANSWER_SECONDS).ok
    except requests.ConnectionError:
        return False


@dataclass(slots=True)
class Webhook:
    """Whoever is called, and every call."""

    url: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    """The documents that Alertmanager sent, in their order."""


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Answer calls and keep them."""
    webhook = Webhook()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.calls.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Answering) as server:
        webhook.url = f"http://{LOOPBACK}:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()
