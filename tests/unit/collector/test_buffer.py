from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from collector.buffer import Buffer, Loss
from collector.notes import Followed, Unfollowed
from tests.unit.collector.rows import quote, trade


def test_rows_leave_in_the_order_in_which_they_came_trades_first() -> None:
    buffer = Buffer(10, 10)
    for number in range(3):
        buffer.add_quotes([quote(change_id=number)])
    buffer.add_trades([trade(trade_seq=1), trade(trade_seq=2)])
    taken = buffer.take(4)
    assert [row.trade_seq for row in taken.trades] == [1, 2]
    assert [row.change_id for row in taken.quotes] == [0, 1]
    assert [row.change_id for row in buffer.take(4).quotes] == [2]
    assert not buffer.take(4)


def test_a_full_buffer_drops_the_oldest_quotes_and_says_which() -> None:
    buffer = Buffer(2, 10)
    for number in range(5):
        buffer.add_quotes([quote(instrument_id=number % 2, event_time=100 + number)])
    taken = buffer.take(10)
    assert [row.event_time for row in taken.quotes] == [103, 104]
    assert taken.losses == {0: Loss(100, 102, 2), 1: Loss(101, 101, 1)}
    assert buffer.quotes_dropped == 3
    assert buffer.take(10).losses == {}


def test_trades_are_never_dropped_but_reading_has_to_pause() -> None:
    buffer = Buffer(1, 2)
    assert buffer.has_room
    buffer.add_trades([trade(trade_seq=number) for number in range(5)])
    assert not buffer.has_room
    assert len(buffer.take(4).trades) == 4
    assert buffer.has_room


def test_notes_leave_after_all_rows_that_were_there_before_them() -> None:
    buffer, note = Buffer(10, 10), Unfollowed([1], 5)
    buffer.add_trades([trade(trade_seq=1), trade(trade_seq=2)])
    buffer.note(note)
    assert buffer.take(1).notes == []
    assert buffer.take(1).notes == [note]


def test_what_is_announced_leaves_before_all_rows_that_come_after_it() -> None:
    buffer, note = Buffer(10, 10), Followed([1], 5)
    buffer.announce(note)
    buffer.add_trades([trade(trade_seq=1), trade(trade_seq=2)])
    assert buffer.take(1).announced == [note]
    assert buffer.take(1).announced == []


def test_what_is_given_back_comes_first_again_as_far_as_there_is_room() -> None:
    buffer, note = Buffer(3, 3), Unfollowed([1], 5)
    for number in range(3):
        buffer.add_quotes([quote(event_time=number)])
    buffer.add_trades([trade(trade_seq=1)])
    buffer.note(note)
    taken = buffer.take(10)
    buffer.add_quotes([quote(event_time=3)])
    buffer.add_trades([trade(trade_seq=2)])
    buffer.give_back(taken)
    again = buffer.take(10)
    assert [row.event_time for row in again.quotes] == [1, 2, 3]
    assert [row.trade_seq for row in again.trades] == [1, 2]
    assert again.notes == [note]
    assert again.losses == {1: Loss(0, 0, 1)}


@given(st.integers(1, 20), st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=40))
def test_every_quote_is_taken_or_counted_as_lost(capacity: int, steps: list[tuple[bool, int]]) -> None:
    buffer, added, taken, lost = Buffer(capacity, 1), 0, 0, 0
    for adds, count in [*steps, (False, 10_000)]:
        if adds:
            for _ in range(count):
                buffer.add_quotes([quote(event_time=added)])
                added += 1
        else:
            batch = buffer.take(count)
            taken += len(batch.quotes)
            lost += sum(loss.quotes for loss in batch.losses.values())
    assert taken + lost == added
    assert lost == buffer.quotes_dropped


def test_a_writer_that_takes_meanwhile_neither_loses_nor_doubles_a_row() -> None:
    buffer, count, seen = Buffer(1_000, 1_000_000), 20_000, []

    def fill() -> None:
        for number in range(count):
            buffer.add_trades([trade(trade_seq=number)])

    filler = threading.Thread(target=fill)
    filler.start()
    while filler.is_alive() or buffer.rows_waiting:
        seen += [row.trade_seq for row in buffer.take(700).trades]
    filler.join()
    assert seen == list(range(count))
