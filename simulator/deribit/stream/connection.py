"""One connection: what it hears, what it is told, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from simulator.deribit.stream.channels import Channel
from simulator.deribit.stream.floor import Floor
from simulator.deribit.stream.heartbeat import IDLE_SECONDS, Heartbeat
from simulator.deribit.stream.mischief import Mischief
from simulator.deribit.stream.publisher import Frame
from simulator.deribit.stream.requests import answer
from simulator.deribit.stream.wire import Wire
from simulator.frame_faults import CutManner, FrameFault, WsCut, WsStall

_CLOSE_SECONDS: Final = 3.0
_HEARTBEAT_CLOSE: Final = 4000
_TOO_SLOW: Final = b'{"jsonrpc":"2.0","method":"connection_too_slow","params":{}}'


class Connection:
    """A client's WebSocket; moments in seconds of the monotonic clock."""

    def __init__(self, number: int, address: str, floor: Floor, socket: web.WebSocketResponse, wire: Wire) -> None:
        self.number = number
        self.address = address
        self.floor = floor
        self.channels: dict[str, None] = {}
        self.heartbeat: Heartbeat | None = None
        self.is_dead = False
        """Half open: the socket stays, and nothing goes through it any more."""
        self.subscribed_at = 0.0
        self._socket = socket
        self._wire = wire
        self._mischief = Mischief()
        self._outbox: list[bytes] = []
        self._ready: list[bytes] = []
        self._after_answer: list[Callable[[], None]] = []
        self._silent_until = 0.0
        self._heard_at = time.monotonic()
        self._is_busy = False
        """Whether anything was told since the last heartbeat; a quiet connection gets a sign of its own."""
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be sent something."""
        return self._wire.is_open and not self.is_dead

    @property
    def backlog(self) -> int:
        """How many bytes wait for the client to read."""
        return self._wire.backlog

    async def serve(self) -> None:
        """Answer requests until the connection ends."""
        while True:
            message = await self._socket.receive()
            if self.is_dead:
                await asyncio.Event().wait()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self._heard_at = time.monotonic()
                    await answer(self, message.data)
                case WSMsgType.PING:
                    await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.CLOSE:
                    self._wire.is_open = False
                    await self._socket.close(code=message.data or WSCloseCode.OK)
                    return
                case _:
                    return

    def deliver(self, frame: Frame) -> None:
        """Take one notification, and let the faults have it first."""
        if not self.is_open:
            return
        self.floor.frames[frame.channel.split(".", 1)[0]] += 1
        self._is_busy = True
        if not self.floor.plan.befalls_frames:
            self._outbox.append(frame.payload)
            return
        now = time.monotonic()
        fired = self.floor.plan.fire_at_frame(frame.channel, frame.instrument, self.number, now)
        self.floor.counters.faults.update(fault.kind for fault in fired)
        self._outbox += self._mischief.pass_on(frame, fired, now)
        self._suffer(fired, now)

    def deliver_ready(self, frames: bytes) -> None:
        """Take frames that are encoded to the last byte; no fault befalls them."""
        if self.is_open:
            self._ready.append(frames)
            self._is_busy = True

    def send(self, payload: bytes) -> None:
        """Take anything else that is to be sent."""
        self._outbox.append(payload)

    def flush(self, now: float) -> None:
        """Write what has been taken, unless the connection is silent for now."""
        if not self.is_open or now < self._silent_until:
            return
        if self._outbox:
            self._wire.send(self._outbox)
            self._outbox.clear()
        if self._ready:
            self._wire.write(b"".join(self._ready))
            self._ready.clear()
        if self._wire.backlog > self.floor.slow_reader_bytes:
            self._wire.send([_TOO_SLOW])
            self.end("too_slow", WSCloseCode.POLICY_VIOLATION, "connection_too_slow")

    def attend(self, now: float) -> None:
        """Do what time demands: late frames, heartbeats, the end of the idle."""
        if not self.is_open:
            return
        self._outbox += self._mischief.release(now)
        if self.heartbeat is not None:
            self._beat(self.heartbeat, now)
        elif not self.channels and now - self._heard_at >= self.floor.patience.seconds(IDLE_SECONDS):
            self.floor.closed["idle"] += 1
            self._wire.abort()

    def when_answered(self, action: Callable[[], None]) -> None:
        """Do something behind the answer that is being made."""
        self._after_answer.append(action)

    def answered(self) -> None:
        """Do what was put behind the answer."""
        actions, self._after_answer = self._after_answer, []
        for action in actions:
            action()
        self.flush(time.monotonic())

    def listen(self, channels: Iterable[Channel]) -> None:
        """Subscribe to channels."""
        self.subscribed_at = time.monotonic()
        for channel in channels:
            self.channels[channel.name] = None
            self.floor.publisher.listen(channel, self)

    def leave(self, names: Iterable[str]) -> list[str]:
        """Unsubscribe from channels, and return those that were subscribed."""
        left = [name for name in names if name in self.channels]
        for name in left:
            del self.channels[name]
            self.floor.publisher.leave(name, self)
        return left

    def cut(self, how: CutManner) -> None:
        """End the connection as a fault does."""
        self.floor.closed["cut"] += 1
        if how == "half_open":
            self.is_dead = True
        elif how == "reset":
            self._wire.abort(reset=True)
        else:
            self._close(WSCloseCode.GOING_AWAY, "")

    def end(self, reason: str, code: int, text: str = "") -> None:
        """Close the connection, and count why."""
        self.floor.closed[reason] += 1
        self._close(code, text)

    def abort(self) -> None:
        """End the connection by a TCP reset, without counting it."""
        self._wire.abort(reset=True)

    async def ended(self) -> None:
        """Wait until a close that was begun is over."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def _beat(self, heartbeat: Heartbeat, now: float) -> None:
        match heartbeat.due(now):
            case "close":
                self.end("heartbeat", _HEARTBEAT_CLOSE, "heartbeat close")
            case "test_request":
                kinds = ("test_request",) if self._is_busy else ("heartbeat", "test_request")
                for kind in kinds:
                    self.send(orjson.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}}))
                self.flush(now)
                self._is_busy = False

    def _suffer(self, fired: list[FrameFault], now: float) -> None:
        for fault in fired:
            match fault:
                case WsStall():
                    self.flush(now)
                    self._silent_until = now + fault.seconds
                case WsCut():
                    self.flush(now)
                    self.cut(fault.how)

    def _close(self, code: int, text: str) -> None:
        if self._ending is None and self._wire.is_open:
            self._wire.is_open = False
            self._ending = asyncio.create_task(self._say_goodbye(code, text))

    async def _say_goodbye(self, code: int, text: str) -> None:
        """Send the close frame and wait for the client's; one that does not read is cut off."""
        try:
            await asyncio.wait_for(self._socket.close(code=code, message=text.encode()), _CLOSE_SECONDS)
        except (TimeoutError, ConnectionError):
            self._wire.abort()
