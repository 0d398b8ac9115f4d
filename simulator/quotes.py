"""What one instrument looks like at an instant: its values, and the last 24 hours of its tape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.black import Valuation
from simulator.books import Books
from simulator.chart import volume_and_cost
from simulator.hashing import uniform
from simulator.instruments import VenueInstrument
from simulator.market import Market, moments
from simulator.moments import DAY, HOUR, MINUTE
from simulator.noise import slow_noise
from simulator.recent import Recent
from simulator.tape import Tape, Trades

_SECOND: Final = 1_000
_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class Values:
    """What the venue computes once a second, rounded as it rounds."""

    mark: float
    index: float
    open_interest: float
    """In dollars for inverse futures, else in the base currency."""
    forward: float | None = None
    volatility: float | None = None
    """In percent."""
    valuation: Valuation | None = None
    """These three for options alone."""


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last 24 hours; None where nothing was traded."""

    high: float | None
    low: float | None
    last: float | None
    price_change: float | None
    """In percent."""
    volume: float
    volume_usd: float


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a stretch of the tape amounts to."""

    high: float
    low: float
    first: float
    last: float
    volume: float
    cost: float


class Quotes:
    """Books, statistics and values of one seeded world; times in milliseconds."""

    def __init__(self, market: Market, tape: Tape, changes_per_second: float) -> None:
        self.market = market
        self.tape = tape
        self.books = Books(market, changes_per_second)
        self._values: Recent[tuple[str, int, int], Values] = Recent(_KEPT, lambda _: 1)
        self._sums: Recent[tuple[str, int, int, int], _Sum] = Recent(_KEPT, lambda _: 1)

    def values(self, instrument: VenueInstrument, now: int) -> Values:
        """Return what is computed once a second; after its end, what it was then."""
        second = min(now, instrument.end) // _SECOND * _SECOND
        key = (instrument.name, instrument.listed_at, second)
        return self._values.get(key, lambda: self._make_values(instrument, second))

    def statistics(self, instrument: VenueInstrument, now: int) -> DayStatistics:
        """Return what the last 24 hours of the tape amount to; they begin on a whole minute."""
        end = min(now, instrument.end)
        first = self.tape.count_before(instrument, (end - DAY) // MINUTE * MINUTE) + 1
        last = self.tape.count_before(instrument, end)
        if first > last:
            return DayStatistics(None, None, self._last(instrument, last), None, 0.0, 0.0)
        key = (instrument.name, instrument.listed_at, first, last)
        total = self._sums.get(key, lambda: _sum(instrument, self.tape.select(instrument, first, last)))
        dollars = total.cost
        if instrument.kind == "option":
            dollars = total.volume * self.values(instrument, end).index
        return DayStatistics(
            high=total.high,
            low=total.low,
            last=total.last,
            price_change=round(100.0 * (total.last / total.first - 1.0), 4),
            volume=total.volume,
            volume_usd=round(dollars, 2),
        )

    def _make_values(self, instrument: VenueInstrument, second: int) -> Values:
        at, digits = moments(second), 2 if instrument.kind == "future" and instrument.tick_size >= 0.05 else 6
        mark = round(float(self.market.mark(instrument, at)[0]), digits)
        index = round(float(self.market.index(instrument.base, at)[0]), 2)
        values = Values(mark, index, self._open_interest(instrument, second))
        if instrument.kind != "option":
            return values
        return Values(
            mark,
            values.index,
            values.open_interest,
            forward=round(float(self.market.forward(instrument, at)[0]), 4),
            volatility=round(float(self.market.volatility(instrument, at)[0]) * 100, 2),
            valuation=self.market.value(instrument, at),
        )

    def _open_interest(self, instrument: VenueInstrument, now: int) -> float:
        if instrument.kind not in ("future", "option"):
            return 0.0
        size = uniform(self.market.seed, "open interest", instrument.name)
        swing = slow_noise(6 * HOUR, 0.1, self.market.seed, "open interest swing", instrument.name)
        scale = (2e6 if instrument.is_linear else 6e8) if instrument.kind == "future" else 3_000.0
        units = scale * (0.02 + size**3) * (1.0 + float(swing.at(moments(now))[0]))
        return round(round(units / instrument.min_trade_amount) * instrument.min_trade_amount, 8)

    def _last(self, instrument: VenueInstrument, sequence: int) -> float | None:
        return float(self.tape.select(instrument, sequence, sequence).price[0]) if sequence else None


def _sum(instrument: VenueInstrument, trades: Trades) -> _Sum:
    volume, cost = volume_and_cost(instrument, trades)
    return _Sum(
        high=float(trades.price.max()),
        low=float(trades.price.min()),
        first=float(trades.price[0]),
        last=float(trades.price[-1]),
        volume=round(float(volume.sum()), 8),
        cost=float(cost.sum()),
    )
