"""The service: joins instruments, sessions, tape, sweep and writer, and keeps them going until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from collector.buffer import Buffer
from collector.counters import Counters
from collector.fleet import Fleet
from collector.following import Following
from collector.frames import MalformedFrames, Recorder
from collector.instruments import InstrumentChoice
from collector.metrics import Levels
from collector.notes import SessionClosed, SessionOpened
from collector.pace import Pace
from collector.registry import Registry
from collector.series_cache import SeriesCache
from collector.session import Session
from collector.spool import Spool
from collector.stats import Stats
from collector.sweep import Sweep
from collector.tape import Tape
from collector.venue_clock import VenueClock
from collector.venue_rest import VenueRest
from collector.writer import Writer
from tapekeeper.clock import now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.store.database import Database
from tapekeeper.store.ticks import INCOMING_TABLES
from tapekeeper.venues.deribit.messages import InstrumentCreatedMessage, InstrumentStateMessage, PlatformStateMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.counters import Ending
    from collector.settings import CollectorSettings
    from tapekeeper.settings import Settings
    from tapekeeper.venues.deribit.messages import MarketMessage, Message

STOP_SECONDS: Final = 7.0
"""How long the writer may take for what is left when the process is told to stop."""
LOOP_SECONDS: Final = 10.0
"""An event loop that has not turned for so long is stuck."""

log = logging.getLogger(__name__)


class Collector:
    """Streams one shard of one currency's instruments until it is stopped."""

    def __init__(self, settings: Settings, collector_settings: CollectorSettings) -> None:
        """Raises ConfigInvalid where the spool cannot be used."""
        shard = f"{collector_settings.shard_number}/{collector_settings.shard_count}"
        self.name = f"{collector_settings.currency} {collector_settings.kind} {shard}"
        """Of this process, in `collector_sessions`: the same after a restart."""
        self.counters = Counters()
        self.buffer = Buffer(collector_settings.buffer_size_quotes, collector_settings.buffer_size_trades)
        self._settings = collector_settings
        self._spool = Spool(collector_settings.spool_directory, collector_settings.spool_bytes_maximum)
        self._malformed = MalformedFrames(collector_settings.spool_directory / "malformed")
        self._recorder: Recorder | None = None
        if collector_settings.record_directory is not None:
            self._recorder = Recorder(collector_settings.record_directory, collector_settings.record_bytes_maximum)
        self._rest = VenueRest(settings)
        self._registry = Registry(settings, collector_settings)
        self._tape = Tape(
            self.buffer,
            self.counters,
            VenueClock(now=now_microseconds(), monotonic=time.monotonic()),
            collector_settings.channels,
        )
        self._sweep = Sweep(collector_settings, self._tape, self._rest)
        self._pace = Pace()
        self._fleet = Fleet(
            collector_settings, lambda number: self._make_session(number, settings.deribit.websocket_url)
        )
        self._following = Following(
            collector_settings,
            self._tape,
            self._fleet,
            self._sweep,
            self._registry,
            InstrumentChoice(collector_settings, self._rest),
            self._rest,
            SeriesCache(collector_settings.spool_directory, settings.database.url.get_secret_value()),
        )
        self.writer = Writer(
            _database_of(settings),
            self.buffer,
            self._spool,
            self.counters,
            self.name,
            collector_settings.flush_interval_sec,
            self._following.quotes_series.get,
        )
        self._stats = Stats(self.counters, self.buffer, self.levels)
        self._turned_at = time.monotonic()

    def _make_session(self, number: int, url: str) -> Session:
        return Session(
            number,
            url,
            self._settings,
            self,
            self.counters,
            self.buffer,
            self._pace,
            self._malformed,
            self._recorder,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Stream until `stop` is set; then everything that came is committed or spooled, within ten seconds."""
        self.writer.start()
        tasks = [
            asyncio.create_task(self._stream()),
            asyncio.create_task(self._turn()),
            asyncio.create_task(self._stats.watch_buffer()),
            asyncio.create_task(stop.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()

    def levels(self) -> Levels:
        """Return what stands now; from any thread."""
        return Levels(
            connected=self._fleet.connected,
            subscriptions=self._fleet.subscriptions,
            not_accepted=self._fleet.not_accepted,
            instruments_expected=self._following.expected,
            instruments_fresh=self._tape.fresh,
            spool_bytes=self._spool.bytes,
            spool_capacity=self._spool.capacity,
        )

    def live(self) -> Mapping[str, bool]:
        """Return whether the process can still do anything; from any thread."""
        return {"turning": time.monotonic() - self._turned_at < LOOP_SECONDS, "writer": self.writer.is_alive}

    def ready(self) -> Mapping[str, bool]:
        """Return whether everything is as it should be; from any thread."""
        levels = self.levels()
        return {
            "subscribed": levels.subscriptions > 0 and levels.connected == self._fleet.wanted,
            "writing": self.writer.is_writing and self._spool.batches == 0,
            "fresh": levels.instruments_fresh > 0,
        }

    # What the sessions tell.

    def opened(self, session: Session) -> None:
        """Note a new connection."""
        self.buffer.announce(SessionOpened(session.session_id, session.opened_at))

    def subscribed(self, session: Session, channels: frozenset[str]) -> None:
        """Note accepted channels; what happened meanwhile is asked for."""
        self._tape.subscribed(session, channels)
        self._sweep.request()

    def unsubscribed(self, session: Session, channels: frozenset[str]) -> None:  # noqa: ARG002 (one of many listeners)
        """Note that channels ended."""
        self._tape.unsubscribed(channels)

    def accept(self, session: Session, messages: Sequence[MarketMessage], received_at: int, monotonic: float) -> None:
        """Take messages about the market that came together."""
        self._tape.accept(session, messages, received_at, monotonic)

    def hear(self, message: Message) -> None:
        """Take a message about the venue."""
        if isinstance(message, InstrumentStateMessage | InstrumentCreatedMessage):
            self._following.hear_news()
        elif isinstance(message, PlatformStateMessage) and message.maintenance:
            log.warning("the venue begins a maintenance")

    def closed(self, session: Session, ending: Ending, code: int, reason: str) -> None:
        """Note the end of a connection, and that its instruments may miss something from its last frame on."""
        evidence: dict[str, str | int | float | None] = {
            "session": str(session.session_id), "close_code": code, "close_reason": reason, "ending": ending.value,
        }  # fmt: skip
        self._tape.interrupted(session, Cause.DISCONNECT, evidence)
        self.buffer.note(
            SessionClosed(
                session.session_id, now_microseconds(), code, reason[:200], session.messages, len(session.keeper.active)
            )
        )

    def fails(self, session: Session) -> None:
        """Move the instruments of a connection that cannot be made, if another one works."""
        self._fleet.give_away(session)

    # What goes on all the time.

    async def _stream(self) -> None:
        await self._following.begin(self.name, lambda: self.writer.has_drained)
        await asyncio.gather(
            self._following.run(),
            self._sweep.run(),
            self._account(),
            self._renew(),
            self._stats.run(self._settings.stats_seconds),
        )

    async def _account(self) -> None:
        while True:
            # Seconds are what is accounted: more often would be for nothing.
            await asyncio.sleep(max(1.0, self._settings.flush_interval_sec))
            self._tape.account()

    async def _renew(self) -> None:
        while "book" in self._settings.channels:
            await asyncio.sleep(self._settings.silence_close_seconds)
            self._tape.renew_waiting()

    async def _turn(self) -> None:
        while True:
            self._turned_at = time.monotonic()
            await asyncio.sleep(0.1)

    async def _end(self) -> None:
        self._tape.account()
        await self._fleet.stop()
        if self._recorder is not None:
            self._recorder.close()
        await asyncio.to_thread(self.writer.stop, STOP_SECONDS)
        self._rest.close()
        self._registry.close()
        if not self.writer.is_alive:
            self._spool.close()
        self._stats.tell()


def _database_of(settings: Settings) -> Database:
    return Database(
        settings.database.url.get_secret_value(),
        application_name="tapekeeper collector",
        connect_timeout_seconds=settings.database.connect_timeout_seconds,
        prepare=INCOMING_TABLES,
    )
