"""public/get_last_trades_by_instrument, by_currency, and both with _and_time."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

import numpy as np

from simulator.deribit.request import Request, chosen
from simulator.errors import invalid
from simulator.hashing import key_of, uniforms
from simulator.instruments import VenueInstrument
from simulator.moments import DAY
from simulator.tape import Trades
from simulator.world import World
from tapekeeper.model.candle import Int64Column

DEFAULT_COUNT: Final = 10
MOST_TRADES: Final = 1_000
_ID_EPOCH: Final = 1_500_000_000_000
_LIQUIDATIONS: Final = 0.002
_TAGGED: Final = 0.02
"""The part of an option's trades that were legs of a combo; as many were block trades."""
_NUMBERS_PER_MILLISECOND: Final = 1_000_000
_NOTHING: Final[Int64Column] = np.empty(0, dtype=np.int64)


def by_instrument(request: Request) -> object:
    """Answer with the newest trades of an instrument, or with those from start_seq to end_seq, both included."""
    instrument, now = request.instrument(), request.now
    cutoff = request.conditions.cutoff(instrument.name, now)
    first = request.params.optional_integer("start_seq")
    last = request.params.optional_integer("end_seq")
    newest = request.world.tape.count_before(instrument, cutoff)
    oldest_first = first is not None
    return _page(request, instrument, max(first or 1, 1), min(last or newest, newest), oldest_first=oldest_first)


def by_instrument_and_time(request: Request) -> object:
    """Answer with the trades of an instrument from start_timestamp to end_timestamp, both included."""
    instrument = request.instrument()
    start, end = _times(request)
    cutoff = request.conditions.cutoff(instrument.name, request.now)
    tape = request.world.tape
    first = tape.count_before(instrument, start or 0) + 1
    last = tape.count_before(instrument, min(end + 1, cutoff))
    times = range(start or 0, end + 1)
    return _page(request, instrument, first, last, oldest_first=start is not None, times=times)


def by_currency(request: Request) -> object:
    """Answer with the newest trades of all instruments of a currency, or with those from start_id to end_id."""
    start_id, end_id = request.params.optional_text("start_id"), request.params.optional_text("end_id")
    start = request.now - DAY if start_id is None else _time_of_id("start_id", start_id)
    end = request.now if end_id is None else _time_of_id("end_id", end_id)
    return _page_of_currency(request, start, end, oldest_first=start_id is not None)


def by_currency_and_time(request: Request) -> object:
    """Answer with the trades of a currency between two times; an older start than 24 h gets nothing, not an error."""
    start, end = _times(request)
    if start is not None and start < request.now - DAY:
        return {"trades": [], "has_more": False}
    return _page_of_currency(
        request, request.now - DAY if start is None else start, end, oldest_first=start is not None
    )


def trade_ids(instrument: VenueInstrument, trades: Trades) -> list[str]:
    """Return trade ids: in the order of time, unique within a currency, plain digits for BTC, else with a prefix."""
    numbers = (trades.time - _ID_EPOCH) * _NUMBERS_PER_MILLISECOND
    numbers += instrument.instrument_id % 10_000 * 100 + trades.sequence % 100
    if instrument.kind == "spot":
        prefix = f"{instrument.name}-"
    else:
        prefix = "" if instrument.settlement == "BTC" else f"{instrument.settlement}-"
    return [f"{prefix}{number}" for number in numbers.tolist()]


def tick_directions(trades: Trades) -> Int64Column:
    """Return 0 plus, 1 zero-plus, 2 minus, 3 zero-minus, shape (n,); the first trade of the column counts as a plus."""
    change = np.sign(np.diff(trades.price, prepend=0.0))
    moved = np.maximum.accumulate(np.where(change != 0, np.arange(len(trades)), 0))
    down = change[moved] < 0
    return np.where(change == 0, 1, 0) + np.where(down, 2, 0)


def trade_rows(world: World, instrument: VenueInstrument, trades: Trades) -> list[dict[str, object]]:
    """Return trades as the venue describes them, in the order of their sequence numbers."""
    is_option = instrument.kind == "option"
    columns: dict[str, list[object]] = {
        "trade_seq": trades.sequence.tolist(),
        "trade_id": list(trade_ids(instrument, trades)),
        "timestamp": trades.time.tolist(),
        "tick_direction": tick_directions(trades).tolist(),
        "price": trades.price.tolist(),
        "mark_price": np.round(world.market.mark(instrument, trades.time), 6 if is_option else 2).tolist(),
        "index_price": np.round(world.market.index(instrument.base, trades.time), 2).tolist(),
        "instrument_name": [instrument.name] * len(trades),
        "direction": np.where(trades.is_buy, "buy", "sell").tolist(),
        "contracts": np.round(trades.amount / instrument.contract_size, 8).tolist(),
        "amount": trades.amount.tolist(),
    }
    if is_option:
        columns["iv"] = np.round(world.market.volatility(instrument, trades.time) * 100, 2).tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    _tag(world, instrument, trades, rows)
    return rows


