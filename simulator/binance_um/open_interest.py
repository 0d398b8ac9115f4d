"""Open interest: a value at the end of each period, where anything traded in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.binance_um.contracts import Contract
from simulator.binance_um.intervals import MINUTES
from simulator.binance_um.klines import KlineMaker
from simulator.conditions import Mask
from simulator.market import Market, moments
from simulator.moments import DAY, HOUR, MINUTE
from simulator.noise import slow_noise
from tapekeeper.model.candle import Int64Column

PERIODS: Final = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
SINCE: Final = 1_598_918_400_000
"""2020-09-01: older open interest is kept nowhere."""
_DOLLARS: Final = 3_000_000_000.0


@dataclass(frozen=True, slots=True, eq=False)
class OpenInterest:
    """n values of one contract, columns of shape (n,): quantities, and what they are worth, in their last decimals."""

    time: Int64Column
    amount: Int64Column
    value: Int64Column

    def select(self, wanted: Mask | Int64Column | slice) -> OpenInterest:
        """Return some of them."""
        return OpenInterest(self.time[wanted], self.amount[wanted], self.value[wanted])


class OpenInterestMaker:
    """Makes open interest of any window."""

    def __init__(self, market: Market, klines: KlineMaker) -> None:
        self._market = market
        self._klines = klines

    def between(self, contract: Contract, period: str, start: int, end: int, now: int) -> OpenInterest:
        """Return the values at the ends of periods in `[start, end]`, both included, that are over at `now`.

        A period without any trade has none.
        """
        step = MINUTES[period] * MINUTE
        start, end = max(start, SINCE, contract.onboard_at + 1), min(end, now)
        klines = self._klines.klines(contract, period, start - step, end - step, now)
        time = klines.opened[klines.rows[6] > 0] + step
        time = time[time >= start]
        return OpenInterest(time, *self._at(contract, time))

    def _at(self, contract: Contract, time: Int64Column) -> tuple[Int64Column, Int64Column]:
        seed, symbol = self._market.seed, contract.symbol
        swing = slow_noise(5 * DAY, 0.4, seed, "interest", symbol).at(time)
        swing += slow_noise(HOUR, 0.02, seed, "interest by the hour", symbol).at(time)
        level = _DOLLARS / self._market.index(contract.instrument.base, moments(contract.onboard_at))[0]
        amount = np.rint(level * 10**contract.quantity_decimals * np.exp(swing)).astype(np.int64)
        mark = np.rint(self._market.mark(contract.instrument, time) * 10**contract.price_decimals).astype(np.int64)
        return amount, amount * mark
