"""Aggregate trades of /fapi/v1/aggTrades, and which of them can be believed.

A row is {"a": id, "p": price, "q": quantity, "f": id of the first trade in it, "l": of the last, "T": milliseconds,
"m": whether the taker sold}; price and quantity are text. The ids "a" have no hole; those of the trades in them do,
as trades of the insurance fund and of forced closing are in no aggregate.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND
from tapekeeper.errors import ParseFailure
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.answer import Answer
from tapekeeper.venues.binance_um.told_lists import list_told
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from tapekeeper.model.candle import Float64Column, Int64Column
    from tapekeeper.model.window import Window

FIELDS: Final = ("a", "p", "q", "f", "l", "T", "m")
CLOCKS_DIFFER: Final = 60 * MICROSECONDS_PER_SECOND
"""So far ahead of our clock the venue's may be."""


def parse_agg_trades(result: object, window: Window | None, now: int) -> Answer[AggTrades]:
    """Return the aggregate trades of an answer, in the units of `AggTrades`.

    Args:
        result: the venue's, parsed JSON.
        window: what was asked for; None where it was asked for by ids.
        now: microseconds since 1970; a trade of the future is put aside.

    Raises:
        ParseFailure: the answer is not of the documented shape.
        WindowMismatch: it holds a trade of another window.
        InvariantBroken: the ids do not ascend, or the times descend.
    """
    rows = list_told(result, "aggregate trades")
    for row in rows:
        if not isinstance(row, dict) or not row.keys() >= set(FIELDS):
            raise ParseFailure(
                f"an aggregate trade of Binance should be an object with {', '.join(FIELDS)}, not {reprlib.repr(row)}"
            )
    if not rows:
        return Answer(AggTrades.empty())
    return believe_agg_trades(ToldColumns({name: [row[name] for row in rows] for name in FIELDS}), window, now)


def believe_agg_trades(
    told: ToldColumns, window: Window | None, now: int, names: tuple[str, ...] = FIELDS
) -> Answer[AggTrades]:
    """Return the aggregate trades that columns tell; see `parse_agg_trades`.

    Args:
        told: the columns as they came.
        window: what was asked for; None where it was asked for by ids.
        now: microseconds since 1970.
        names: of the columns, in the order of `FIELDS`.
    """
    number, price, quantity, first, last, time, taker_sold = names
    trades = AggTrades(
        agg_trade_id=told.ids(number),
        event_time=told.moments(time),
        price=told.decimals(price),
        quantity=told.decimals(quantity),
        first_trade_id=told.ids(first),
        last_trade_id=told.ids(last),
        is_buyer_maker=told.flags(taker_sold),
    )
    values: dict[str, Float64Column | Int64Column] = {
        "price": trades.price,
        "quantity": trades.quantity,
        "first": trades.first_trade_id,
        "last": trades.last_trade_id,
        "time": trades.event_time // MICROSECONDS_PER_MILLISECOND,
    }
    told.doubt(trades.price <= 0, "price {price!r} is not above zero", values)
    told.doubt(trades.quantity <= 0, "quantity {quantity!r} is not above zero", values)
    told.doubt(
        trades.last_trade_id < trades.first_trade_id, "its last trade {last} is before its first {first}", values
    )
    told.doubt(trades.event_time > now + CLOCKS_DIFFER, "its time of {time} milliseconds has not come yet", values)
    return told.believe_numbered(trades, trades.agg_trade_id, window)
