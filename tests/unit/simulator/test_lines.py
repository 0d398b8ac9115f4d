"""Lines of text that are made column by column."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.lines import Lines
from tests.unit.simulator.venue import steady

numbers = st.lists(st.integers(0, 10**17), min_size=1, max_size=20)


@steady
@given(numbers, st.integers(0, 8))
def test_a_number_is_written_as_python_writes_it(values: list[int], decimals: int) -> None:
    made = Lines(len(values)).number(np.array(values), decimals).put(b"\n").join().decode().splitlines()
    unit = 10**decimals
    assert made == [f"{one // unit}.{one % unit:0{decimals}d}" if decimals else str(one) for one in values]


@steady
@given(numbers, st.integers(1, 8))
def test_a_trimmed_number_has_no_zero_at_its_end(values: list[int], decimals: int) -> None:
    column = np.array(values)
    made = Lines(len(values)).number(column, decimals, trimmed=True).put(b"\n").join().decode().splitlines()
    full = Lines(len(values)).number(column, decimals).put(b"\n").join().decode().splitlines()
    assert made == [one.rstrip("0").rstrip(".") for one in full]


def test_choices_and_texts_keep_their_lines() -> None:
    lines = Lines(3).choice(np.array([True, False, True]), b"true", b"false").put(b",").texts([b"", b"ab", b"c"])
    assert lines.put(b";").join() == b"true,;false,ab;true,c;"


def test_no_lines_are_no_text() -> None:
    assert Lines(0).put(b"a").number(np.empty(0, dtype=np.int64), 2).texts([]).join() == b""
