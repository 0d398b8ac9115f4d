"""The sweep: asks the venue for trades that may have been missed, after every interruption and every few minutes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.errors import BadData, RetryLater, TapekeeperError
from tapekeeper.model.window import Window
from tapekeeper.venues.deribit.limits import CURRENCY_TRADES_AGE

if TYPE_CHECKING:
    from collector.instrument_tape import InstrumentTape, MissingTrades
    from collector.settings import CollectorSettings
    from collector.tape import Tape
    from collector.venue_rest import VenueRest
    from tapekeeper.venues.deribit.trades import VenueTrade

BACK: Final = 5 * MICROSECONDS_PER_SECOND
"""A sweep begins so long before what is known to be whole; microseconds."""
AGE_MARGIN: Final = 600 * MICROSECONDS_PER_SECOND
"""How much younger than the venue's limit a window has to be, so that the pages after the first are within it too."""
RETRY_SECONDS: Final = 2.0
FETCH_TRIES: Final = 3
"""So often a hole is asked for before what is still missing is left to later repairs."""

log = logging.getLogger(__name__)


class Sweep:
    """Fetches missed trades, one question at a time."""

    def __init__(self, settings: CollectorSettings, tape: Tape, rest: VenueRest) -> None:
        self._settings = settings
        self._tape = tape
        self._rest = rest
        self._wanted = asyncio.Event()
        tape.trades.on_missing = self._wanted.set

    def request(self) -> None:
        """Sweep soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Sweep when asked to, and otherwise every few minutes."""
        while True:
            try:
                async with asyncio.timeout(self._settings.sweep_seconds):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.sweep()
            except (TapekeeperError, ValueError) as error:
                # A ValueError comes from a clock of ours that jumped: by it the window is too old to be asked for.
                log.warning("missed trades are fetched later: %s", error)
                self._wanted.set()
                after = error.after_seconds if isinstance(error, RetryLater) else RETRY_SECONDS
                await asyncio.sleep(min(max(after, RETRY_SECONDS), self._settings.sweep_seconds))

    async def sweep(self) -> None:
        """Fetch everything since the last sweep, or since the interruptions that no sweep has looked at.

        Raises:
            TapekeeperError: the venue cannot be asked now; what was fetched is kept.
        """
        asked_at = self._tape.now
        if "trades" not in self._settings.channels:
            self._tape.swept(asked_at, [tape.name for tape in self._tape.tapes])
            return
        oldest = asked_at - CURRENCY_TRADES_AGE + AGE_MARGIN
        tapes = [tape for tape in self._tape.tapes if tape.subscribed_at is not None or tape.ends_at is not None]
        swept = [tape.name for tape in tapes if tape.trades_hole is None or tape.trades_hole.start - BACK >= oldest]
        old = [tape for tape in tapes if tape.name not in set(swept)]
        starts = [tape.trades_hole.start for tape in tapes if tape.trades_hole and tape.name in set(swept)]
        start = max(min([*starts, self._tape.trades.swept_until or asked_at]) - BACK, oldest)
        await self._by_currency(Window(start, asked_at + MICROSECONDS_PER_SECOND), asked_at)
        for tape in old:
            await self._newer_than_held(tape, asked_at)
        for tape in list(self._tape.tapes):
            for missing in list(tape.missing_trades):
                await self._by_number(tape, missing)
        self._tape.swept(asked_at, [*swept, *(tape.name for tape in old)])

    async def _by_currency(self, window: Window, asked_at: int) -> None:
        pages = await self._rest.ask(
            lambda rest: list(rest.trades_by_currency(self._settings.currency, self._settings.kind, window))
        )
        trades: list[VenueTrade] = []
        for page in pages:
            _tell_rejected(len(page.rejected))
            trades += page.trades
        await self._room()
        self._tape.trades.accept_swept(trades, asked_at)

    async def _newer_than_held(self, tape: InstrumentTape, asked_at: int) -> None:
        """Fetch what came after the newest held trade, however long ago that was."""
        newest = await self._rest.ask(lambda rest: rest.last_trade(tape.name))
        held = tape.chain.last_trade_seq
        if newest is not None and held is None:
            held = await self._last_before(tape, newest.trade_seq)
        while newest is not None and held is not None and held < newest.trade_seq:
            first, last = held + 1, min(held + 1_000, newest.trade_seq)
            trades = await self._numbers(tape, first, last)
            await self._room()
            self._tape.trades.accept_swept(trades, asked_at)
            held = last

    async def _last_before(self, tape: InstrumentTape, newest: int) -> int:
        """Return the number of the last trade before the hole of an instrument of which no trade is held."""
        start = tape.trades_hole.start if tape.trades_hole else 0
        while newest > 0:
            trades = await self._numbers(tape, max(1, newest - 999), newest)
            before = [trade.trade_seq for trade in trades if trade.event_time < start]
            if before:
                return max(before)
            newest -= 1_000
        return 0

    async def _by_number(self, tape: InstrumentTape, missing: MissingTrades) -> None:
        """Fetch a hole in the chain; what the venue does not have after some tries is lost."""
        found = 0
        for requests in range(1, FETCH_TRIES + 1):
            trades = await self._numbers(tape, missing.first, missing.last)
            found = len(trades)
            if found > missing.last - missing.first or requests == FETCH_TRIES:
                await self._room()
                self._tape.trades.add_fetched(tape, trades)
                self._tape.trades.fetched(tape, missing, requests)
                break
            await asyncio.sleep(RETRY_SECONDS)
        log.info("%s: %d of %d missing trades came", tape.name, found, missing.last - missing.first + 1)

    async def _numbers(self, tape: InstrumentTape, first: int, last: int) -> list[VenueTrade]:
        pages = await self._rest.ask(lambda rest: list(rest.trades_by_instrument(tape.name, first, last)))
        _tell_rejected(sum(len(page.rejected) for page in pages))
        return [trade for page in pages for trade in page.trades]

    async def _room(self) -> None:
        """Return when the buffer takes trades: they wait here as they do on the connections."""
        while not self._tape.trades.has_room:
            await asyncio.sleep(0.05)


def _tell_rejected(count: int) -> None:
    if count:
        log.error("%s", BadData(f"{count} trades of the venue's history cannot be believed and are left out"))
