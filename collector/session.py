"""A session: one connection to the venue, made again for as long as it is wanted, and what is subscribed on it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from collector.channel_keeper import ChannelKeeper, Refused
from collector.counters import Ending, MessageChannel
from collector.frames import channel_of_malformed
from collector.transport import Transport, TransportClosed
from collector.transport import connect as connect_websocket
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import NetworkFailure, ParseFailure
from tapekeeper.venues.deribit import calls
from tapekeeper.venues.deribit.messages import (
    BookMessage,
    Heartbeat,
    InstrumentCreatedMessage,
    InstrumentStateMessage,
    MarketMessage,
    Message,
    PlatformStateMessage,
    Reply,
    TestRequest,
    TickerMessage,
    TradesMessage,
    Unknown,
    decode,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from collector.buffer import Buffer
    from collector.counters import Counters
    from collector.frames import MalformedFrames, Recorder
    from collector.pace import Pace
    from collector.settings import CollectorSettings

HEARTBEAT_SECONDS: Final = 10
PAUSE_PIECE_SECONDS: Final = 0.02
FAILED_TRIES_MAXIMUM: Final = 3
"""After so many in a row the channels move to other connections."""
_CHANNEL_OF: Final[dict[type, MessageChannel]] = {
    BookMessage: MessageChannel.BOOK,
    TickerMessage: MessageChannel.TICKER,
    TradesMessage: MessageChannel.TRADES,
    InstrumentStateMessage: MessageChannel.INSTRUMENT,
    InstrumentCreatedMessage: MessageChannel.INSTRUMENT,
    PlatformStateMessage: MessageChannel.PLATFORM,
    Heartbeat: MessageChannel.CONTROL,
    TestRequest: MessageChannel.CONTROL,
    Reply: MessageChannel.CONTROL,
    Unknown: MessageChannel.UNKNOWN,
}
_TICKS: Final = (BookMessage, TickerMessage, TradesMessage)

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what happens on the sessions."""

    def opened(self, session: Session) -> None:
        """A connection is there; nothing is subscribed yet."""
        ...

    def subscribed(self, session: Session, channels: frozenset[str]) -> None:
        """The venue accepted channels."""
        ...

    def unsubscribed(self, session: Session, channels: frozenset[str]) -> None:
        """Nothing more comes in channels, until they are subscribed again."""
        ...

    def accept(self, session: Session, messages: Sequence[MarketMessage], received_at: int, monotonic: float) -> None:
        """Frames came together that are about the market."""
        ...

    def hear(self, message: Message) -> None:
        """A frame came that is about the venue."""
        ...

    def closed(self, session: Session, ending: Ending, code: int, reason: str) -> None:
        """The connection is gone, and all subscriptions with it."""
        ...

    def fails(self, session: Session) -> None:
        """Three tries to connect failed in a row."""
        ...


