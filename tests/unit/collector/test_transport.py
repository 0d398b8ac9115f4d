"""The transport against a server on the loopback that sends bytes by hand, in pieces as a network may make them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from collector.transport import FRAME_BYTES_MAXIMUM, FRAMES_WAITING, Transport, TransportClosed, connect
from tapekeeper.errors import NetworkFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LONG_SECONDS: Final = 30.0
SHORT, MIDDLE, LARGE = b"a" * 125, b"b" * 126, b"c" * 70_000
"""Texts whose length is written in one, three and nine bytes."""


class Peer:
    """The other end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol()
        self._first = first
        self.pieces_sent = 0

    async def shake_hands(self) -> None:
        while not (events := self._events(await self._reader.read(4096))):
            pass
        assert isinstance(events[0], Request)
        self._protocol.send_response(self._protocol.accept(events[0]))
        self._writer.write(b"".join(self._protocol.data_to_send()) + self._first)

    async def send(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            self.pieces_sent += 1
            await asyncio.sleep(0)

    async def frame(self) -> Frame:
        """Return the next frame that the client sends."""
        while not (events := self._events(await self._reader.read(4096))):
            pass
        assert isinstance(events[0], Frame)
        return events[0]

    def close(self) -> None:
        self._writer.close()

    def _events(self, data: bytes) -> list[object]:
        assert data, "the client is gone"
        self._protocol.receive_data(data)
        return list(self._protocol.events_received())


@asynccontextmanager
async def connected(first: bytes = b"") -> AsyncIterator[tuple[Peer, Transport]]:
    """Yield both ends; `first` comes together with the end of the handshake."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, first)
        await peer.shake_hands()
        peers.put_nowait(peer)

    async with asyncio.timeout(LONG_SECONDS), await asyncio.start_server(welcome, "127.0.0.1", 0) as server:
        transport = await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        peer = await peers.get()
        try:
            yield peer, transport
        finally:
            peer.close()
            await transport.close()


async def received(transport: Transport, count: int) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < count:
        found = await transport.receive()
        assert found
        frames += found
    return frames


def text(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 127, 4_096, 10**6])
def test_texts_of_every_length_come_whole_and_in_order_however_the_network_cuts_them(size: int) -> None:
    sent = [b"", b"x", SHORT, MIDDLE, b"y"] if size < 100 else [b"", SHORT, MIDDLE, LARGE, b"x", LARGE, MIDDLE]
    stream = b"".join(map(text, sent))

    async def run() -> list[bytes]:
        async with connected() as (peer, transport):
            await peer.send([stream[first : first + size] for first in range(0, len(stream), size)])
            return await received(transport, len(sent))

    assert asyncio.run(run()) == sent


def test_what_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    stream = text(SHORT) + text(MIDDLE)

    async def run() -> list[bytes]:
        async with connected(first=stream[:100]) as (peer, transport):
            await peer.send([stream[100:]])
            return await received(transport, 2)

    assert asyncio.run(run()) == [SHORT, MIDDLE]


def test_a_text_in_several_frames_keeps_its_place_and_pings_are_answered_in_between() -> None:
    stream = (
        text(b"1") + text(b"2", fin=False) + text(b"3", Opcode.CONT, fin=False) + text(b"ping", Opcode.PING)
        + text(b"4", Opcode.CONT) + text(b"5")
    )  # fmt: skip

    async def run() -> tuple[list[bytes], Frame]:
        async with connected() as (peer, transport):
            await peer.send([stream[:5], stream[5:]])
            return await received(transport, 3), await peer.frame()

    frames, answer = asyncio.run(run())
    assert frames == [b"1", b"234", b"5"]
    assert (answer.opcode, bytes(answer.data)) == (Opcode.PONG, b"ping")


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (Frame(Opcode.CLOSE, Close(4000, "enough").serialize()).serialize(mask=False), 4000),
        (b"", 1006),
        (b"\x81\x7f" + (FRAME_BYTES_MAXIMUM + 1).to_bytes(8, "big") + b"{", 1009),
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), 1002),
        (text(b"no text has begun", Opcode.CONT), 1002),
        (text(b"two", fin=False) + text(b"at once"), 1002),
    ],
    ids=["closed", "cut", "oversized", "masked", "continued", "two at once"],
)
def test_the_end_tells_its_code_after_all_texts_were_handed_over(last: bytes, code: int) -> None:
    async def run() -> TransportClosed:
        async with connected() as (peer, transport):
            await peer.send([text(b"1") + text(b"2") + last])
            if not last:
                peer.close()
            assert await received(transport, 2) == [b"1", b"2"]
            if last:
                assert (await peer.frame()).opcode is Opcode.CLOSE
                peer.close()
            with pytest.raises(TransportClosed) as raised:
                await transport.receive()
            return raised.value

    assert asyncio.run(run()).code == code


def test_who_does_not_take_frames_makes_the_venue_wait_and_loses_none() -> None:
    count = 400 * FRAMES_WAITING

    async def run() -> int:
        async with connected() as (peer, transport):
            sending = asyncio.create_task(peer.send([text(MIDDLE) * FRAMES_WAITING] * (count // FRAMES_WAITING)))
            seen = -1
            while peer.pieces_sent != seen:
                seen = peer.pieces_sent
                await asyncio.sleep(0.2)
            assert not sending.done()
            frames = await received(transport, count)
            await sending
            return len(frames)

    assert asyncio.run(run()) == count


def test_a_server_that_wants_no_websocket_is_a_failure_of_the_network() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy")
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    with pytest.raises(NetworkFailure, match="no connection to ws://127"):
        asyncio.run(run())
