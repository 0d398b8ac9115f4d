"""Whatever the order in which trades come: each is new once, and what was passed over is told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.venues.deribit import trade_chain
from tapekeeper.venues.deribit.trade_chain import Known, TradeChain, TradeGap


def test_any_number_begins_an_unknown_chain() -> None:
    chain = TradeChain()
    assert [chain.accept(number) for number in (41, 42, 43)] == [Known.NEW] * 3
    assert chain.last_trade_seq == 43


def test_a_listing_begins_with_its_first_trade() -> None:
    assert TradeChain(0).accept(1) is Known.NEW
    assert TradeChain(0).accept(3) == TradeGap(1, 2)


def test_a_jump_is_a_gap_and_the_trade_after_it_is_new() -> None:
    chain = TradeChain(10)
    assert chain.accept(14) == TradeGap(11, 13)
    assert chain.accept(14) is Known.DUPLICATE
    assert chain.accept(15) is Known.NEW


def test_duplicates() -> None:
    chain = TradeChain(10)
    assert [chain.accept(number) for number in (10, 3, 11, 11)] == [
        Known.DUPLICATE,
        Known.DUPLICATE,
        Known.NEW,
        Known.DUPLICATE,
    ]


def test_a_trade_that_comes_late_is_new_once() -> None:
    chain = TradeChain(10)
    chain.accept(15)
    assert [chain.accept(number) for number in (12, 12, 11, 14, 13, 13)] == [
        Known.NEW,
        Known.DUPLICATE,
        Known.NEW,
        Known.NEW,
        Known.NEW,
        Known.DUPLICATE,
    ]


def test_only_so_many_holes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_chain, "MISSING_RANGES_MAXIMUM", 2)
    chain = TradeChain(0)
    assert [chain.accept(number) for number in (2, 4, 6)] == [TradeGap(1, 1), TradeGap(3, 3), TradeGap(5, 5)]
    assert [chain.accept(number) for number in (1, 3, 5)] == [Known.DUPLICATE, Known.NEW, Known.NEW]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.none() | st.integers(0, 10))
def test_every_trade_is_new_once_and_every_hole_is_told_once(numbers: list[int], last: int | None) -> None:
    chain = TradeChain(last)
    start = numbers[0] - 1 if last is None else last
    held: set[int] = set()
    told: list[int] = []
    for number in numbers:
        verdict = chain.accept(number)
        if isinstance(verdict, TradeGap):
            told += range(verdict.first_missing, verdict.last_missing + 1)
        assert (verdict is Known.DUPLICATE) == (number in held or number <= (last or 0))
        held.add(number)
    assert len(told) == len(set(told))
    newest = max(start, *numbers)
    assert chain.last_trade_seq == newest
    assert set(range(start + 1, newest + 1)) - held <= set(told)
    assert set(told) <= set(range(start + 1, newest))
