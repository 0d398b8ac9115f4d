"""What things are worth: indices, forwards, volatilities and mark prices at any instant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from simulator import black
from simulator.hashing import uniform
from simulator.instruments import VenueInstrument
from simulator.moments import DAY, HOUR, MINUTE, YEAR
from simulator.noise import Noise, price_noise, slow_noise
from tapekeeper.model.candle import Float64Column, Int64Column

LEVELS: Final = {"BTC": 38_000.0, "ETH": 2_200.0, "SOL": 90.0, "XRP": 1.2, "PAXG": 2_400.0, "USDC": 1.0}
"""Around what the index of a base currency moves, in US dollars."""
_LEVEL_OF_OTHERS: Final = 10.0
_RISK_FREE: Final = 0.05


def moments(*times: int) -> Int64Column:
    """Return instants as a column."""
    return np.array(times, dtype=np.int64)


class Market:
    """The prices of one seeded world; every method is a pure function of the seed and its arguments.

    Times are columns of milliseconds, shape (n,); answers have the same shape.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._noises: dict[str, Noise] = {}
        self._strike_volatility = lru_cache(maxsize=16_384)(self._volatility_of_strike)
        self._index_at = lru_cache(maxsize=4_096)(self._make_index_at)

    def index(self, base: str, times: Int64Column) -> Float64Column:
        """Return the price of one coin in US dollars; stablecoins are dollars here."""
        if len(times) == 1:
            return np.array([self._index_at(base, int(times[0]))])
        return self._make_index(base, times)

    def forward(self, instrument: VenueInstrument, times: Int64Column) -> Float64Column:
        """Return the price for the expiry of the instrument; a perpetual swings around its index."""
        index = self.index(instrument.base, times)
        if instrument.kind == "spot":
            return index
        if instrument.is_perpetual:
            premium = slow_noise(2 * HOUR, 0.0006, self.seed, "premium", instrument.base).at(times)
            return index * (1.0 + premium)
        years = np.maximum(instrument.expires_at - times, 0) / YEAR
        return index * np.exp(_RISK_FREE * years)

    def volatility(self, instrument: VenueInstrument, times: Int64Column) -> Float64Column:
        """Return the implied volatility of an option as a fraction."""
        moving = slow_noise(DAY, 0.15, self.seed, "volatility", instrument.base).at(times)
        return self._strike_volatility(instrument.name) * np.exp(moving)

    def value(self, instrument: VenueInstrument, times: Int64Column) -> black.Valuation:
        """Return prices and greeks of an option, prices in dollars."""
        if instrument.strike is None:
            raise ValueError(f"{instrument.name} is no option")
        years = np.maximum(instrument.expires_at - times, MINUTE) / YEAR
        return black.value(
            self.forward(instrument, times),
            instrument.strike,
            years,
            self.volatility(instrument, times),
            is_call=instrument.option_type == "call",
        )

    def mark(self, instrument: VenueInstrument, times: Int64Column) -> Float64Column:
        """Return mark prices in the quote currency of the instrument, unrounded; combos have none and stay at 0."""
        if instrument.kind in ("future_combo", "option_combo"):
            return np.zeros(len(times))
        if instrument.kind != "option":
            return self.forward(instrument, times)
        price = self.value(instrument, times).price
        return price if instrument.is_linear else price / self.forward(instrument, times)

    def chain(self, options: Sequence[VenueInstrument], moment: int) -> tuple[Float64Column, Float64Column]:
        """Return the mark prices and volatilities of options of one base currency at an instant, shape (n,) each."""
        at = moments(moment)
        years = np.maximum(np.array([one.expires_at for one in options]) - moment, MINUTE) / YEAR
        forwards = self.index(options[0].base, at)[0] * np.exp(_RISK_FREE * years)
        moving = slow_noise(DAY, 0.15, self.seed, "volatility", options[0].base).at(at)[0]
        volatilities = np.array([self._strike_volatility(one.name) for one in options]) * np.exp(moving)
        strikes = np.array([one.strike for one in options], dtype=np.float64)
        calls, puts = (
            black.value(forwards, strikes, years, volatilities, is_call=is_call).price for is_call in (True, False)
        )
        prices = np.where([one.option_type == "call" for one in options], calls, puts)
        return np.where([one.is_linear for one in options], prices, prices / forwards), volatilities

    def _make_index(self, base: str, times: Int64Column) -> Float64Column:
        noise = self._noises.get(base)
        if noise is None:
            noise = self._noises[base] = price_noise(self.seed, "index", base)
        return np.exp(noise.at(times)) * LEVELS.get(base, _LEVEL_OF_OTHERS)

    def _make_index_at(self, base: str, moment: int) -> float:
        return float(self._make_index(base, moments(moment))[0])

    def _volatility_of_strike(self, name: str) -> float:
        return 0.45 + 0.35 * uniform(self.seed, "strike volatility", name)


def to_ticks(instrument: VenueInstrument, prices: Float64Column, direction: int) -> Float64Column:
    """Return prices moved onto the tick grid: down for -1, to the nearest for 0, up for 1; at least one tick.

    A tick size is one over a whole number, or a whole number, so that each price is the nearest double of its decimal.
    """
    rounded = _round_to(prices, instrument.tick_size, direction)
    for step in instrument.tick_size_steps:
        above = prices > step.above_price
        if above.any():
            rounded = np.where(above, _round_to(prices, step.tick_size, direction), rounded)
    return rounded


def _round_to(prices: Float64Column, tick_size: float, direction: int) -> Float64Column:
    rounding = {-1: np.floor, 0: np.rint, 1: np.ceil}[direction]
    if tick_size >= 1.0:
        return np.maximum(rounding(prices / tick_size), 1.0) * tick_size
    per_unit = round(1.0 / tick_size)
    return np.maximum(rounding(prices * per_unit), 1.0) / per_unit
