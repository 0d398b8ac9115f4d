"""Funding: a rate at every whole multiple of the contract's own hours, paid some milliseconds late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.binance_um.contracts import Contract
from simulator.conditions import Mask
from simulator.hashing import key_of, uniforms
from simulator.market import Market
from simulator.moments import DAY, HOUR
from simulator.noise import slow_noise
from tapekeeper.model.candle import Int64Column

RATE_DECIMALS: Final = 8
MARK_DECIMALS: Final = 8
_PUNCTUAL: Final = 0.6
_LATEST: Final = 15
_MARKS_SINCE: Final = 1_698_796_800_000
"""2023-11-01: older rates have no mark price."""


@dataclass(frozen=True, slots=True, eq=False)
class FundingRates:
    """n rates of one contract, columns of shape (n,)."""

    due: Int64Column
    """When it is paid by the schedule, in milliseconds."""
    time: Int64Column
    """When it was paid, some milliseconds later."""
    rate: Int64Column
    """In units of the eighth decimal; it can be negative."""
    mark: Int64Column
    """The mark price, in units of the eighth decimal; 0 for none."""
    hours: Int64Column
    """Of the interval that the contract has then."""

    def select(self, wanted: Mask | Int64Column | slice) -> FundingRates:
        """Return some of them."""
        return FundingRates(
            self.due[wanted], self.time[wanted], self.rate[wanted], self.mark[wanted], self.hours[wanted]
        )


class FundingMaker:
    """Makes funding rates of any window."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def between(self, contract: Contract, start: int, end: int, now: int) -> FundingRates:
        """Return the rates that are paid in `[start, end]`, both included, and before `now`."""
        due, hours = self._schedule(contract, start - _LATEST, min(end, now))
        seed, symbol = self._market.seed, contract.symbol
        late = uniforms(key_of(seed, "funding is late", symbol), due)
        time = due + np.where(late < _PUNCTUAL, 0, ((late - _PUNCTUAL) / (1.0 - _PUNCTUAL) * _LATEST + 1)).astype(int)
        swing = slow_noise(2 * DAY, 0.0004, seed, "funding", symbol).at(due)
        rate = np.rint((0.0001 + swing) * hours / 8 * 10**RATE_DECIMALS).astype(np.int64)
        mark = np.rint(self._market.mark(contract.instrument, due) * 10**MARK_DECIMALS).astype(np.int64)
        found = FundingRates(due, time, rate, np.where(due < _MARKS_SINCE, 0, mark), hours)
        return found.select((time >= start) & (time <= end) & (time < now))

    @staticmethod
    def _schedule(contract: Contract, start: int, end: int) -> tuple[Int64Column, Int64Column]:
        """Return when it is due in `[start, end]`, and the hours of the interval then."""
        due, hours = [], []
        start, end = max(start, contract.onboard_at + 1), min(end, contract.end)
        ends = [terms.since for terms in contract.funding[1:]] + [end + 1]
        for terms, stop in zip(contract.funding, ends, strict=True):
            step = terms.hours * HOUR
            first = -(-max(start, terms.since) // step) * step
            due.append(np.arange(first, max(first, min(stop, end + 1)), step))
            hours.append(np.full(len(due[-1]), terms.hours))
        return np.concatenate(due), np.concatenate(hours)
