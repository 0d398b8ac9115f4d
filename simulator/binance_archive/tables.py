"""The tables inside the files: the same data as over REST, in the form of the archive, a day at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import numpy as np

from simulator.archive_faults import ArchiveAlteredRows, ArchiveLeftOutRows, ArchiveRows
from simulator.binance_archive.files import ArchiveFile
from simulator.binance_um.agg_trade_answers import held as held_trades
from simulator.binance_um.contracts import Contract
from simulator.binance_um.decimals import text
from simulator.binance_um.funding import RATE_DECIMALS
from simulator.binance_um.funding_answers import held as held_rates
from simulator.binance_um.intervals import MINUTES
from simulator.binance_um.kline_answers import closings, held_klines
from simulator.binance_um.klines import Klines
from simulator.binance_um.open_interest_answers import held as held_interest
from simulator.binance_um.request import UmRequest
from simulator.conditions import Mask
from simulator.hashing import key_of, uniforms
from simulator.lines import Lines
from simulator.moments import DAY
from tapekeeper.model.candle import Int64Column

HEADERS: Final[Mapping[str, bytes]] = {
    "klines": b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n",
    "aggTrades": b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n",
    "metrics": b"create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    b"sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n",
    "fundingRate": b"calc_time,funding_interval_hours,last_funding_rate\n",
}
_RATIOS: Final = 4
_TWICE: Final = 1 / 150


@dataclass(frozen=True, slots=True)
class Making:
    """One file that is being made."""

    request: UmRequest
    file: ArchiveFile
    contract: Contract

    def altered(self, keys: Int64Column, times: Int64Column) -> list[tuple[float, Mask]]:
        """Return which rows this edition has other numbers for, and how many times the true ones; shape of `keys`."""
        return [
            (fault.factor, self._chosen(fault, keys, times))
            for fault in self._faults()
            if isinstance(fault, ArchiveAlteredRows) and fault.is_due(self.request.now)
        ]

    def kept(self, keys: Int64Column, times: Int64Column) -> Mask:
        """Return which rows the file has, shape of `keys`."""
        kept = np.ones(len(keys), dtype=np.bool_)
        for fault in self._faults():
            if isinstance(fault, ArchiveLeftOutRows):
                kept &= ~self._chosen(fault, keys, times)
        return kept

    def _faults(self) -> Iterator[ArchiveRows]:
        file = self.file
        for fault in self.request.conditions.faults:
            if isinstance(fault, ArchiveRows) and fault.is_about_file(
                file.symbol, file.dataset, file.period, file.date
            ):
                yield fault

    def _chosen(self, fault: ArchiveRows, keys: Int64Column, times: Int64Column) -> Mask:
        key = key_of(self.request.conditions.seed, fault.kind, self.file.symbol, self.file.dataset)
        chosen: Mask = (times >= fault.start) & (uniforms(key, keys) < fault.fraction)
        return chosen if fault.end is None else chosen & (times < fault.end)


Maker: TypeAlias = Callable[[Making, int, int], bytes]


def stretches(making: Making) -> Iterator[bytes]:
    """Yield the lines of a file, some days of it at a time."""
    file, maker = making.file, _MAKERS[making.file.dataset]
    if file.interval is not None and file.interval not in MINUTES:
        yield maker(making, file.start, file.end)
        return
    for start in range(file.start, file.end, DAY):
        yield maker(making, start, start + DAY)


def _klines(making: Making, start: int, end: int) -> bytes:
    contract, interval = making.contract, making.file.interval or ""
    found = held_klines(making.request, contract, interval, start, end - 1)
    found = found.select(making.kept(found.opened, found.opened))
    rows = found.rows.astype(np.int64, copy=True)
    for factor, chosen in making.altered(found.opened, found.opened):
        for size in (4, 5, 7, 8):
            rows[size, chosen] = np.rint(rows[size, chosen] * factor)
    return _kline_lines(contract, interval, Klines(found.opened, rows))


def _kline_lines(contract: Contract, interval: str, found: Klines) -> bytes:
    lines, rows = Lines(len(found)).number(found.opened), found.rows
    quantity, quote = contract.quantity_decimals, contract.quote_decimals
    for row in rows[:4]:
        lines.put(b",").number(row, contract.price_decimals)
    lines.put(b",").number(rows[4], quantity).put(b",").number(closings(interval, found))
    lines.put(b",").number(rows[5], quote).put(b",").number(rows[6])
    return lines.put(b",").number(rows[7], quantity).put(b",").number(rows[8], quote).put(b",0\n").join()


def _agg_trades(making: Making, start: int, end: int) -> bytes:
    contract, request = making.contract, making.request
    end = min(end, request.conditions.cutoff(contract.symbol, request.now))
    found = held_trades(request.conditions, contract, request.data.tape.between(contract, start, end))
    found = found.select(making.kept(found.number, found.time))
    quantity = found.quantity.copy()
    for factor, chosen in making.altered(found.number, found.time):
        quantity[chosen] = np.rint(quantity[chosen] * factor)
    lines = Lines(len(found)).number(found.number).put(b",")
    lines.number(found.price, contract.price_decimals, trimmed=True).put(b",")
    lines.number(quantity, contract.quantity_decimals, trimmed=True).put(b",")
    lines.number(found.first).put(b",").number(found.last).put(b",").number(found.time).put(b",")
    return lines.choice(found.is_buyer_maker, b"true\n", b"false\n").join()


def _metrics(making: Making, start: int, end: int) -> bytes:
    contract = making.contract
    found = held_interest(making.request, contract, "5m", start + 1, end)
    found = found.select(making.kept(found.time, found.time))
    amount, value = found.amount.copy(), found.value.copy()
    for factor, chosen in making.altered(found.time, found.time):
        amount[chosen], value[chosen] = np.rint(amount[chosen] * factor), np.rint(value[chosen] * factor)
    key = key_of(making.request.conditions.seed, "metrics", contract.symbol)
    again = np.repeat(np.arange(len(found.time)), 1 + (uniforms(key, found.time) < _TWICE))
    time = found.time[again]
    lines = Lines(len(again)).texts([_stamp(one) for one in time.tolist()])
    lines.put(f",{contract.symbol},".encode()).number(amount[again], contract.quantity_decimals, trimmed=True)
    lines.put(b",").number(value[again], contract.quote_decimals, trimmed=True)
    for ratio in range(_RATIOS):
        lines.put(b",").number((10**8 * (0.5 + 2.0 * uniforms(key ^ (ratio + 1), time))).astype(np.int64), 8)
    return lines.put(b"\n").join()


def _funding_rates(making: Making, start: int, end: int) -> bytes:
    found = held_rates(making.request, making.contract, start, end - 1)
    found = found.select(making.kept(found.due, found.due))
    rate = found.rate.copy()
    for factor, chosen in making.altered(found.due, found.due):
        rate[chosen] = np.rint(rate[chosen] * factor)
    rows = zip(found.time.tolist(), found.hours.tolist(), rate.tolist(), strict=True)
    return "".join(f"{time},{hours},{text(one, RATE_DECIMALS)}\n" for time, hours, one in rows).encode()


def _stamp(moment: int) -> bytes:
    return f"{datetime.fromtimestamp(moment / 1_000, tz=UTC):%Y-%m-%d %H:%M:%S}".encode()


_MAKERS: Final[Mapping[str, Maker]] = {
    "klines": _klines,
    "aggTrades": _agg_trades,
    "metrics": _metrics,
    "fundingRate": _funding_rates,
}
