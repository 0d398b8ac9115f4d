"""Tables that come as lines of text, read many rows at a time: a million lines take about a second.

Numbers are read digit by digit, one place of a whole column at once. A decimal of at most 15 digits is a whole number
below 2**53 over a power of ten, both of which a double holds exactly, so that their quotient is the double that is
nearest to the text: what `float` returns. The others are given to `float`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM
from tapekeeper.errors import ParseFailure
from tapekeeper.model.candle import Float64Column, Int64Column
from tapekeeper.venues.excerpt import excerpt, shown
from tapekeeper.venues.told_columns import COUNT_END, ToldColumns, decimal_of

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]

DIGITS_MAXIMUM: Final = 18
"""So many digits always fit into 63 bits."""
EXACT_END: Final = 2**53
"""A double holds every whole number below this."""
_COMMA, _LINE_END, _CARRIAGE_RETURN, _POINT, _ZERO = (ord(character) for character in ",\n\r.0")
_POWERS_OF_TEN: Final = np.array([float(10**exponent) for exponent in range(DIGITS_MAXIMUM + 1)])
"""Doubles hold those up to 1e22 exactly."""
_LOWER_CASE: Final = 0x20


class Fields:
    """Where the fields of n lines lie in a text.

    Args:
        text: shape (characters,).
        begins: of each field, shape (columns, n).
        ends: one after the last character of each field, shape (columns, n).
    """

    def __init__(self, text: Bytes, begins: Positions, ends: Positions) -> None:
        self.text = text
        self.begins = begins
        self.ends = ends

    @classmethod
    def split(cls, text: bytes, columns: int) -> Fields:
        """Find the fields of whole lines, which end with LF or CR LF.

        Raises:
            ParseFailure: a line has another number of fields; the message shows it.
        """
        characters = np.frombuffer(text, dtype=np.uint8)
        stops = np.flatnonzero((characters == _COMMA) | (characters == _LINE_END))
        lines = int(np.count_nonzero(characters == _LINE_END))
        last = characters[stops[columns - 1 :: columns]] == _LINE_END
        if len(stops) != lines * columns or not last.all():
            raise ParseFailure(_wrong_line(text, columns))
        ends = stops.reshape(lines, columns).T.copy()
        begins = np.empty_like(ends)
        begins[1:] = ends[:-1] + 1
        begins[0, :1] = 0
        begins[0, 1:] = ends[-1, :-1] + 1
        # The character before a line's end belongs to the line: an empty one has no fields.
        ends[-1] -= (ends[-1] > begins[-1]) & (characters[ends[-1] - 1] == _CARRIAGE_RETURN)
        return cls(characters, begins, ends)

    def __len__(self) -> int:
        return len(self.begins[0])

    def pick(self, rows: Mask | Positions) -> Fields:
        """Return some of the lines, by a mask of shape (n,) or by their numbers."""
        return Fields(self.text, self.begins[:, rows], self.ends[:, rows])

    def field(self, column: int, row: int) -> str:
        """Return one field as text that a log line and a database can hold."""
        return shown(self._bytes(column, row).decode("utf-8", "replace"))

    def exact(self, column: int) -> list[str]:
        """Return all fields of a column as they came."""
        return [self._bytes(column, row).decode("utf-8", "replace") for row in range(len(self))]

    def whole_numbers(self, column: int) -> tuple[Int64Column, Mask]:
        """Return a column of digits alone as numbers, and which of them can be read; both of shape (n,)."""
        begins, lengths = self.begins[column], self.ends[column] - self.begins[column]
        numbers = np.zeros(len(self), dtype=np.int64)
        readable = (lengths > 0) & (lengths <= DIGITS_MAXIMUM)
        for place in range(min(int(lengths.max(initial=0)), DIGITS_MAXIMUM)):
            inside = lengths > place
            digits = self.text.take(begins + place, mode="clip") - _ZERO
            readable &= (digits <= 9) | ~inside
            np.multiply(numbers, 10, out=numbers, where=inside)
            np.add(numbers, digits, out=numbers, where=inside)
        return numbers, readable

    def decimals(self, column: int) -> Float64Column:
        """Return a column of numbers as the nearest doubles, NaN for what is no number; shape (n,)."""
        begins, lengths = self.begins[column], self.ends[column] - self.begins[column]
        digits_seen, behind_point = np.zeros((2, len(self)), dtype=np.int8)
        points = np.zeros(len(self), dtype=np.int8)
        mantissa = np.zeros(len(self), dtype=np.int64)
        plain = lengths <= DIGITS_MAXIMUM + 1
        for place in range(min(int(lengths.max(initial=0)), DIGITS_MAXIMUM + 1)):
            inside = lengths > place
            characters = self.text.take(begins + place, mode="clip")
            digits = characters - _ZERO
            is_digit, is_point = inside & (digits <= 9), inside & (characters == _POINT)
            plain &= is_digit | is_point | ~inside
            np.multiply(mantissa, 10, out=mantissa, where=is_digit)
            np.add(mantissa, digits, out=mantissa, where=is_digit)
            digits_seen += is_digit
            behind_point += is_digit & (points > 0)
            points += is_point
        plain &= (points <= 1) & (digits_seen > 0) & (digits_seen <= DIGITS_MAXIMUM) & (mantissa < EXACT_END)
        numbers: Float64Column = mantissa / _POWERS_OF_TEN[np.minimum(behind_point, DIGITS_MAXIMUM)]
        for row in np.flatnonzero(~plain).tolist():
            numbers[row] = decimal_of(self._bytes(column, row).decode("utf-8", "replace"))
        return numbers

    def are(self, column: int, word: bytes) -> Mask:
        """Return which fields of a column are a word of small letters, however they are written; shape (n,)."""
        begins = self.begins[column]
        equal: Mask = self.ends[column] - begins == len(word)
        for place, letter in enumerate(word):
            equal &= (self.text.take(begins + place, mode="clip") | _LOWER_CASE) == letter
        return equal

    def _bytes(self, column: int, row: int) -> bytes:
        found: bytes = self.text[self.begins[column, row] : self.ends[column, row]].tobytes()
        return found


class TextColumns(ToldColumns):
    """Rows of one table as they came; see `ToldColumns`.

    Args:
        names: of the columns.
        fields: their contents.
    """

    def __init__(self, names: Sequence[str], fields: Fields) -> None:
        super().__init__({name: _Column(fields, column) for column, name in enumerate(names)})
        self._fields = fields
        self._places = {name: column for column, name in enumerate(names)}

    def moments(self, name: str) -> Int64Column:
        """Return a column of milliseconds since 1970 as microseconds."""
        milliseconds, readable = self._fields.whole_numbers(self._places[name])
        usable = readable & (milliseconds < MILLISECONDS_MAXIMUM)
        self._refuse(~usable, name, "no time in milliseconds")
        return np.where(usable, milliseconds * MICROSECONDS_PER_MILLISECOND, -1)

    def counts(self, name: str) -> Int64Column:
        """Return a column of whole numbers from 0 on; one that is none is 0, and its row is put aside."""
        numbers, readable = self._fields.whole_numbers(self._places[name])
        usable = readable & (numbers < COUNT_END)
        self._refuse(~usable, name, "no count")
        return np.where(usable, numbers, 0)

    def ids(self, name: str) -> Int64Column:
        """Return a column of whole numbers from 0 on; one that is none is -1, and its row is put aside."""
        numbers, readable = self._fields.whole_numbers(self._places[name])
        self._refuse(~readable, name, "no whole number from 0 on")
        return np.where(readable, numbers, -1)

    def flags(self, name: str) -> Mask:
        """Return a column of truth values; one that is none is false, and its row is put aside."""
        true, false = (self._fields.are(self._places[name], word) for word in (b"true", b"false"))
        self._refuse(~(true | false), name, "no truth value")
        return true

    def decimals(self, name: str) -> Float64Column:
        """Return a column of numbers as doubles."""
        return self._finite(name, self._fields.decimals(self._places[name]))


class _Column(Sequence[object]):
    """One column, read row by row where somebody asks for a row."""

    def __init__(self, fields: Fields, column: int) -> None:
        self._fields = fields
        self._column = column

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, row: Any) -> Any:
        return self._fields.field(self._column, row)


def _wrong_line(text: bytes, columns: int) -> str:
    for line in text.splitlines():
        found = line.count(b",") + 1
        if found != columns:
            return f"a line has {found} fields where {columns} should be: {excerpt(line)}"
    return f"its lines do not have {columns} fields"
