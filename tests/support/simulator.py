"""The venue simulator as a real process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from tapekeeper.local.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROJECT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 30.0


class Simulator:
    """A running simulator and the means to disturb it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        """Such as http://127.0.0.1:40123; the value for TAPEKEEPER_DERIBIT_REST_URL."""

    def set_faults(self, faults: Sequence[Mapping[str, Any]]) -> Any:
        """Replace the faults in force; `simulator/README.md` lists the kinds."""
        return self._ask("POST", "/control/faults", json={"faults": list(faults)})

    def clear_faults(self) -> None:
        """End all faults."""
        self._ask("DELETE", "/control/faults")

    def state(self) -> Any:
        """Return what `GET /control/state` tells."""
        return self._ask("GET", "/control/state")

    def truth_candles(self, *, instrument: str, start: str, end: str, resolution: str = "1") -> Any:
        """Return the candles of a half-open window as the simulator knows them."""
        window = {"instrument": instrument, "start": start, "end": end, "resolution": resolution}
        return self._ask("GET", "/truth/candles", params=window)

    def truth(self, what: str, **window: Any) -> Any:
        """Return what the simulator knows, such as of `binance_um/klines` in a window of milliseconds."""
        return self._ask("GET", f"/truth/{what}", params=window)

    def set_binance_limits(self, **limits: float) -> None:
        """Change what Binance grants; counts begin anew, and no ban is left."""
        self._ask("POST", "/control/binance_um/limits", json=limits)

    def set_cryptodatadownload_limits(self, **limits: float) -> None:
        """Change how many calls CryptoDataDownload grants in which window; every key begins anew."""
        self._ask("POST", "/control/cryptodatadownload/limits", json=limits)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = requests.request(method, f"{self.base_url}{path}", timeout=ANSWER_SECONDS, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextmanager
def running_simulator(*arguments: str) -> Iterator[Simulator]:
    """Run `python -m simulator --port 0` with more arguments, and end it afterwards."""
    command = [sys.executable, "-m", "simulator", "--port", "0", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
    with subprocess.Popen(
        guarded(command, parent=os.getpid()), cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Simulator(_printed_url(process))
        finally:
            process.terminate()
            process.communicate()


def _printed_url(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise AssertionError("the simulator's output is not connected")
    deadline = time.monotonic() + START_SECONDS
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the simulator ended with exit code {process.wait()}; its error is above")
        if "http://" in line:
            return "http://" + line.split("http://", 1)[1].split()[0].rstrip("/")
    raise AssertionError(f"the simulator printed no URL in {START_SECONDS} s")
