"""A server on a real socket that says exactly the bytes it was told to, for what no well-behaved server does."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    from types import TracebackType

DRIP_SECONDS: Final = 0.02
JOIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Said:
    """What the server says to one request, and what it does then."""

    content: bytes
    then: Literal["keep", "close", "reset", "hang", "drip"] = "keep"


def http_answer(status: int, body: bytes = b"", headers: str = "") -> bytes:
    """Return a whole HTTP answer; `headers` are whole lines."""
    return f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class ScriptedServer:
    """Gives one answer after the other; the last one again and again."""

    def __init__(self, *script: Said | bytes) -> None:
        self._script = [Said(answer) if isinstance(answer, bytes) else answer for answer in script]
        self.requests: list[str] = []
        """The head of every request."""
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def base_url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        # Closing alone would not wake the thread that waits in accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(JOIN_SECONDS)
        self._socket.close()
        if self._thread.is_alive():
            raise AssertionError("the client has left its connection open")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket) -> None:
        while head := _read_head(connection):
            self.requests.append(head)
            said = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            connection.sendall(said.content)
            if said.then == "keep":
                continue
            if said.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif said.then == "hang":
                connection.recv(1)
            elif said.then == "drip":
                connection.settimeout(DRIP_SECONDS)
                _drip(connection)
            return


def _read_head(connection: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65_536)
        if not part:
            return ""
        head += part
    return head.decode()


def _drip(connection: socket.socket) -> None:
    """Send a byte now and then until the other side has gone."""
    while True:
        connection.sendall(b" ")
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
