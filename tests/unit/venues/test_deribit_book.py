"""A book is what its frames say, tells each change of its top once, and is believed only while the chain holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.venues.deribit.book import SEED_AGE, Book, BookState, ChainBroken, TopChange
from tapekeeper.venues.deribit.messages import BookMessage, Level, decode
from tests.support.deribit_frames import NAME, TIME_MS, book, notification

NOW = TIME_MS * 1_000


def frame(change_id: int, previous: int | None, **changes: Any) -> BookMessage:
    message = decode(notification(f"book.{NAME}.100ms", book(change_id, previous, **changes)))
    assert isinstance(message, BookMessage)
    return message


def snapshot(change_id: int = 10, **changes: Any) -> BookMessage:
    levels = {"bids": [["new", 0.04, 5.0], ["new", 0.039, 7.0]], "asks": [["new", 0.042, 2.0], ["new", 0.05, 1.0]]}
    return frame(change_id, None, **(levels | changes))


@pytest.fixture
def live() -> Book:
    live = Book()
    live.apply(snapshot(), NOW)
    return live


def top(change_id: int, *sides: float | None) -> TopChange:
    bid_price, bid_size, ask_price, ask_size = sides
    return TopChange(NOW, change_id, bid_price, bid_size, ask_price, ask_size)


def test_a_snapshot_tells_the_top() -> None:
    fresh = Book()
    assert fresh.state is BookState.WAITING
    assert fresh.apply(snapshot(), NOW) == top(10, 0.04, 5.0, 0.042, 2.0)
    assert (fresh.state, fresh.change_id) == (BookState.LIVE, 10)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"bids": [["change", 0.04, 6.0]]}, (0.04, 6.0, 0.042, 2.0)),
        ({"bids": [["new", 0.041, 1.0]]}, (0.041, 1.0, 0.042, 2.0)),
        ({"bids": [["delete", 0.04, 0.0]]}, (0.039, 7.0, 0.042, 2.0)),
        ({"asks": [["change", 0.042, 0.0]]}, (0.04, 5.0, 0.05, 1.0)),
        ({"asks": [["delete", 0.042, 3.0]]}, (0.04, 5.0, 0.05, 1.0)),
        ({"asks": [["delete", 0.042, 0.0], ["delete", 0.05, 0.0]]}, (0.04, 5.0, None, None)),
        ({"bids": [["delete", 0.04, 0.0], ["new", 0.0395, 3.0]]}, (0.0395, 3.0, 0.042, 2.0)),
        ({"bids": [["new", 0.041, 1.0]], "asks": [["delete", 0.042, 0.0]]}, (0.041, 1.0, 0.05, 1.0)),
    ],
)
def test_changes_of_the_top(live: Book, levels: dict[str, Any], expected: tuple[float | None, ...]) -> None:
    assert live.apply(frame(17, 10, **levels), NOW) == top(17, *expected)


@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"bids": [["change", 0.039, 1.0]], "asks": [["new", 0.06, 4.0]]},
        {"bids": [["delete", 0.039, 0.0]]},
        {"bids": [["delete", 0.01, 0.0]]},
        {"bids": [["change", 0.04, 5.0]]},
        {"bids": [["delete", 0.04, 0.0], ["new", 0.04, 5.0]]},
    ],
)
def test_changes_behind_the_top_are_no_news_but_links_of_the_chain(live: Book, levels: dict[str, Any]) -> None:
    assert live.apply(frame(17, 10, **levels), NOW) is None
    assert live.change_id == 17
    assert isinstance(live.apply(frame(18, 17, bids=[["new", 0.041, 1.0]]), NOW), TopChange)


def test_a_change_that_does_not_follow_breaks_the_book_until_a_snapshot(live: Book) -> None:
    assert live.apply(frame(20, 15, bids=[["new", 0.041, 1.0]]), NOW) == ChainBroken(10, 15)
    assert live.state is BookState.BROKEN
    assert live.apply(frame(21, 20, bids=[["new", 0.041, 1.0]]), NOW) is None
    assert live.apply(frame(22, 10, bids=[["new", 0.041, 1.0]]), NOW) is None
    assert live.state is BookState.BROKEN
    assert live.apply(snapshot(30, bids=[], asks=[["new", 0.07, 1.0]]), NOW) == top(30, None, None, 0.07, 1.0)
    assert live.apply(frame(31, 30, bids=[["new", 0.02, 1.0]]), NOW) == top(31, 0.02, 1.0, 0.07, 1.0)


def test_a_change_before_any_snapshot_breaks_the_book() -> None:
    waiting = Book()
    assert waiting.apply(frame(20, 15), NOW) == ChainBroken(None, 15)
    assert waiting.state is BookState.BROKEN


def test_a_change_that_names_none_before_it_breaks_the_book(live: Book) -> None:
    assert live.apply(frame(20, None, type="change"), NOW) == ChainBroken(10, None)


def test_a_frame_that_comes_twice_changes_nothing(live: Book) -> None:
    change = frame(17, 10, bids=[["new", 0.041, 1.0]])
    assert isinstance(live.apply(change, NOW), TopChange)
    assert live.apply(change, NOW) is None
    assert live.state is BookState.LIVE
    assert isinstance(live.apply(frame(18, 17, bids=[["delete", 0.041, 0.0]]), NOW), TopChange)


@pytest.mark.parametrize("broken", [False, True])
def test_a_new_listing_begins_with_a_change_of_nothing(broken: bool) -> None:
    listed = Book()
    if broken:
        listed.apply(frame(3, 2), NOW)
    first = frame(40, 0, bids=[["new", 0.019, 93.0]], asks=[["new", 0.037, 93.0]])
    assert listed.apply(first, NOW) == top(40, 0.019, 93.0, 0.037, 93.0)
    assert listed.apply(frame(41, 40, asks=[["delete", 0.037, 0.0]]), NOW) == top(41, 0.019, 93.0, None, None)


def test_a_change_of_nothing_in_the_middle_of_a_life_is_a_break(live: Book) -> None:
    assert live.apply(frame(40, 0, bids=[["new", 0.019, 93.0]]), NOW) == ChainBroken(10, 0)


def test_a_snapshot_that_names_a_change_before_it_is_a_snapshot(live: Book) -> None:
    message = frame(99, 20, type="snapshot", bids=[["new", 7.562, 34.0]])
    assert live.apply(message, NOW) == top(99, 7.562, 34.0, None, None)


def test_an_old_snapshot_is_no_news_but_begins_the_chain() -> None:
    quiet = Book()
    assert quiet.apply(snapshot(), NOW + SEED_AGE + 1) is None
    assert quiet.state is BookState.LIVE
    change = frame(17, 10, bids=[["change", 0.04, 1.0]])
    assert quiet.apply(change, NOW + SEED_AGE + 1) == top(17, 0.04, 1.0, 0.042, 2.0)
    assert Book().apply(snapshot(), NOW + SEED_AGE) == top(10, 0.04, 5.0, 0.042, 2.0)


def test_a_subscription_that_ended_leaves_nothing(live: Book) -> None:
    live.reset()
    assert (live.state, live.change_id) == (BookState.WAITING, None)
    assert live.apply(frame(17, 10), NOW) == ChainBroken(None, 10)


PRICES = st.integers(1, 6).map(float)
LEVELS = st.lists(
    st.tuples(st.sampled_from(["new", "change", "delete"]), PRICES, st.integers(0, 3).map(float)), max_size=4
)


def naive(side: dict[float, float], levels: list[Level]) -> None:
    for action, price, amount in levels:
        if action == "delete" or amount == 0:
            side.pop(price, None)
        else:
            side[price] = amount


def naive_top(bids: dict[float, float], asks: dict[float, float]) -> tuple[float | None, ...]:
    bid, ask = max(bids, default=None), min(asks, default=None)
    return bid, bids.get(bid or 0.0), ask, asks.get(ask or 0.0)


@given(st.lists(st.tuples(LEVELS, LEVELS), min_size=1, max_size=20))
def test_the_top_is_the_naive_one_and_told_exactly_when_it_changes(
    frames: list[tuple[list[Level], list[Level]]],
) -> None:
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    kept = Book()
    before: tuple[float | None, ...] | None = None
    for number, (bid_levels, ask_levels) in enumerate(frames):
        naive(bids, bid_levels)
        naive(asks, ask_levels)
        message = BookMessage(NAME, TIME_MS, number + 1, number or None, None, bid_levels, ask_levels)
        told = kept.apply(message, NOW)
        expected = naive_top(bids, asks)
        assert told == (top(number + 1, *expected) if expected != before else None)
        before = expected


@given(st.lists(st.integers(1, 4), min_size=2, max_size=20), st.data())
def test_one_lost_frame_is_always_noticed(steps: list[int], data: st.DataObject) -> None:
    ids = [sum(steps[: number + 1]) for number in range(len(steps))]
    lost = data.draw(st.integers(0, len(ids) - 2))
    kept = Book()
    kept.apply(snapshot(ids[0]), NOW)
    previous = [None, *ids]
    results = [
        kept.apply(frame(ids[number], previous[number]), NOW) for number in range(1, len(ids)) if number != lost + 1
    ]
    broken = [result for result in results if isinstance(result, ChainBroken)]
    assert broken == ([] if lost + 2 == len(ids) else [ChainBroken(ids[lost], ids[lost + 1])])
