"""The live collector as a process of its own, and what its metrics tell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.server import CLONE
from tapekeeper.local.guard import guarded
from tapekeeper.local.private_files import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.venue import Venue

FLUSH_SECONDS: Final = 0.2
CHANNELS: Final = 3
"""That are followed of each option."""
WIDE_CHANNELS: Final = 3
"""That are followed beside them: states and listings of instruments, the state of the venue."""
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2
_PREFIXES: Final = ("TAPEKEEPER_", "TOP_N_", "BUFFER_SIZE_", "FLUSH_INTERVAL_", "SHARD")

Samples = dict[tuple[str, tuple[str, ...]], float]
"""By name and values of the labels, in the order of the labels' names."""


class CollectorProcess:
    """A running collector; made by `running_collector`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.log = log
        self._guard = process
        self._url = ""
        self._session = requests.Session()
        self.wait_for(self._has_told_its_url, _START_SECONDS, "it told no address")
        self._process = psutil.Process(process.pid).children()[0]

    def scrape(self) -> str:
        """Return what /metrics answers."""
        return self._session.get(f"{self._url}/metrics", timeout=_ANSWER_SECONDS).text

    def samples(self) -> Samples:
        """Return all metrics."""
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
        }

    def sample(self, name: str, *labels: str) -> float:
        """Return one metric."""
        return self.samples()[name, labels]

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return int(self._process.memory_info().rss)

    def cpu_seconds(self) -> float:
        """Return how long it has been computing so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def require_alive(self, problem: str) -> None:
        """Make sure that it runs.

        Raises:
            RuntimeError: it does not; the message shows the end of its log.
        """
        if self._guard.poll() is not None:
            raise RuntimeError(f"the collector ended, {problem}:\n{self._last_lines()}")

    def wait_for(self, condition: Callable[[], bool], seconds: float, problem: str) -> None:
        """Return once a condition holds.

        Raises:
            RuntimeError: it ended, or the time is over; the message shows the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.require_alive(problem)
            if time.monotonic() > deadline:
                raise RuntimeError(f"the collector: {problem} within {seconds:.0f} s\n{self._last_lines()}")
            time.sleep(_LOOK_SECONDS)

    def wait_until_subscribed(self, options: int) -> None:
        """Return once every channel of so many options is accepted."""
        wanted = options * CHANNELS + WIDE_CHANNELS
        self.wait_for(
            lambda: self.sample("tapekeeper_collector_subscriptions") >= wanted,
            60.0,
            f"it follows no {wanted} channels",
        )

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-20:])

    def _has_told_its_url(self) -> bool:
        told = [line for line in self.log.read_text(encoding="utf-8").splitlines() if "metrics and health on" in line]
        self._url = told[0].split()[-1] if told else ""
        return bool(self._url)


@contextmanager
def running_collector(venue: Venue, database_url: str, **settings: Any) -> Iterator[CollectorProcess]:
    """Run `python -m collector stream` for all options of ETH, yield it, and end it afterwards.

    `settings` are environment variables on top of those that every case has.
    """
    folder = private_folder(CLONE / ".tapekeeper" / "benchmarks")
    spool, log = folder / "spool", folder / "collector.log"
    shutil.rmtree(spool, ignore_errors=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    own = {
        "TAPEKEEPER_DATABASE_URL": database_url,
        "TAPEKEEPER_DERIBIT_REST_URL": venue.url,
        "TAPEKEEPER_DERIBIT_WEBSOCKET_URL": venue.websocket_url,
        "TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY": spool,
        "TAPEKEEPER_COLLECTOR_METRICS_PORT": 0,
        "TOP_N_INSTRUMENTS": "all",
        "FLUSH_INTERVAL_SEC": FLUSH_SECONDS,
    }
    command = guarded([sys.executable, "-m", "collector", "stream"], parent=os.getpid())
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=CLONE,
            env=inherited | {name: str(value) for name, value in (own | settings).items()},
            stderr=output,
        ) as process,
    ):
        try:
            yield CollectorProcess(process, log)
        finally:
            process.terminate()
            process.wait(_END_SECONDS)
