"""A client of the simulator's WebSocket, and the truth to compare with."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import requests
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.simulator import Simulator

LONGEST_WAIT: Final = 30.0


class Stream:
    """One connection to the simulator."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.kept: list[Any] = []
        """Notifications that came while an answer was waited for."""
        self._last_id = 0

    def begin(self, method: str, **params: Any) -> int:
        """Send a request, and return its id."""
        self._last_id += 1
        call = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self.socket.send(json.dumps(call))
        return self._last_id

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request, and return the answer to it."""
        asked = self.begin(method, **params)
        while True:
            message = self.read()
            if message.get("id") == asked:
                return message
            self.kept.append(message)

    def subscribe(self, *channels: str) -> list[str]:
        """Subscribe, and return what was accepted."""
        accepted: list[str] = self.ask("public/subscribe", channels=list(channels))["result"]
        return accepted

    def read(self) -> Any:
        """Return the next message."""
        return json.loads(self.socket.recv(LONGEST_WAIT))

    def next(self) -> Any:
        """Return the next message, those first that came before an answer."""
        return self.kept.pop(0) if self.kept else self.read()

    def notices(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Return the `params` of notifications until there are enough.

        Raises:
            AssertionError: there are not, after a time that decides only how long a failure takes.
        """
        heard: list[Any] = []
        deadline = time.monotonic() + LONGEST_WAIT
        while not enough(heard):
            assert time.monotonic() < deadline, f"only {heard[-3:]}"
            message = self.next()
            if message.get("method") == "subscription":
                heard.append(message["params"])
        return heard


@contextmanager
def streaming(simulator: Simulator, **options: Any) -> Iterator[Stream]:
    """Connect to the simulator's WebSocket."""
    options = {"max_size": None, "compression": None, "ping_interval": None, "close_timeout": 1, **options}
    with connect(websocket_url(simulator), **options) as socket:
        yield Stream(socket)


def websocket_url(simulator: Simulator) -> str:
    """Return the address of the simulator's WebSocket."""
    return simulator.base_url.replace("http://", "ws://") + "/ws/api/v2"


def truth(simulator: Simulator, what: str, **query: Any) -> Any:
    """Return what `GET /truth/{what}` tells."""
    return requests.get(f"{simulator.base_url}/truth/{what}", params=query, timeout=LONGEST_WAIT).json()


def control(simulator: Simulator, what: str, **body: Any) -> Any:
    """Return what `POST /control/{what}` answers."""
    return requests.post(f"{simulator.base_url}/control/{what}", json=body, timeout=LONGEST_WAIT).json()


def options(simulator: Simulator, number: int, currency: str = "ETH") -> list[str]:
    """Return the busiest options, by open interest."""
    query = {"currency": currency, "kind": "option"}
    url = f"{simulator.base_url}/api/v2/public/get_book_summary_by_currency"
    rows = requests.get(url, params=query, timeout=LONGEST_WAIT).json()["result"]
    return [row["instrument_name"] for row in sorted(rows, key=lambda row: -row["open_interest"])[:number]]
