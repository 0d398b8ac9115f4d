"""The service: joins instruments, sessions, tape, sweep and writer, and keeps them going until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from collector.buffer import Buffer
from collector.counters import Counters
from collector.fleet import Fleet
from collector.frames import MalformedFrames, Recorder
from collector.instrument_tape import MissingTrades
from collector.instruments import InstrumentChoice
from collector.metrics import Levels
from collector.notes import SessionClosed, SessionOpened
from collector.pace import Pace
from collector.registry import Registry
from collector.session import Session
from collector.spool import Spool
from collector.sweep import Sweep
from collector.tape import Tape
from collector.venue_clock import VenueClock
from collector.venue_rest import VenueRest
from collector.writer import Writer
from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.errors import TapekeeperError
from tapekeeper.model.gap import Cause
from tapekeeper.store.database import Database
from tapekeeper.store.ticks import INCOMING_TABLES
from tapekeeper.venues.deribit.messages import InstrumentCreatedMessage, InstrumentStateMessage, PlatformStateMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.counters import Ending
    from collector.settings import CollectorSettings
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.settings import Settings
    from tapekeeper.venues.deribit.messages import Message

STOP_SECONDS: Final = 7.0
"""How long the writer may take for what is left when the process is told to stop."""
LOOP_SECONDS: Final = 10.0
"""An event loop that has not turned for so long is stuck."""
_NEWS_SECONDS: Final = 0.5
_CHOICE_RETRY_SECONDS: Final = 5.0
_EXPIRY_MOMENT: Final = 8 * 3_600 * MICROSECONDS_PER_SECOND
_AFTER_EXPIRY_SECONDS: Final = 30.0
_WARNING_SECONDS: Final = 60.0
_WARNING_SHARE: Final = 0.8

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
        self._quotes_series: dict[int, int] = {}
        database = Database(
            settings.database.url.get_secret_value(),
            application_name="tapekeeper collector",
            connect_timeout_seconds=settings.database.connect_timeout_seconds,
            prepare=INCOMING_TABLES,
        )
        self.writer = Writer(
            database,
            self.buffer,
            self._spool,
            self.counters,
            self.name,
            collector_settings.flush_interval_sec,
            self._quotes_series.get,
        )
        self._rest = VenueRest(settings)
        self._registry = Registry(settings, collector_settings)
        self._choice = InstrumentChoice(collector_settings, self._rest)
        self._tape = Tape(
            self.buffer,
            self.counters,
            VenueClock(now=now_microseconds(), monotonic=time.monotonic()),
            collector_settings.channels,
        )
        self._sweep = Sweep(collector_settings, self._tape, self._rest)
        pace = Pace()
        self._fleet = Fleet(
            collector_settings,
            lambda number: Session(
                number,
                settings.deribit.websocket_url,
                collector_settings,
                self,
                self.counters,
                self.buffer,
                pace,
                self._malformed,
                self._recorder,
            ),
        )
        self._instruments: dict[str, Instrument] = {}
        self._has_news = asyncio.Event()
        self._turned_at = time.monotonic()
        self._warned_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Stream until `stop` is set; then everything that came is committed or spooled, within ten seconds."""
        self.writer.start()
        tasks = [
            asyncio.create_task(self._stream()),
            asyncio.create_task(self._turn()),
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
            instruments_expected=len(self._instruments),
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

    def accept(self, session: Session, message: Message, received_at: int, monotonic: float) -> None:
        """Take a message about the market or about the venue."""
        if isinstance(message, InstrumentStateMessage | InstrumentCreatedMessage):
            self._has_news.set()
        elif isinstance(message, PlatformStateMessage):
            if message.maintenance:
                log.warning("the venue begins a maintenance")
        else:
            self._tape.accept(session, message, received_at, monotonic)

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
        while not self.writer.has_drained:
            await asyncio.sleep(0.02)
        await self._resume()
        await asyncio.gather(
            self._follow_instruments(), self._sweep.run(), self._account(), self._renew(), self._tell()
        )

    async def _resume(self) -> None:
        """Go on where the last process of this name ended."""
        known = await self._registry.resume(self.name)
        for name, (series, position, gaps) in known.items():
            self._quotes_series[series.instrument_id] = series.quotes_series_id
            tape = self._tape.add(name, series, position, is_new_listing=False)
            tape.missing_trades = [
                MissingTrades(gap.sequences.first, gap.sequences.last, gap.missing) for gap in gaps if gap.sequences
            ]

    async def _follow_instruments(self) -> None:
        while True:
            seconds = await self._refresh()
            try:
                async with asyncio.timeout(seconds):
                    await self._has_news.wait()
                # News come in swarms: every expiry of a day at once.
                await asyncio.sleep(_NEWS_SECONDS)
            except TimeoutError:
                pass
            self._has_news.clear()

    async def _refresh(self) -> float:
        """Choose the instruments anew; return in how many seconds to do it again."""
        try:
            chosen = {one.name: one for one in await self._choice.choose()}
        except TapekeeperError as error:
            log.warning("the instruments cannot be chosen yet: %s", error)
            return _CHOICE_RETRY_SECONDS
        first = not self._instruments
        now = self._tape.now
        for name in self._tape.names:
            if name not in chosen:
                self._tape.end(name, min(now, await self._expiry_of(name) or now))
        waiting = await self._add([one for name, one in chosen.items() if name not in self._tape.names], first=first)
        self._instruments = chosen
        self._fleet.follow(self._tape.names)
        self._sweep.request()
        return _CHOICE_RETRY_SECONDS if waiting else self._seconds_to_refresh()

    async def _expiry_of(self, name: str) -> int | None:
        """Return when an instrument expires or expired, also where it did before this process began."""
        if name not in self._instruments:
            try:
                self._instruments[name] = await self._rest.ask(lambda rest: rest.instrument(name))
            except TapekeeperError as error:
                log.warning("%s: when it expired is not told: %s", name, error)
                return None
        return self._instruments[name].expires_at

    async def _add(self, instruments: list[Instrument], *, first: bool) -> bool:
        """Follow more instruments; return whether some have to wait until their last life is told to its end."""
        ending = {tape.name for tape in self._tape.tapes}
        new = [one for one in instruments if one.name not in ending]
        for name, series in (await self._registry.ensure(new)).items():
            self._quotes_series[series.instrument_id] = series.quotes_series_id
            self._tape.add(name, series, None, is_new_listing=False)
        if new and not first:
            log.info("%d more instruments are followed", len(new))
        return len(new) < len(instruments)

    def _seconds_to_refresh(self) -> float:
        into_day = now_microseconds() % MICROSECONDS_PER_DAY
        to_expiry = (_EXPIRY_MOMENT - into_day) % MICROSECONDS_PER_DAY / MICROSECONDS_PER_SECOND
        return min(self._settings.refresh_seconds, to_expiry + _AFTER_EXPIRY_SECONDS)

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
            share = max(
                self.buffer.quotes_waiting / self.buffer.quotes_capacity,
                self.buffer.trades_waiting / self.buffer.trades_capacity,
            )
            if share >= _WARNING_SHARE and self._turned_at - self._warned_at >= _WARNING_SECONDS:
                self._warned_at = self._turned_at
                log.warning("the buffer is %.0f %% full: the database is slower than the venue", 100 * share)
            await asyncio.sleep(0.1)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(self._settings.stats_seconds)
            self.tell_stats()

    def tell_stats(self) -> None:
        """Log one line of what was counted since the start."""
        levels, counters = self.levels(), self.counters
        data = {
            "connected": levels.connected,
            "subscriptions": levels.subscriptions,
            "instruments": levels.instruments_expected,
            "fresh": levels.instruments_fresh,
            "messages": sum(counters.messages.values()),
            "quotes_written": counters.rows_written["option_quotes"],
            "trades_written": counters.rows_written["option_trades"],
            "quotes_dropped": counters.rows_dropped["option_quotes"],
            "waiting": self.buffer.rows_waiting,
            "spool_bytes": levels.spool_bytes,
            "gaps": sum(counters.gaps_recorded.values()),
            "repaired_trades": counters.repaired_trades,
            "latency_p99_seconds": counters.ingest_latency.quantile(0.99),
        }
        log.info("STATS %s", " ".join(f"{name}={value}" for name, value in data.items()), extra={"data": data})

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
        self.tell_stats()
