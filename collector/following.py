"""Following: which instruments the process follows, from those of its last run on, through listings and expiries."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from collector.instrument_tape import MissingTrades
from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.errors import RetryLater, TapekeeperError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.fleet import Fleet
    from collector.instruments import InstrumentChoice
    from collector.registry import Registry
    from collector.series_cache import SeriesCache
    from collector.settings import CollectorSettings
    from collector.sweep import Sweep
    from collector.tape import Tape
    from collector.venue_rest import VenueRest
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.store.option_series import OptionSeries

PATIENCE_SECONDS: Final = 3.0
"""How long the database is waited for before the stream begins without it."""
_LOOK_SECONDS: Final = 0.02
_NEWS_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 5.0
_EXPIRY_MOMENT: Final = 8 * 3_600 * MICROSECONDS_PER_SECOND
_AFTER_EXPIRY_SECONDS: Final = 30.0

log = logging.getLogger(__name__)


class Following:
    """Keeps tape and fleet at the instruments that are worth following."""

    def __init__(
        self,
        settings: CollectorSettings,
        tape: Tape,
        fleet: Fleet,
        sweep: Sweep,
        registry: Registry,
        choice: InstrumentChoice,
        rest: VenueRest,
        cache: SeriesCache,
    ) -> None:
        self.quotes_series: dict[int, int] = {}
        """The series of the quotes of every instrument that was ever followed, by instrument."""
        self._settings = settings
        self._tape = tape
        self._fleet = fleet
        self._sweep = sweep
        self._registry = registry
        self._choice = choice
        self._rest = rest
        self._cache = cache
        self._resuming: asyncio.Task[None] | None = None
        self._instruments: dict[str, Instrument] = {}
        self._has_news = asyncio.Event()

    @property
    def expected(self) -> int:
        """How many instruments are to be followed; may be asked from any thread."""
        return len(self._instruments)

    def hear_news(self) -> None:
        """Choose anew soon: the venue told of a listing or of an end."""
        self._has_news.set()

    async def begin(self, collector: str, has_drained: Callable[[], bool]) -> None:
        """Go on where the last process of this name ended; without the database, with what is known on disk.

        Args:
            collector: the name.
            has_drained: whether everything is committed that the last process left on disk.
        """
        self._resuming = asyncio.create_task(self._resume(collector, has_drained))
        await asyncio.wait({self._resuming}, timeout=PATIENCE_SECONDS if self._cache else None)
        if self._is_adrift:
            log.warning("the database is away: what is known of instruments is streamed to disk until it is back")

    async def run(self) -> None:
        """Choose every hour, after each expiry, and when there are news."""
        if self._resuming is None:
            raise RuntimeError("begin comes first")
        try:
            await asyncio.gather(self._resuming, self._keep_choosing())
        finally:
            self._resuming.cancel()

    @property
    def _is_adrift(self) -> bool:
        """Whether nobody knows yet where the last process ended."""
        return self._resuming is not None and not self._resuming.done()

    async def _resume(self, collector: str, has_drained: Callable[[], bool]) -> None:
        while not has_drained():
            await asyncio.sleep(_LOOK_SECONDS)
        known = await self._registry.resume(collector, lambda: self._fleet.session_ids)
        adrift = {tape.name for tape in self._tape.tapes}
        for name, (series, position, gaps) in known.items():
            self._remember({name: series})
            tape = self._tape.moor(name, position) if name in adrift else self._tape.add(name, series, position)
            tape.missing_trades = [
                MissingTrades(gap.sequences.first, gap.sequences.last, gap.missing) for gap in gaps if gap.sequences
            ]
        for name in adrift - known.keys():
            self._tape.moor(name, None)
        self._cache.keep({name: series for name, (series, _, _) in known.items()})
        self._sweep.request()
        self.hear_news()

    def _remember(self, series: Mapping[str, OptionSeries]) -> None:
        self.quotes_series |= {one.instrument_id: one.quotes_series_id for one in series.values()}

    async def _keep_choosing(self) -> None:
        while True:
            seconds = await self._choose()
            try:
                async with asyncio.timeout(seconds):
                    await self._has_news.wait()
                # News come in swarms: every expiry of a day at once.
                await asyncio.sleep(_NEWS_SECONDS)
            except TimeoutError:
                pass
            self._has_news.clear()

    async def _choose(self) -> float:
        """Choose the instruments anew; return in how many seconds to do it again."""
        try:
            chosen = {one.name: one for one in await self._choice.choose()}
        except TapekeeperError as error:
            log.warning("the instruments cannot be chosen yet: %s", error)
            return _RETRY_SECONDS
        first = not self._instruments
        now = self._tape.now
        # What is adrift cannot be ended yet: the hole before it is not told.
        for name in [] if self._is_adrift else self._tape.names:
            if name not in chosen:
                self._tape.end(name, min(now, await self._expiry_of(name) or now))
        waiting = await self._add([one for name, one in chosen.items() if name not in self._tape.names], first=first)
        self._instruments = chosen
        self._fleet.follow(self._tape.names)
        self._sweep.request()
        return _RETRY_SECONDS if waiting else self._seconds_to_next_choice()

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
        """Follow more instruments; return whether some wait: for the database, or for the end of a last life."""
        ending = {tape.name for tape in self._tape.tapes}
        new = [one for one in instruments if one.name not in ending]
        is_adrift = self._is_adrift
        found = {one.name: known for one in new if (known := self._cache.get(one.name))}
        if not is_adrift:
            try:
                found = await self._registry.ensure(new)
            except RetryLater as error:
                log.warning("%d instruments wait for the database: %s", len(new), error)
                return True
            self._cache.keep(found)
        self._remember(found)
        for name, series in found.items():
            self._tape.add(name, series, None, is_adrift=is_adrift)
        if found and not first:
            log.info("%d more instruments are followed", len(found))
        return len(found) < len(instruments)

    def _seconds_to_next_choice(self) -> float:
        into_day = now_microseconds() % MICROSECONDS_PER_DAY
        to_expiry = (_EXPIRY_MOMENT - into_day) % MICROSECONDS_PER_DAY / MICROSECONDS_PER_SECOND
        return min(self._settings.refresh_seconds, to_expiry + _AFTER_EXPIRY_SECONDS)
