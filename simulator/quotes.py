"""The book around the mark price, and what one instrument looks like at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.chart import volume_and_cost
from simulator.hashing import key_of, uniform, uniforms
from simulator.instruments import VenueInstrument
from simulator.market import Market, moments, to_ticks
from simulator.moments import DAY, HOUR
from simulator.noise import slow_noise
from simulator.tape import Tape
from tapekeeper.model.candle import Float64Column

_DEEPEST: Final = 25
_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Level:
    """A price in the book and the amount there."""

    price: float
    amount: float


@dataclass(frozen=True, slots=True)
class Book:
    """Bids from the highest, asks from the lowest; a side may be empty."""

    change_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


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


class Quotes:
    """Books, statistics and open interest of one seeded world; times in milliseconds."""

    def __init__(self, market: Market, tape: Tape) -> None:
        self.market = market
        self.tape = tape

    def index(self, instrument: VenueInstrument, now: int) -> float:
        """Return the index of an instrument, in cents as the venue rounds it."""
        return round(float(self.market.index(instrument.base, moments(now))[0]), 2)

    def mark(self, instrument: VenueInstrument, now: int) -> float:
        """Return the mark price as the venue rounds it."""
        digits = 2 if instrument.kind == "future" and instrument.tick_size >= 0.05 else 6
        return round(float(self.market.mark(instrument, moments(min(now, instrument.end)))[0]), digits)

    def book(self, instrument: VenueInstrument, now: int, depth: int = 1) -> Book:
        """Return the best `depth` levels of the book; it changes once a second; combos and the dead have none."""
        second = now // _SECOND
        mark = float(self.market.mark(instrument, moments(second * _SECOND))[0])
        if mark <= 0.0 or now >= instrument.end:
            return Book(second, (), ())
        half = max(instrument.tick_size / 2, mark * (0.02 if instrument.kind == "option" else 0.00003))
        key = key_of(self.market.seed, "book", instrument.name, second)
        bid, ask = mark - half, mark + half
        has_bid = bid >= instrument.tick_size and self._is_quoted(instrument, "bid", now)
        has_ask = self._is_quoted(instrument, "ask", now)
        return Book(
            second * 1_000 + key % 1_000,
            self._levels(instrument, key, bid, -min(depth, _DEEPEST)) if has_bid else (),
            self._levels(instrument, key ^ 1, ask, min(depth, _DEEPEST)) if has_ask else (),
        )

    def open_interest(self, instrument: VenueInstrument, now: int) -> float:
        """Return the open interest: dollars for inverse futures, else the base currency."""
        if instrument.kind not in ("future", "option"):
            return 0.0
        size = uniform(self.market.seed, "open interest", instrument.name)
        swing = slow_noise(6 * HOUR, 0.1, self.market.seed, "open interest swing", instrument.name)
        scale = (2e6 if instrument.is_linear else 6e8) if instrument.kind == "future" else 3_000.0
        units = scale * (0.02 + size**3) * (1.0 + float(swing.at(moments(now))[0]))
        return round(round(units / instrument.min_trade_amount) * instrument.min_trade_amount, 8)

    def statistics(self, instrument: VenueInstrument, now: int) -> DayStatistics:
        """Return what the last 24 hours of the tape amount to."""
        end = min(now, instrument.end)
        trades = self.tape.between(instrument, end - DAY, end)
        if not len(trades):
            return DayStatistics(None, None, self._last(instrument, end), None, 0.0, 0.0)
        volume, cost = volume_and_cost(instrument, trades)
        first, last = float(trades.price[0]), float(trades.price[-1])
        total = round(float(volume.sum()), 8)
        in_dollars = float(cost.sum()) if instrument.kind != "option" else total * self.index(instrument, end)
        return DayStatistics(
            high=float(trades.price.max()),
            low=float(trades.price.min()),
            last=last,
            price_change=round(100.0 * (last / first - 1.0), 4),
            volume=total,
            volume_usd=round(in_dollars, 2),
        )

    def _last(self, instrument: VenueInstrument, end: int) -> float | None:
        count = self.tape.count_before(instrument, end)
        return float(self.tape.select(instrument, count, count).price[0]) if count else None

    def _is_quoted(self, instrument: VenueInstrument, side: str, now: int) -> bool:
        return instrument.kind != "option" or uniform(self.market.seed, side, instrument.name, now // HOUR) > 0.07

    @staticmethod
    def _levels(instrument: VenueInstrument, key: int, best: float, depth: int) -> tuple[Level, ...]:
        """Return levels from the best one on: upwards for a positive depth, downwards for a negative one."""
        direction, order = int(np.sign(depth)), np.arange(abs(depth))
        steps: Float64Column = np.cumsum(np.floor(uniforms(key ^ 2, order) * 4.0) + 1.0)
        start = float(to_ticks(instrument, np.array([best]), direction)[0])
        prices = to_ticks(instrument, start + direction * (steps - steps[0]) * _tick_at(instrument, start), 0)
        amounts = np.floor(1.0 + 60.0 * uniforms(key ^ 3, order) ** 2) * instrument.min_trade_amount
        levels: dict[float, float] = {}
        for price, amount in zip(prices.tolist(), np.round(amounts, 8).tolist(), strict=True):
            levels.setdefault(price, amount)
        return tuple(Level(price, amount) for price, amount in levels.items())


def _tick_at(instrument: VenueInstrument, price: float) -> float:
    for step in reversed(instrument.tick_size_steps):
        if price > step.above_price:
            return step.tick_size
    return instrument.tick_size