class Session:
    """Keeps one connection and its subscriptions as they are wanted."""

    def __init__(
        self,
        number: int,
        url: str,
        settings: CollectorSettings,
        listener: Listener,
        counters: Counters,
        buffer: Buffer,
        pace: Pace,
        malformed: MalformedFrames,
        recorder: Recorder | None = None,
        connect: Callable[[str], Awaitable[Transport]] = connect_websocket,
    ) -> None:
        self.number = number
        self.session_id = uuid.uuid4()
        """Of the connection; another one after each reconnect."""
        self.opened_at = 0
        self.messages = 0
        """Frames on this connection."""
        self.connected = False
        self.last_frame_at = 0.0
        """Monotonic moment of the last frame."""
        self.keeper = ChannelKeeper(settings.resubscribe_seconds)
        self._url = url
        self._settings = settings
        self._listener = listener
        self._counters = counters
        self._buffer = buffer
        self._pace = pace
        self._malformed = malformed
        self._recorder = recorder
        self._connect = connect
        self._last_tick_at = 0.0
        self._ending: Ending | None = None
        self._failed_tries = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it is connected, and a frame came lately."""
        return self.connected and time.monotonic() - self.last_frame_at < self._settings.silence_close_seconds

    def want(self, channels: Sequence[str]) -> None:
        """Follow these channels and no others, from now on and after every reconnect."""
        self.keeper.want(channels)

    def start(self) -> None:
        """Begin to connect whenever channels are wanted."""
        self._task = asyncio.create_task(self._run(), name=f"session {self.number}")

    async def stop(self) -> None:
        """End the connection for good."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self.keeper.wanted()
            try:
                transport = await self._connect(self._url)
            except NetworkFailure as error:
                await self._failed(str(error))
                continue
            try:
                await self._use(transport)
            except Exception:
                log.exception("session %d: a fault of the collector: the connection is made again", self.number)
            await self._pause()

    async def _use(self, transport: Transport) -> None:
        """Run a connection to its end."""
        self._begin()
        code, reason = 1000, "no longer wanted"
        helpers = [
            asyncio.create_task(self.keeper.run(transport, self._pace, self._accepted, self._ended)),
            asyncio.create_task(self._watch()),
        ]
        for helper in helpers:
            helper.add_done_callback(lambda _: asyncio.ensure_future(transport.close()))
        try:
            await transport.send(calls.hello(self.keeper.next_id(), "1"))
            await transport.send(calls.set_heartbeat(self.keeper.next_id(), HEARTBEAT_SECONDS))
            await self._read(transport)
        except TransportClosed as error:
            code, reason = error.code, error.reason
        finally:
            for helper in helpers:
                helper.cancel()
            results = await asyncio.gather(*helpers, return_exceptions=True)
            self._end(code, reason, results)
            await transport.close()

    def _begin(self) -> None:
        self.session_id, self.opened_at, self.messages = uuid.uuid4(), now_microseconds(), 0
        self.connected, self._ending = True, None
        self.last_frame_at = self._last_tick_at = time.monotonic()
        self.keeper.connected()
        self._listener.opened(self)

    def _end(self, code: int, reason: str, results: Sequence[object]) -> None:
        for result in results:
            if isinstance(result, Refused):
                self._ending, reason = Ending.REFUSED, str(result)
            elif isinstance(result, Exception) and not isinstance(result, TransportClosed):
                log.error("session %d: a fault of the collector: %r", self.number, result, exc_info=result)
        ending = self._ending or _ending_of(code)
        self.connected = False
        if self.keeper.has_wanted and not self._stopping:
            self._counters.reconnects[ending] += 1
            log.warning("session %d ended (%s): code %d %s", self.number, ending, code, reason)
        self._listener.closed(self, ending, code, reason)

    async def _read(self, transport: Transport) -> None:
        while True:
            while not self._buffer.has_room:
                # Trades are never dropped: the venue has to wait, and the watchdog knows that it is we who do not read.
                await asyncio.sleep(PAUSE_PIECE_SECONDS)
                self.last_frame_at = self._last_tick_at = time.monotonic()
            for _ in range(self._take(await transport.receive())):
                await transport.send(calls.test(self.keeper.next_id()))

    def _take(self, frames: Sequence[bytes]) -> int:
        """Take the frames that came together, and return how many of them ask whether we are there.

        Nothing waits in between, so that what is accounted up to the last frame has all of them.
        """
        self.last_frame_at = monotonic = time.monotonic()
        received_at = now_microseconds()
        self.messages += len(frames)
        messages: list[Message] = []
        for frame in frames:
            try:
                messages.append(decode(frame))
            except ParseFailure as error:
                self._counters.decode_errors[channel_of_malformed(frame)] += 1
                self._malformed.keep(frame, str(error))
            else:
                if self._recorder is not None:
                    self._recorder.keep(frame, str(self.session_id), received_at)
        for kind, count in Counter(map(type, messages)).items():
            self._counters.messages[_CHANNEL_OF[kind]] += count
        ticks = [message for message in messages if isinstance(message, _TICKS)]
        if ticks:
            self._last_tick_at = monotonic
            self._listener.accept(self, ticks, received_at, monotonic)
        if len(ticks) == len(messages):
            return 0
        return sum(self._is_asked_by(message) for message in messages if not isinstance(message, _TICKS))

    def _is_asked_by(self, message: Message) -> bool:
        """Take a message that is not about the market; tell whether it asks if we are there."""
        if isinstance(message, Reply):
            self.keeper.accept(message)
        elif not isinstance(message, TestRequest):
            self._listener.hear(message)
        return isinstance(message, TestRequest)

    async def _watch(self) -> None:
        warned = False
        while True:
            await asyncio.sleep(min(1.0, self._settings.silence_close_seconds / 10))
            now = time.monotonic()
            if now - self.last_frame_at >= self._settings.silence_close_seconds:
                self._ending = Ending.SILENCE
                log.warning("session %d: no frame for %.0f s: closed", self.number, now - self.last_frame_at)
                return
            silent = now - self._last_tick_at >= self._settings.silence_warning_seconds
            if silent and not warned and self.keeper.has_active:
                log.warning("session %d: no tick for %.0f s", self.number, now - self._last_tick_at)
            warned = silent

    def _accepted(self, channels: frozenset[str]) -> None:
        self._failed_tries = 0
        self._listener.subscribed(self, channels)

    def _ended(self, channels: frozenset[str]) -> None:
        self._listener.unsubscribed(self, channels)

    async def _failed(self, reason: str) -> None:
        self._counters.reconnects[Ending.REFUSED] += 1
        log.warning("session %d: %s", self.number, reason)
        await self._pause()

    async def _pause(self) -> None:
        """Wait before the next try: 1, 2, 4 ... seconds, each moved by up to a half, and never longer than allowed."""
        self._failed_tries += 1
        if self._failed_tries == FAILED_TRIES_MAXIMUM:
            self._listener.fails(self)
        middle = self._settings.reconnect_first_seconds * 2.0 ** min(self._failed_tries - 1, 32)
        await asyncio.sleep(min(middle * (0.5 + random.random()), self._settings.reconnect_longest_seconds))


def _ending_of(code: int) -> Ending:
    if code == 1006:
        return Ending.RESET
    return Ending.OVERSIZED if code == 1009 else Ending.CLOSED
