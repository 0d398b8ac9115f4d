"""PostgreSQL's binary COPY format for columns of values: one numpy record per row, then without the nulls."""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import psycopg2.errors

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.errors import InvariantBroken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    Values = Sequence[Any] | npt.NDArray[Any]

_POSTGRESQL_EPOCH: Final = 946_684_800 * MICROSECONDS_PER_SECOND
"""2000-01-01, where PostgreSQL's binary timestamps begin."""
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_END_OF_CENTURY: Final = 4_102_444_800 * MICROSECONDS_PER_SECOND
_COUNT_BYTES: Final = 2
_SIZE_BYTES: Final = 4
_NULL: Final = -1
_LONGEST_TEXT: Final = 200
"""Bytes. All texts of a column take as much memory as the longest, and no venue's name is this long."""

Flags = npt.NDArray[np.bool_]


class Kind(Enum):
    """A type of PostgreSQL; the value is its own name for it."""

    INTEGER = "integer"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamptz"
    """Given in microseconds since 1970."""
    DOUBLE = "double precision"
    TEXT = "text"


_WHOLE: Final = {Kind.INTEGER: np.int32, Kind.BIGINT: np.int64, Kind.BOOLEAN: np.bool_, Kind.TIMESTAMP: np.int64}
_DOUBLE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """The n values of a column."""

    values: npt.NDArray[Any]
    """Shape (n,), each of the same width, in the byte order of this machine: the records have that of the network."""
    sizes: npt.NDArray[np.int32] | int
    """Bytes of each value, -1 for a null."""
    kept: Flags | None = None
    """Shape (n, width or 1): the bytes that are sent; None for all."""


def is_of_this_century(moment: int) -> bool:
    """Return whether a number can be a moment in microseconds since 1970; one in milliseconds cannot."""
    return _POSTGRESQL_EPOCH <= moment < _END_OF_CENTURY


def encode(
    columns: Sequence[Column],
    values: Sequence[Values],
    order: npt.NDArray[np.intp] | None = None,
) -> bytes:
    """Return rows that are given as one sequence of n values per column; None is a null, and so is NaN in an array.

    `order` holds the positions of the rows that are returned, in which order; None for all as they come.

    Raises:
        InvariantBroken: a value does not fit its column; the message names the column.
    """
    encoded = [_encode(column, held) for column, held in zip(columns, values, strict=True)]
    fields: list[tuple[str, Any]] = [("count", ">i2")]
    for column, part in zip(columns, encoded, strict=True):
        fields += [(f"{column.name} size", ">i4"), (column.name, part.values.dtype.newbyteorder(">"))]
    records = np.empty(len(values[0]), dtype=fields)
    records["count"] = len(columns)
    for column, part in zip(columns, encoded, strict=True):
        records[f"{column.name} size"] = part.sizes
        records[column.name] = part.values
    if order is not None:
        records = records[order]
    return b"".join((_HEADER, _without_nulls(records, encoded, order), _TRAILER))


def copy_rows(cursor: Cursor, table: str, columns: Sequence[Column], encoded: bytes) -> None:
    """Copy encoded rows of these columns into a table, where a row that is held already is an error."""
    names = ", ".join(column.name for column in columns)
    # In one piece: between two of them the thread would wait for its turn to compute.
    cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", io.BytesIO(encoded), size=len(encoded))


def copy_new_rows(cursor: Cursor, table: str, columns: Sequence[Column], encoded: bytes) -> bool:
    """Copy encoded rows of which none is held; return False, with nothing done, if one is."""
    cursor.execute("SAVEPOINT copy_new_rows")
    try:
        copy_rows(cursor, table, columns, encoded)
    except psycopg2.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT copy_new_rows")
        return False
    cursor.execute("RELEASE SAVEPOINT copy_new_rows")
    return True


def _without_nulls(records: npt.NDArray[Any], encoded: Sequence[_Encoded], order: npt.NDArray[np.intp] | None) -> bytes:
    """Return the bytes of the records but those that a null, or a shorter text, does not have."""
    if all(part.kept is None for part in encoded):
        return records.tobytes()
    sent = np.ones((len(records), records.dtype.itemsize), dtype=np.bool_)
    offset = _COUNT_BYTES
    for part in encoded:
        offset += _SIZE_BYTES
        width = part.values.dtype.itemsize
        if part.kept is not None:
            sent[:, offset : offset + width] = part.kept if order is None else part.kept[order]
        offset += width
    return records.view(np.uint8).reshape(sent.shape)[sent].tobytes()


def _encode(column: Column, values: Values) -> _Encoded:
    try:
        if column.kind is Kind.TEXT:
            return _encode_texts(column, values)
        if column.kind is Kind.DOUBLE:
            return _encode_doubles(column, values)
        return _encode_whole(column, values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvariantBroken(f"{column.name} cannot be written as {column.kind.value}: {error}") from error


def _encode_whole(column: Column, values: Values) -> _Encoded:
    whole: npt.NDArray[Any] = np.asarray(values, dtype=_WHOLE[column.kind])
    # Of an array numpy cuts off what does not fit, where it refuses a number of Python.
    if isinstance(values, np.ndarray) and values.dtype != whole.dtype and (values != whole).any():
        raise ValueError(f"{values[values != whole][0]} does not fit")
    if column.kind is Kind.TIMESTAMP:
        for moment in (int(whole.min()), int(whole.max())):
            if not is_of_this_century(moment):
                raise InvariantBroken(f"{column.name} {moment} is no moment of this century in microseconds")
        whole = whole - _POSTGRESQL_EPOCH
    return _Encoded(whole, whole.dtype.itemsize)


def _encode_doubles(column: Column, values: Values) -> _Encoded:
    # `fromiter` makes NaN of None, at twice the speed of `asarray`.
    is_array = isinstance(values, np.ndarray)
    numbers = np.asarray(values, np.float64) if is_array else np.fromiter(values, np.float64, len(values))
    if np.isfinite(numbers).all():
        return _Encoded(numbers, _DOUBLE_BYTES)
    absent = np.isnan(numbers)
    nulls = int(absent.sum()) if isinstance(values, np.ndarray) else values.count(None)
    if np.isinf(numbers).any() or absent.sum() != nulls:
        raise InvariantBroken(f"{column.name} holds NaN or infinity, which are no values of a market")
    sizes, kept = _sizes(column, np.full(len(numbers), _DOUBLE_BYTES, dtype=np.int32), absent)
    return _Encoded(numbers, sizes, kept)


def _encode_texts(column: Column, values: Values) -> _Encoded:
    texts = [b"" if value is None else value.encode() for value in values]
    lengths = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts))
    width = max(1, int(lengths.max()))
    if width > _LONGEST_TEXT:
        raise InvariantBroken(f"{column.name} is {width} bytes long, at most {_LONGEST_TEXT} are believed")
    sizes, _ = _sizes(column, lengths, np.array([value is None for value in values]))
    return _Encoded(np.array(texts, dtype=f"S{width}"), sizes, np.arange(width) < lengths[:, None])


def _sizes(column: Column, sizes: npt.NDArray[np.int32], absent: Flags) -> tuple[npt.NDArray[np.int32], Flags | None]:
    """Return the sizes with those of nulls, and which values are sent at all, None for all."""
    if not absent.any():
        return sizes, None
    if not column.nullable:
        raise InvariantBroken(f"{column.name} is missing")
    return np.where(absent, np.int32(_NULL), sizes), ~absent[:, None]
