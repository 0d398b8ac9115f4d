"""Trades as the venue tells them, the same over REST and in channels, and which of them can be believed.

A trade of a combo comes once on the combo, with `legs`, and once per leg on the leg's own instrument, with `combo_id`.
Each is a trade of its own instrument with a number of its own, and is kept once; `legs` only repeats the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.trade import Side, Trade
from tapekeeper.venues.deribit.wire import Milliseconds, Name, Ordinal, tolerated

if TYPE_CHECKING:
    from collections.abc import Iterable


class VenueTrade(msgspec.Struct, frozen=True, gc=False):
    """One trade of the venue, by the venue's own field names (public/get_last_trades_by_instrument)."""

    instrument_name: Name
    trade_seq: Ordinal
    trade_id: Name | int
    timestamp: Milliseconds
    price: float
    amount: float
    direction: Side
    iv: float | None = None
    index_price: float | None = None
    mark_price: float | None = None
    liquidation: str | None = None
    combo_id: str | int | None = None
    """Documented as a number, sent as text: so may be the other ids."""
    block_trade_id: str | int | None = None
    legs: list[Any] | None = None

    def __post_init__(self) -> None:
        if self.trade_seq < 1:
            raise ValueError(f"trade_seq {self.trade_seq} is not above zero")
        if not math.isfinite(self.price) or (self.price <= 0 and not self.legs):
            # A combo is bought for the difference of its legs, which may be below zero.
            raise ValueError(f"price {self.price!r} is not above zero")
        if not 0 < self.amount < math.inf:
            raise ValueError(f"amount {self.amount!r} is not above zero")

    @property
    def event_time(self) -> int:
        """When it was matched, in microseconds since 1970."""
        return self.timestamp * MICROSECONDS_PER_MILLISECOND

    def as_trade(self, instrument_id: int, received_at: int) -> Trade:
        """Return the trade as a row; an `iv` of 0.0 is none, and becomes None."""
        return Trade(
            instrument_id,
            self.timestamp * MICROSECONDS_PER_MILLISECOND,
            received_at,
            self.trade_seq,
            str(self.trade_id),
            self.price,
            self.amount,
            self.direction,
            self.iv or None,
            self.index_price,
            self.mark_price,
            self.liquidation,
            _text(self.combo_id),
            _text(self.block_trade_id),
        )


@dataclass(frozen=True, slots=True)
class TradeAnswer:
    """Trades that can be believed, in the order in which the venue told them, and rows that cannot."""

    trades: tuple[VenueTrade, ...]
    rejected: tuple[RejectedRow, ...] = ()


def parse_trades(rows: Iterable[object]) -> TradeAnswer:
    """Return the trades of a list of the venue's, each judged by itself."""
    trades: list[VenueTrade] = []
    rejected: list[RejectedRow] = []
    for row in rows:
        try:
            trades.append(_trade(row))
        except msgspec.ValidationError as error:
            rejected.append(_rejected(row, str(error)))
    return TradeAnswer(tuple(trades), tuple(rejected))


def _trade(row: object) -> VenueTrade:
    try:
        return msgspec.convert(row, VenueTrade)
    except msgspec.ValidationError:
        return msgspec.convert(tolerated(row), VenueTrade)


def _rejected(row: object, reason: str) -> RejectedRow:
    fields = {str(name): value for name, value in row.items()} if isinstance(row, dict) else {"row": row}
    timestamp = fields.get("timestamp")
    if not isinstance(timestamp, int | float) or not 0 <= timestamp < MILLISECONDS_MAXIMUM:
        return RejectedRow(None, reason, fields)
    return RejectedRow(int(timestamp) * MICROSECONDS_PER_MILLISECOND, reason, fields)


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
