"""Aggregate trades of Binance: an id chain without holes, of the past 48 hours alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from simulator.binance_um.errors import UmError
from simulator.moments import DAY, HOUR, MINUTE
from tests.unit.simulator.binance import START, Binance
from tests.unit.simulator.venue import NOW


@pytest.fixture(scope="module")
def binance() -> Binance:
    return Binance()


def asked(binance: Binance, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = binance.ask("fapi/v1/aggTrades", **{"symbol": "BTCUSDT", **params})
    return rows


def refused(binance: Binance, **params: Any) -> int:
    with pytest.raises(UmError) as caught:
        asked(binance, **params)
    return caught.value.code


def test_ids_have_no_hole_over_days(binance: Binance) -> None:
    trades = binance.data.tape.between(binance.contract("BTCUSDT"), START - DAY // 2, START + 2 * DAY)
    assert len(trades) > 10_000
    assert set(np.diff(trades.number)) == {1}
    assert (np.diff(trades.time) >= 0).all()
    assert (np.diff(trades.time) == 0).sum() > 100, "several trades share a millisecond"
    assert (trades.first <= trades.last).all()
    holes = trades.first[1:] - trades.last[:-1] - 1
    assert 0.01 < (holes > 0).mean() < 0.05
    assert holes.min() == 0


def test_any_part_of_the_tape_is_the_same(binance: Binance) -> None:
    contract = binance.contract("ETHUSDT")
    whole = binance.data.tape.between(contract, START, START + DAY)
    part = Binance().data.tape.select(contract, int(whole.number[100]), int(whole.number[200]))
    for name in ("number", "price", "quantity", "first", "last", "time", "is_buyer_maker"):
        assert (getattr(part, name) == getattr(whole, name)[100:201]).all()


def test_a_row_has_the_fields_and_types_of_the_venue(binance: Binance) -> None:
    row = asked(binance, limit=1)[0]
    assert {name: type(value) for name, value in row.items()} == {
        "a": int, "p": str, "q": str, "f": int, "l": int, "T": int, "m": bool,
    }  # fmt: skip


def test_trades_of_an_hour_make_its_kline(binance: Binance) -> None:
    start = (NOW // HOUR - 3) * HOUR
    rows: list[dict[str, Any]] = asked(binance, startTime=start, endTime=start + HOUR - 1, limit=1_000)
    [kline] = binance.klines("BTCUSDT", "1h", startTime=start, limit=1)
    assert sum(Decimal(row["q"]) for row in rows) == Decimal(kline[5])
    assert sum(Decimal(row["q"]) * Decimal(row["p"]) for row in rows) == Decimal(kline[7])
    assert sum(Decimal(row["q"]) for row in rows if not row["m"]) == Decimal(kline[9])
    assert sum(row["l"] - row["f"] + 1 for row in rows) == kline[8]
    assert (rows[0]["p"], rows[-1]["p"]) == (kline[1], kline[4])


def test_a_walk_by_id_meets_every_trade_once(binance: Binance) -> None:
    first = asked(binance, startTime=NOW - 47 * HOUR, limit=1)[0]["a"]
    met: list[int] = []
    while rows := asked(binance, fromId=first, limit=1_000):
        met += [row["a"] for row in rows]
        first = met[-1] + 1
    assert met == list(range(met[0], met[0] + len(met)))
    assert asked(binance, limit=1)[0]["a"] == met[-1]


def test_which_rows_come_depends_on_what_is_sent(binance: Binance) -> None:
    newest = asked(binance)
    assert len(newest) == 500
    assert newest[-1]["T"] < NOW
    assert asked(binance, fromId=newest[-2]["a"]) == newest[-2:]
    start = NOW - HOUR
    assert asked(binance, startTime=start)[0]["T"] >= start
    until = asked(binance, endTime=start, limit=5)
    assert [row["T"] <= start for row in until] == [True] * 5
    [same] = {row["T"] for row in asked(binance, startTime=until[-1]["T"], endTime=until[-1]["T"])}
    assert same == until[-1]["T"], "both times are included"


def test_what_is_too_long_too_old_or_mixed_is_refused(binance: Binance) -> None:
    start = NOW - 10 * HOUR
    assert asked(binance, startTime=start, endTime=start + HOUR - 1)
    assert refused(binance, startTime=start, endTime=start + HOUR) == -1127
    assert refused(binance, startTime=NOW - 48 * HOUR - 1) == -1130
    assert refused(binance, fromId=1) == -1130
    assert refused(binance, fromId=10**9, startTime=start) == -1128
    assert refused(binance, limit=1_001) == -1130
    assert refused(binance, symbol="NOPE") == -1121
    assert asked(binance, symbol="SRMUSDT") == []


def test_missing_trades_are_told_nowhere(binance: Binance) -> None:
    plain = asked(binance, startTime=NOW - HOUR, limit=100)
    gone = [plain[3]["a"], plain[4]["a"]]
    told = asked(binance, startTime=NOW - HOUR, limit=100, faults=[{"kind": "missing_trades", "trade_seqs": gone}])
    assert len(told) == 100
    assert told[:98] == [row for row in plain if row["a"] not in gone]


def test_one_answer_can_leave_rows_out_or_tell_them_twice(binance: Binance) -> None:
    plain = asked(binance, startTime=NOW - HOUR, limit=9)
    less = asked(binance, startTime=NOW - HOUR, limit=9, faults=[{"kind": "left_out_rows"}])
    assert less == plain[:4] + plain[5:]
    twice = asked(binance, startTime=NOW - HOUR, limit=9, faults=[{"kind": "duplicated_rows"}])
    assert twice == [*plain[:5], *plain[4:]]
    moved = asked(binance, startTime=NOW - HOUR, limit=9, faults=[{"kind": "wrong_window", "shift": -5 * MINUTE}])
    assert moved[0]["T"] < plain[0]["T"]
