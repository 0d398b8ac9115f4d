"""The seam to the network: connect, send, receive, close. A faster library needs nothing but another such module."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import State

from tapekeeper.errors import NetworkFailure, TapekeeperError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.protocol import Event

CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
FRAME_BYTES_MAXIMUM: Final = 8 * 1024 * 1024
"""A larger frame is a fault of the venue: the connection is closed with 1009."""
FRAMES_WAITING: Final = 256
"""With more frames waiting nothing more is read: TCP itself slows the venue down."""
_WHOLE_TEXT: Final = 0x81
"""How a frame begins that holds a whole text (RFC 6455, 5.2); then come the length, and where that is 126 or 127 the
length in as many bytes as told here, and, as a server does not mask, the text."""
_LONGEST_SHORT: Final = 125
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_REFUSED: Final = FRAME_BYTES_MAXIMUM + 1
_SHORTEST_HEAD: Final = 2


class TransportClosed(TapekeeperError):
    """The connection is gone; the code is WebSocket's, 1006 where there was no closing frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """One connection that carries frames."""

    async def receive(self) -> Sequence[bytes]:
        """Return all frames that have come since, oldest first; at least one.

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
            proxy=None,
            create_connection=_Connection,
        )
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise NetworkFailure(f"no connection to {url}: {error or type(error).__name__}", after_seconds=1.0) from error
    return _WebSocket(cast(_Connection, connection))


class _WebSocket:
    """The library `websockets` as a transport."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def receive(self) -> Sequence[bytes]:
        try:
            return await self._connection.take_frames()
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def send(self, frame: bytes) -> None:
        try:
            await self._connection.send(frame, text=True)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def close(self) -> None:
        await self._connection.close()


class _Connection(ClientConnection):
    """The library's connection, but whole texts are cut out of the bytes before it sees them.

    It takes more time for a frame than everything else that is done with it. All that is rare is left to it: the
    handshake, texts in several frames, pings, closing, and whatever breaks the protocol.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._frames: list[bytes] = []
        """Those that wait, oldest first."""
        self._fragments: list[bytes] = []
        """Of a text that has not ended."""
        self._rest = b""
        """The beginning of a frame whose end has not come."""
        self._is_paused = False
        self._has_news = asyncio.Event()

    async def take_frames(self) -> list[bytes]:
        """Wait for frames, and hand over all there are."""
        while not self._frames:
            if self.protocol.state is State.CLOSED:
                raise self.protocol.close_exc
            self._has_news.clear()
            await self._has_news.wait()
        frames, self._frames = self._frames, []
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()
        return frames

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self.protocol.state is State.CONNECTING:
            data = self._shake_hands(data)
        data = self._rest + data if self._rest else data
        end = self._cut(data) if self.protocol.state is State.OPEN else 0
        self._rest = data[end:]
        if self._rest and self.protocol.state is not State.OPEN:
            rest, self._rest = self._rest, b""
            super().data_received(rest)
        if len(self._frames) > FRAMES_WAITING and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._has_news.set()

    def process_event(self, event: Event) -> None:
        """Take what the library found."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._frames.append(b"".join(self._fragments))
            self._fragments.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more comes."""
        super().connection_lost(exc)
        self._has_news.set()

    def _shake_hands(self, data: bytes) -> bytes:
        """Hand line by line to the library until it is content; return what comes after, which is the first frame."""
        for line in data.splitlines(keepends=True):
            if self.protocol.state is not State.CONNECTING:
                break
            super().data_received(line)
            data = data[len(line) :]
        return data

    def _cut(self, data: bytes) -> int:
        """Cut all whole frames out of bytes that begin with one; return where the first that is not whole begins."""
        begin, size, keep = 0, len(data), self._frames.append
        while (text := begin + _SHORTEST_HEAD) <= size:
            length = data[begin + 1]
            if length > _LONGEST_SHORT:
                further = _LENGTH_BYTES.get(length, 0)
                text += further
                if text > size:
                    break
                # The library refuses a server that masks its frames, and a frame that is too large.
                length = int.from_bytes(data[text - further : text], "big") if further else _REFUSED
            end = text + length
            if end > size and length <= FRAME_BYTES_MAXIMUM:
                break
            if data[begin] == _WHOLE_TEXT and end <= size and not self._fragments:
                keep(data[text:end])
            else:
                super().data_received(data[begin:end])
                if self.protocol.state is not State.OPEN:
                    return min(end, size)
            begin = end
        return begin


def _closed(error: ConnectionClosed) -> TransportClosed:
    told = error.rcvd or error.sent
    return TransportClosed(told.code, told.reason) if told else TransportClosed(1006, "")
