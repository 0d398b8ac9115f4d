"""The venue simulator as a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.server import CLONE
from tapekeeper.local.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS: Final = 30.0


class Venue:
    """A running simulator; made by `running_venue`."""

    def __init__(self, url: str, guard: psutil.Process) -> None:
        self.url = url
        """Such as http://127.0.0.1:40123."""
        self.websocket_url = f"{url.replace('http', 'ws', 1)}/ws/api/v2"
        self._simulator = guard.children()[0]

    def cpu_seconds(self) -> float:
        """Return how long the simulator has been computing so far."""
        times = self._simulator.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running_venue(seed: int, *options: str) -> Iterator[Venue]:
    """Run `python -m simulator` on a free port, yield it, and end it afterwards."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--seed", str(seed), *options]
    with subprocess.Popen(
        guarded(command, parent=os.getpid()), cwd=CLONE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Venue(_printed_url(process), psutil.Process(process.pid))
        finally:
            process.terminate()
            process.communicate()


def _printed_url(process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while process.stdout and select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline()
        if not line:
            break
        if "http://" in line:
            return "http://" + line.split("http://", 1)[1].split()[0].rstrip("/")
    raise RuntimeError(f"the simulator printed no address within {_START_SECONDS:.0f} s")
