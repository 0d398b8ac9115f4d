"""Replay: recorded frames, played to every connection that subscribes to something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import orjson

from simulator.deribit.stream.channels import Channel
from simulator.deribit.stream.connection import Connection
from simulator.deribit.stream.publisher import Publisher
from simulator.deribit.stream.source import Silent
from simulator.deribit.stream.wire import text_frame
from simulator.errors import ControlError

_LARGEST_PIECE: Final = 64_000
_LARGEST_BACKLOG: Final = 1_000_000
_QUIET_SECONDS: Final = 1.0
"""A connection is played to when it has not subscribed to anything more for so long."""


class Recording:
    """A file of frames, one JSON document a line, encoded as they go through the socket."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            OSError: it cannot be read.
            ControlError: a line is no JSON, or there is none.
        """
        lines = [line.strip() for line in path.read_bytes().splitlines()]
        lines = [line for line in lines if line]
        self.channels = sorted({channel for number, line in enumerate(lines, 1) if (channel := _channel(number, line))})
        self.frames = [text_frame(line) for line in lines]
        if not lines:
            raise ControlError("there is no frame in it")

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """Yield all frames, many at a time, with their number."""
        piece, number = bytearray(), 0
        for frame in self.frames:
            piece += frame
            number += 1
            if len(piece) >= _LARGEST_PIECE:
                yield bytes(piece), number
                piece, number = bytearray(), 0
        if number:
            yield bytes(piece), number


class Replay:
    """Plays a recording: as fast as a socket takes it, or at a rate; whatever was subscribed, all of it is told."""

    def __init__(self, recording: Recording, publisher: Publisher, frames_per_second: float, times: int) -> None:
        self._recording = recording
        self._rate = frames_per_second
        self._times = times
        self._played: dict[int, asyncio.Task[None]] = {}
        self._sent = 0
        publisher.special |= {name: Channel(name, None, Silent()) for name in recording.channels}

    def attend(self, connections: Iterable[Connection], now: float) -> None:
        """Begin to play to those who have subscribed, once each."""
        for one in connections:
            if one.channels and one.number not in self._played and now >= one.subscribed_at + _QUIET_SECONDS:
                self._played[one.number] = asyncio.create_task(self._play(one))

    def as_json(self) -> dict[str, object]:
        """Return how many frames there are, and how far it is."""
        return {
            "frames": len(self._recording.frames),
            "frames_sent": self._sent,
            "connections_done": sum(task.done() for task in self._played.values()),
        }

    async def _play(self, connection: Connection) -> None:
        for _ in range(self._times):
            if self._rate:
                await self._play_at_rate(connection)
            else:
                await self._play_fast(connection)

    async def _play_fast(self, connection: Connection) -> None:
        for piece, number in self._recording.pieces():
            while connection.is_open and connection.backlog > _LARGEST_BACKLOG:
                await asyncio.sleep(0.001)
            if not connection.is_open:
                return
            self._send(connection, piece, number)
            await asyncio.sleep(0)

    async def _play_at_rate(self, connection: Connection) -> None:
        began_at, sent = time.monotonic(), 0
        while sent < len(self._recording.frames) and connection.is_open:
            due = min(int((time.monotonic() - began_at) * self._rate) + 1, len(self._recording.frames))
            self._send(connection, b"".join(self._recording.frames[sent:due]), due - sent)
            sent = due
            await asyncio.sleep(0.002)

    def _send(self, connection: Connection, frames: bytes, number: int) -> None:
        connection.deliver_ready(frames)
        connection.flush(time.monotonic())
        self._sent += number


def _channel(number: int, line: bytes) -> str | None:
    """Return the channel of a frame, None for what is no notification."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ControlError(f"line {number} is no JSON: {error}") from None
    params = document.get("params") if isinstance(document, dict) else None
    channel = params.get("channel") if isinstance(params, dict) else None
    return channel if isinstance(channel, str) else None
