"""Following: which instruments the process follows, from those of its last run on, through listings and expiries."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from collector.instrument_tape import MissingTrades
from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.errors import TapekeeperError

if TYPE_CHECKING:
    from collector.fleet import Fleet
    from collector.instruments import InstrumentChoice
    from collector.registry import Registry
    from collector.settings import CollectorSettings
    from collector.sweep import Sweep
    from collector.tape import Tape
    from collector.venue_rest import VenueRest
    from tapekeeper.model.instrument import Instrument

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
        self._instruments: dict[str, Instrument] = {}
        self._has_news = asyncio.Event()

    @property
    def expected(self) -> int:
        """How many instruments are to be followed; may be asked from any thread."""
        return len(self._instruments)

    def hear_news(self) -> None:
        """Choose anew soon: the venue told of a listing or of an end."""
        self._has_news.set()

    async def resume(self, collector: str) -> None:
        """Go on where the last process of this name ended."""
        known = await self._registry.resume(collector)
        for name, (series, position, gaps) in known.items():
            self.quotes_series[series.instrument_id] = series.quotes_series_id
            tape = self._tape.add(name, series, position)
            tape.missing_trades = [
                MissingTrades(gap.sequences.first, gap.sequences.last, gap.missing) for gap in gaps if gap.sequences
            ]

    async def run(self) -> None:
        """Choose every hour, after each expiry, and when there are news."""
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
        for name in self._tape.names:
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
        """Follow more instruments; return whether some have to wait until their last life is told to its end."""
        ending = {tape.name for tape in self._tape.tapes}
        new = [one for one in instruments if one.name not in ending]
        for name, series in (await self._registry.ensure(new)).items():
            self.quotes_series[series.instrument_id] = series.quotes_series_id
            self._tape.add(name, series, None)
        if new and not first:
            log.info("%d more instruments are followed", len(new))
        return len(new) < len(instruments)

    def _seconds_to_next_choice(self) -> float:
        into_day = now_microseconds() % MICROSECONDS_PER_DAY
        to_expiry = (_EXPIRY_MOMENT - into_day) % MICROSECONDS_PER_DAY / MICROSECONDS_PER_SECOND
        return min(self._settings.refresh_seconds, to_expiry + _AFTER_EXPIRY_SECONDS)
