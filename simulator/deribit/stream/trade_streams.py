"""trades.{i}.{interval}, trades.{kind}.{currency}.{interval}, chart.trades.{i}.{resolution}: the tape as it happens."""

from __future__ import annotations

import heapq
from operator import itemgetter

from simulator.chart import COLUMNS, RESOLUTIONS
from simulator.deribit.request import chosen
from simulator.deribit.stream.source import Source, grid
from simulator.deribit.trade_history import trade_rows
from simulator.instruments import VenueInstrument
from simulator.moments import MINUTE


def next_trade(source: Source, instrument: VenueInstrument, moment: int) -> int | None:
    """Return when an instrument trades next, after `moment`; None for never again."""
    tape, sequence = source.world.tape, source.world.tape.count_before(instrument, moment + 1) + 1
    if sequence > instrument.trades_before(instrument.expires_at):
        return None
    time = int(tape.select(instrument, sequence, sequence).time[0])
    return time if time < instrument.end else None


def rows_between(source: Source, instrument: VenueInstrument, start: int, moment: int) -> list[dict[str, object]]:
    """Return the trades of `[start, moment]` as the venue describes them."""
    cutoff = min(moment + 1, source.cutoff(instrument.name, moment + 1))
    trades = source.world.tape.between(instrument, start, cutoff)
    rows = trade_rows(source.world, instrument, trades) if len(trades) else []
    return source.conditions().told_trades(instrument.name, rows)


class TradeStream:
    """The trades of one instrument, those of one millisecond together."""

    def __init__(self, source: Source, name: str, every: int) -> None:
        self._source = source
        self._name = name
        self._every = every

    def first(self, _: int) -> object | None:
        """Return None: what has happened before is not told."""
        return None

    def next_after(self, moment: int) -> int | None:
        """Return when the next trade is told."""
        time = next_trade(self._source, self._source.known(self._name, moment), moment)
        return time if time is None or not self._every else grid(time - 1, self._every)

    def notice(self, moment: int) -> object | None:
        """Return the trades that happened at that time, or since the notice before."""
        start = moment - self._every + 1 if self._every else moment
        return rows_between(self._source, self._source.known(self._name, moment), start, moment) or None


class CurrencyTradeStream:
    """The trades of all instruments of a currency and kind, of new listings too."""

    def __init__(self, source: Source, currency: str | None, kind: str | None, every: int) -> None:
        self._source = source
        self._currency = currency
        self._kind = kind
        self._every = every
        self._next: list[tuple[int, str]] = []
        self._begun = False

    def first(self, _: int) -> object | None:
        """Return None: what has happened before is not told."""
        return None

    def next_after(self, moment: int) -> int | None:
        """Return when the next trade is told."""
        if not self._begun:
            self._begin(moment)
        while self._next and self._next[0][0] <= moment:
            _, name = heapq.heappop(self._next)
            self._push(name, moment)
        if not self._next:
            return None
        time = self._next[0][0]
        return grid(time - 1, self._every) if self._every else time

    def notice(self, moment: int) -> object | None:
        """Return the trades that happened at that time, or since the notice before, in the order of time."""
        rows: list[dict[str, object]] = []
        due = [name for time, name in self._next if time <= moment]
        for name in sorted(due):
            start = moment - self._every + 1 if self._every else moment
            rows += rows_between(self._source, self._source.known(name, moment), start, moment)
        rows.sort(key=itemgetter("timestamp"))
        return rows or None

    def _begin(self, moment: int) -> None:
        self._begun = True
        for instrument in chosen(self._source.world.catalogue.live(moment + 1), self._currency, self._kind):
            self._push(instrument.name, moment)

    def _push(self, name: str, moment: int) -> None:
        time = next_trade(self._source, self._source.known(name, moment), moment)
        if time is not None:
            heapq.heappush(self._next, (time, name))


class ChartStream:
    """The candle that is open, whenever a trade changes it and when a period begins."""

    def __init__(self, source: Source, name: str, resolution: str) -> None:
        self._source = source
        self._name = name
        self._resolution = resolution
        self._step = RESOLUTIONS[resolution] * MINUTE

    def first(self, moment: int) -> object | None:
        """Return the candle as it is."""
        return self.notice(moment)

    def next_after(self, moment: int) -> int | None:
        """Return when the next trade happens or the next period begins."""
        instrument = self._source.known(self._name, moment)
        trade, period = next_trade(self._source, instrument, moment), grid(moment, self._step)
        time = period if trade is None else min(trade, period)
        return time if time < instrument.end else None

    def notice(self, moment: int) -> object | None:
        """Return the candle that holds that time; a period without a trade yet repeats the close before it."""
        instrument, opened = self._source.known(self._name, moment), moment // self._step * self._step
        cutoff = min(moment + 1, self._source.cutoff(self._name, moment + 1))
        chart = self._source.world.charts.candles(instrument, opened, opened, self._resolution, cutoff)
        if not len(chart.ticks):
            return None
        return {"tick": opened, **{name: float(chart.column(name)[0]) for name in COLUMNS}}