def _tag(world: World, instrument: VenueInstrument, trades: Trades, rows: list[dict[str, object]]) -> None:
    """Mark liquidations of futures, and trades of options that were legs of a combo or of a block trade."""
    chance = uniforms(key_of(world.seed, "liquidation", instrument.name), trades.sequence)
    if instrument.kind == "future":
        for position in np.flatnonzero(chance < _LIQUIDATIONS).tolist():
            rows[position]["liquidation"] = "T"
    if instrument.kind != "option":
        return
    combo = world.catalogue.combo_of(instrument)
    for position in np.flatnonzero(chance < 2 * _TAGGED).tolist():
        number = str(rows[position]["trade_id"]).rsplit("-", 1)[-1]
        if chance[position] >= _TAGGED:
            rows[position] |= {"block_trade_id": f"BLOCK-{number}", "block_trade_leg_count": 1}
        elif combo is not None:
            rows[position] |= {"combo_id": combo, "combo_trade_id": number}


def _page(
    request: Request,
    instrument: VenueInstrument,
    first: int,
    last: int,
    *,
    oldest_first: bool,
    times: range | None = None,
) -> dict[str, object]:
    """Return the trades with sequence numbers `first` to `last`, as many as were asked for, `times` if by time."""
    order = _Order(request, oldest_first=oldest_first)
    told = request.conditions.told_sequences(instrument.name, first, last)
    start, end = order.part(len(told))
    rows: list[dict[str, object]] = []
    if start < end:
        trades = request.world.tape.select(instrument, told[start], told[end - 1])
        rows = trade_rows(request.world, instrument, trades)
    return order.answer(request.conditions.told_trades(instrument.name, rows, times), len(told))


def _page_of_currency(request: Request, start: int, end: int, *, oldest_first: bool) -> dict[str, object]:
    """Return the trades of the instruments of a currency in `[start, end]`, as many as were asked for."""
    world, order = request.world, _Order(request, oldest_first=oldest_first)
    alive = chosen(world.catalogue.between(start, request.now), request.currency(may_be_any=False), request.kind())
    conditions = request.conditions
    tapes, told = [], []
    for instrument in alive:
        trades = world.tape.between(instrument, start, min(end + 1, conditions.cutoff(instrument.name, request.now)))
        tapes.append(trades)
        told.append(np.flatnonzero(~conditions.missing_trades(instrument.name, trades.sequence)))
    times = np.concatenate([trades.time[at] for trades, at in zip(tapes, told, strict=True)] or [_NOTHING])
    owners = np.repeat(np.arange(len(tapes)), [len(at) for at in told])
    first, last = order.part(len(times))
    chosen_owners = owners[np.argsort(times, kind="stable")[first:last]]
    wanted = np.bincount(chosen_owners, minlength=len(tapes)).tolist()
    rows: list[dict[str, object]] = []
    for instrument, trades, at, number in zip(alive, tapes, told, wanted, strict=True):
        if number:
            at = at[:number] if order.oldest_first else at[-number:]
            part = trade_rows(world, instrument, trades.part(int(at[0]), int(at[-1]) + 1))
            rows += conditions.told_trades(instrument.name, part, range(start, end + 1))
    rows.sort(key=itemgetter("timestamp"))
    return order.answer(rows, len(times))


class _Order:
    """Which end of the trades is asked for, how many, and in which order they are told."""

    def __init__(self, request: Request, *, oldest_first: bool) -> None:
        params = request.params
        count = params.optional_integer("count")
        self._count = DEFAULT_COUNT if count is None else count
        if not 1 <= self._count <= MOST_TRADES:
            raise invalid("count", f"must be between 1 and {MOST_TRADES}")
        self._sorting = params.choice("sorting", ("asc", "desc", "default"), default="default")
        self.oldest_first = oldest_first and self._sorting != "desc"

    def part(self, total: int) -> tuple[int, int]:
        """Return the positions `[start, end)` that are told of `total` trades in the order of time."""
        number = min(total, self._count)
        return (0, number) if self.oldest_first else (total - number, total)

    def answer(self, rows: list[dict[str, object]], total: int) -> dict[str, object]:
        """Return the result for these rows, which come in the order of time."""
        if self._sorting == "desc" or (self._sorting == "default" and not self.oldest_first):
            rows.reverse()
        return {"trades": rows, "has_more": total > self._count}


def _times(request: Request) -> tuple[int | None, int]:
    start = request.params.optional_integer("start_timestamp")
    end = request.params.optional_integer("end_timestamp")
    end = request.now if end is None else min(end, request.now)
    if start is not None and end < start <= request.now:
        raise invalid("start_timestamp", "start_timestamp must not be after end_timestamp")
    shift = request.conditions.shift()
    return (None if start is None else start + shift), end + shift


def _time_of_id(param: str, trade_id: str) -> int:
    digits = trade_id.rsplit("-", 1)[-1]
    if not digits.isdigit():
        raise invalid(param, "wrong format")
    return int(digits) // _NUMBERS_PER_MILLISECOND + _ID_EPOCH
