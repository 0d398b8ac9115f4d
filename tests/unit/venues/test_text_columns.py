"""Numbers from lines of text: the same as the csv module and `float` would read, however the lines end."""

from __future__ import annotations

import csv
import io
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import ParseFailure
from tapekeeper.venues.text_columns import Fields, TextColumns

DIGITS = st.text("0123456789", min_size=1, max_size=20)
DECIMALS = st.one_of(
    st.builds("{}.{}".format, st.text("0123456789", max_size=12), st.text("0123456789", max_size=12)),
    DIGITS,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(0, 10**19).map(lambda number: f"{number / 10**8:.8f}"),
)
NONSENSE = st.text(st.characters(exclude_characters=',"\r\n\0', codec="utf-8"), max_size=8)


def table(rows: list[list[str]], ending: str = "\n") -> bytes:
    return "".join(",".join(row) + ending for row in rows).encode()


def as_float(text: str) -> float:
    """Return what Python reads, as far as a venue may write it."""
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return number


def same(one: float, other: float) -> bool:
    """Return whether two doubles are the same to the last bit, or both NaN."""
    return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))


@given(
    st.lists(st.tuples(DIGITS, st.one_of(DECIMALS, NONSENSE), st.one_of(DIGITS, NONSENSE)), min_size=1, max_size=30),
    st.sampled_from(["\n", "\r\n"]),
)
def test_numbers_are_what_csv_and_float_read(rows: list[tuple[str, str, str]], ending: str) -> None:
    text = table([list(row) for row in rows], ending)
    fields = Fields.split(text, 3)
    expected = list(csv.reader(io.StringIO(text.decode(), newline=""), quoting=csv.QUOTE_NONE))
    assert [fields.exact(column) for column in range(3)] == [list(column) for column in zip(*expected, strict=True)]
    for row, number in enumerate(fields.decimals(1).tolist()):
        assert same(number, as_float(expected[row][1])), expected[row][1]
    for column in (0, 2):
        numbers, readable = fields.whole_numbers(column)
        for row, one in enumerate(expected):
            digits = one[column].isascii() and one[column].isdigit() and len(one[column]) <= 18
            assert readable[row] == digits
            assert not digits or numbers[row] == int(one[column])


@given(st.integers(0, 10**15), st.integers(0, 15))
def test_every_decimal_of_fifteen_digits_is_the_nearest_double(digits: int, places: int) -> None:
    written = f"{digits:0{places + 1}d}"
    text = f"{written[: len(written) - places]}.{written[len(written) - places :]}"
    assert same(float(Fields.split(f"{text}\n".encode(), 1).decimals(0)[0]), float(text))


@pytest.mark.parametrize("text", [b"1,2\n3\n", b"1,2,3\n4,5\n6\n", b"1,2\n\n", b"1,2,3\n4\n", b"1\n", b"\n\n"])
def test_another_number_of_fields_is_no_table(text: bytes) -> None:
    with pytest.raises(ParseFailure, match="fields"):
        Fields.split(text, 2)


def test_no_lines_are_no_rows() -> None:
    fields = Fields.split(b"", 3)
    assert (len(fields), len(fields.decimals(1)), len(fields.whole_numbers(0)[0])) == (0, 0, 0)


def test_what_cannot_be_read_is_put_aside_with_its_reason() -> None:
    rows = [["1720055357510", "7", "1.5", "true"], ["x", "-1", "inf", "True"], ["9" * 18, "2.0", "0x1", "yes"]]
    fields = Fields.split(table(rows), 4)
    told = TextColumns(("time", "id", "price", "flag"), fields)
    assert told.moments("time").tolist() == [1720055357510000, -1, -1]
    assert told.ids("id").tolist() == [7, -1, -1]
    assert np.isnan(told.decimals("price")).tolist() == [False, True, True]
    assert told.flags("flag").tolist() == [True, True, False]
    assert fields.pick(np.array([2, 0])).exact(3) == ["yes", "true"]
