"""The seam to the network: connect, send, receive, close. A faster library needs nothing but another such module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from tapekeeper.errors import NetworkFailure, TapekeeperError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
FRAME_BYTES_MAXIMUM: Final = 8 * 1024 * 1024
"""A larger frame is a fault of the venue: the connection is closed with 1009."""
FRAMES_WAITING: Final = 256
"""Frames that the library reads ahead; beyond it TCP itself slows the venue down."""


class TransportClosed(TapekeeperError):
    """The connection is gone; the code is WebSocket's, 1006 where there was no closing frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """One connection that carries frames."""

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            TransportClosed: there is none any more.
        """
        ...

    async def send(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            TransportClosed: nobody takes it any more.
        """
        ...

    async def close(self) -> None:
        """End the connection; never raises, and never waits longer than a second."""
        ...


async def connect(url: str) -> Transport:
    """Return a new connection.

    Raises:
        NetworkFailure: there is none to be had.
    """
    try:
        connection = await websocket_connect(
            url,
            compression=None,
            open_timeout=CONNECT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            # The venue's own heartbeats tell whether the connection lives.
            ping_interval=None,
            max_size=FRAME_BYTES_MAXIMUM,
            max_queue=FRAMES_WAITING,
            proxy=None,
        )
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise NetworkFailure(f"no connection to {url}: {error or type(error).__name__}", after_seconds=1.0) from error
    return _WebSocket(connection)


class _WebSocket:
    """The library `websockets` as a transport."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def send(self, frame: bytes) -> None:
        try:
            await self._connection.send(frame, text=True)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def close(self) -> None:
        await self._connection.close()


def _closed(error: ConnectionClosed) -> TransportClosed:
    told = error.rcvd or error.sent
    return TransportClosed(told.code, told.reason) if told else TransportClosed(1006, "")
