"""Aggregate trades: the tape in whole numbers, with the ids of the trades that each one sums up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.binance_um.contracts import Contract
from simulator.hashing import key_of, uniforms
from simulator.market import Market
from simulator.tape import Tape, Trades
from tapekeeper.model.candle import Int64Column

_TRADES_EACH: Final = 3
_HOLES: Final = 0.03
"""Trades of the insurance fund and of forced closing are in no aggregate, so that their ids are missing."""


@dataclass(frozen=True, slots=True, eq=False)
class AggTrades:
    """n aggregate trades with consecutive ids, columns of shape (n,).

    `price` and `quantity` count the last decimal of the contract, `time` milliseconds.
    """

    number: Int64Column
    """The id, which has no hole."""
    price: Int64Column
    quantity: Int64Column
    first: Int64Column
    last: Int64Column
    """The ids of the trades in it, both included; between two aggregates some may be missing."""
    time: Int64Column
    is_buyer_maker: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)

    def select(self, wanted: npt.NDArray[np.bool_] | Int64Column | slice) -> AggTrades:
        """Return some of them."""
        return AggTrades(
            self.number[wanted],
            self.price[wanted],
            self.quantity[wanted],
            self.first[wanted],
            self.last[wanted],
            self.time[wanted],
            self.is_buyer_maker[wanted],
        )


class AggTape:
    """The aggregate trades of all contracts of one seeded world."""

    def __init__(self, market: Market) -> None:
        self._seed = market.seed
        self._tape = Tape(market)

    def day(self, contract: Contract, day: int) -> AggTrades:
        """Return the trades of a day (counted from 1970)."""
        trades = self._tape.day(contract.instrument, day)
        alive = int(np.searchsorted(trades.time, contract.end))
        return self._aggregates(contract, trades.part(0, alive))

    def between(self, contract: Contract, start: int, end: int) -> AggTrades:
        """Return the trades of the window `[start, end)` in milliseconds."""
        return self._aggregates(contract, self._tape.between(contract.instrument, start, end))

    def select(self, contract: Contract, first: int, last: int) -> AggTrades:
        """Return the trades with ids `first` to `last`, both included."""
        return self._aggregates(contract, self._tape.select(contract.instrument, first, last))

    def count_before(self, contract: Contract, moment: int) -> int:
        """Return how many trades happen before an instant, which is the id of the last of them."""
        return self._tape.count_before(contract.instrument, moment)

    def last_price_before(self, contract: Contract, day: int) -> int | None:
        """Return the price of the last trade before a day, however long ago, or None."""
        price = self._tape.last_before(contract.instrument, day)
        return None if price is None else round(price * 10**contract.price_decimals)

    def _aggregates(self, contract: Contract, trades: Trades) -> AggTrades:
        number = trades.sequence
        first, last = self._ids(contract.symbol, number)
        return AggTrades(
            number=number,
            price=_whole(trades.price, contract.price_decimals),
            quantity=_whole(trades.amount, contract.quantity_decimals),
            first=first,
            last=last,
            time=trades.time,
            is_buyer_maker=~trades.is_buy,
        )

    def _ids(self, symbol: str, number: Int64Column) -> tuple[Int64Column, Int64Column]:
        """Return the ids of the first and the last trade in each aggregate: three each, give or take two.

        A boundary lies within one of its place on an even grid, so that every id is known without those before it.
        """
        sway, hole = key_of(self._seed, "trade ids", symbol), key_of(self._seed, "trade id holes", symbol)
        boundary = _TRADES_EACH * number + (uniforms(sway, number) * 3.0).astype(np.int64) - 1
        following = number + 1
        next_boundary = _TRADES_EACH * following + (uniforms(sway, following) * 3.0).astype(np.int64) - 1
        last = next_boundary - 1
        last -= (uniforms(hole, number) < _HOLES) & (last > boundary)
        return boundary, last


def _whole(values: npt.NDArray[np.float64], decimals: int) -> Int64Column:
    return np.rint(values * 10.0**decimals).astype(np.int64)
