"""Paging through trades that happened before: every trade once, wherever the pages end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.errors import InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.window import Window
from tapekeeper.venues.deribit.decisions import Reply
from tapekeeper.venues.deribit.trade_history import TradeHistory
from tapekeeper.venues.deribit.trades import TradeAnswer
from tests.support.deribit_frames import trade

NOW_MS = now_microseconds() // 1_000
START_MS = NOW_MS - 3_600_000
HOUR = Window(START_MS * 1_000, NOW_MS * 1_000)
Row = dict[str, Any]


class Venue:
    """Answers as the venue documents its methods, but tells only a few trades at a time."""

    def __init__(self, rows: list[Row], most: int = 3, answered_at: int | None = None, unlisted: str = "") -> None:
        self.rows = rows
        self.listed = sorted({row["instrument_name"] for row in rows} - {unlisted})
        self.most = most
        self.answered_at = answered_at
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.history = TradeHistory(self.ask, self.names)

    def names(self, currency: str, kind: str) -> list[str]:
        assert (currency, kind) == ("ETH", "option")
        return self.listed

    def ask(self, method: str, parameters: Mapping[str, str | int]) -> Reply:
        self.asked.append((method.removeprefix("public/get_last_trades_"), dict(parameters)))
        asked = dict(parameters)
        most = min(int(asked.pop("count")), self.most)
        chosen = [row for row in self.rows if self._matches(row, asked)]
        chosen.sort(key=lambda row: (row.get("timestamp", 0), row.get("trade_seq", 0)))
        if asked["sorting"] == "desc":
            chosen.reverse()
        return Reply({"trades": chosen[:most], "has_more": len(chosen) > most}, self.answered_at)

    @staticmethod
    def _matches(row: Row, asked: dict[str, Any]) -> bool:
        return bool(
            row["instrument_name"] == asked.get("instrument_name", row["instrument_name"])
            and asked.get("start_seq", 0) <= row["trade_seq"] <= asked.get("end_seq", 10**9)
            and asked.get("start_timestamp", 0) <= row["timestamp"] <= asked.get("end_timestamp", 10**15)
        )


def tape(*ticks: tuple[str, int]) -> list[Row]:
    """Return trades of instruments at milliseconds after the start, numbered per instrument."""
    count: dict[str, int] = {}
    rows = []
    for name, millisecond in sorted(ticks, key=lambda tick: tick[1]):
        count[name] = count.get(name, 0) + 1
        rows.append(trade(instrument_name=name, timestamp=START_MS + millisecond, trade_seq=count[name]))
    return rows


def keys(answers: list[TradeAnswer]) -> list[tuple[str, int]]:
    return [(each.instrument_name, each.trade_seq) for answer in answers for each in answer.trades]


def true_keys(rows: list[Row]) -> list[tuple[str, int]]:
    return [(row["instrument_name"], row["trade_seq"]) for row in rows]


TICKS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 6)), max_size=30)


@given(TICKS, st.integers(1, 8), st.integers(0, 3), st.integers(4, 8))
def test_by_time_every_trade_of_the_window_comes_once(
    ticks: list[tuple[str, int]], most: int, start: int, end: int
) -> None:
    rows = tape(*ticks)
    venue = Venue(rows, most)
    window = Window((START_MS + start) * 1_000, (START_MS + end) * 1_000)
    found = keys(list(venue.history.by_time("ETH", "option", window)))
    inside = [row for row in rows if START_MS + start <= row["timestamp"] < START_MS + end]
    assert sorted(found) == sorted(true_keys(inside))
    assert all(asked["count"] == 1_000 for _, asked in venue.asked)


def test_a_full_millisecond_is_asked_for_by_instrument_and_number() -> None:
    rows = tape(("A", 0), *[("A", 5)] * 5, *[("B", 5)] * 4, ("C", 5), ("B", 6))
    venue = Venue(rows, unlisted="A")
    found = keys(list(venue.history.by_time("ETH", "option", HOUR)))
    assert sorted(found) == sorted(true_keys(rows))
    methods = [method for method, _ in venue.asked]
    assert methods[:2] == ["by_currency_and_time"] * 2
    assert set(methods[2:-1]) == {"by_instrument_and_time", "by_instrument"}
    assert methods[-1] == "by_currency_and_time"


def test_by_time_a_window_off_the_milliseconds_holds_those_that_begin_inside() -> None:
    rows = tape(("A", 0), ("A", 1), ("A", 2))
    window = Window(START_MS * 1_000 + 1, START_MS * 1_000 + 2_000)
    venue = Venue(rows)
    assert keys(list(venue.history.by_time("ETH", "option", window))) == [("A", 2)]
    inside_one = Window(START_MS * 1_000 + 1, START_MS * 1_000 + 999)
    assert list(venue.history.by_time("ETH", "option", inside_one)) == []


def test_by_time_more_than_a_day_back_is_a_mistake_of_the_caller() -> None:
    venue = Venue([])
    window = Window(now_microseconds() - MICROSECONDS_PER_DAY - 1, now_microseconds())
    with pytest.raises(ValueError, match=r"tells only those of the last 24 hours.*ask by instrument"):
        venue.history.by_time("ETH", "option", window)
    assert venue.asked == []


def test_by_time_an_answer_that_came_a_day_late_is_not_believed() -> None:
    venue = Venue([], answered_at=HOUR.start + MICROSECONDS_PER_DAY + 1)
    with pytest.raises(WindowMismatch, match="were told too late to be all of them"):
        list(venue.history.by_time("ETH", "option", HOUR))
    on_time = Venue(tape(("A", 0)), answered_at=HOUR.start + MICROSECONDS_PER_DAY)
    assert keys(list(on_time.history.by_time("ETH", "option", HOUR))) == [("A", 1)]


def test_by_time_rows_that_cannot_be_believed_come_once() -> None:
    rows = tape(*[("A", millisecond) for millisecond in range(7)])
    for number in (2, 3, 5):
        rows[number]["price"] = 0
    answers = list(Venue(rows).history.by_time("ETH", "option", HOUR))
    assert [seq for _, seq in keys(answers)] == [1, 2, 5, 7]
    assert [row.row["trade_seq"] for answer in answers for row in answer.rejected] == [3, 4, 6]


def test_by_time_an_answer_of_another_window_is_not_believed() -> None:
    history = TradeHistory(lambda *_: Reply({"trades": tape(("A", -1)), "has_more": False}, None), lambda *_: [])
    with pytest.raises(WindowMismatch, match=r"were answered with trade 1 of A at "):
        list(history.by_time("ETH", "option", HOUR))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8), st.integers(0, 20))
def test_by_number_every_trade_comes_once(start: int, length: int, most: int, held: int) -> None:
    rows = tape(*[("A", 0)] * held)
    answers = list(Venue(rows, most).history.by_sequence("A", start, start + length - 1))
    assert [seq for _, seq in keys(answers)] == [seq for seq in range(start, start + length) if seq <= held]


def test_by_number_no_answer_is_asked_for_more_than_it_can_hold() -> None:
    venue = Venue(tape(*[("A", 0)] * 2_500), most=1_000)
    assert len(keys(list(venue.history.by_sequence("A", 11, 2_300)))) == 2_290
    assert [(asked["start_seq"], asked["end_seq"]) for _, asked in venue.asked] == [
        (11, 1_010),
        (1_011, 2_010),
        (2_011, 2_300),
    ]
    assert all(asked["count"] == 1_000 and asked["sorting"] == "asc" for _, asked in venue.asked)


def test_by_number_a_hole_of_the_venue_stays_one() -> None:
    rows = [row for row in tape(*[("A", 0)] * 10) if row["trade_seq"] not in {4, 5}]
    assert [seq for _, seq in keys(list(Venue(rows, 4).history.by_sequence("A", 1, 10)))] == [1, 2, 3, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(("start", "end"), [(0, 5), (-1, -1), (6, 5)])
def test_by_number_nonsense_is_a_mistake_of_the_caller(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"trades {start} to {end}: the numbers have to ascend from 1 on"):
        Venue([]).history.by_sequence("A", start, end)


@pytest.mark.parametrize("stray", [trade(instrument_name="B", trade_seq=5), trade(instrument_name="A", trade_seq=11)])
def test_by_number_an_answer_for_others_is_not_believed(stray: Row) -> None:
    history = TradeHistory(lambda *_: Reply({"trades": [stray], "has_more": False}, None), lambda *_: [])
    with pytest.raises(WindowMismatch, match="trades 1 to 10 of A were answered with trade"):
        list(history.by_sequence("A", 1, 10))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "an object with a list, not as None"),
        ([], "an object with a list"),
        ({"trades": None, "has_more": False}, "an object with a list"),
        ({"trades": []}, "has_more None"),
        ({"trades": [], "has_more": True}, "there is no way on"),
        ({"trades": [trade(price=0)], "has_more": True}, "there is no way on"),
    ],
)
def test_an_answer_that_is_none(result: object, words: str) -> None:
    history = TradeHistory(lambda *_: Reply(result, None), lambda *_: [])
    with pytest.raises(ParseFailure, match=words):
        list(history.by_sequence("A", 1, 10))
    with pytest.raises(ParseFailure, match=words):
        list(history.by_time("ETH", "option", HOUR))


def test_the_newest_trade() -> None:
    venue = Venue(tape(("A", 0), ("A", 3), ("B", 5)))
    newest = venue.history.newest("A")
    assert newest is not None
    assert (newest.instrument_name, newest.trade_seq) == ("A", 2)
    assert venue.asked == [("by_instrument", {"instrument_name": "A", "count": 1, "sorting": "desc"})]
    assert venue.history.newest("C") is None


def test_a_newest_trade_that_cannot_be_believed() -> None:
    with pytest.raises(InvariantBroken, match=r"the last trade of A cannot be believed: price 0\.0 is not above zero"):
        Venue([trade(instrument_name="A", price=0)]).history.newest("A")
