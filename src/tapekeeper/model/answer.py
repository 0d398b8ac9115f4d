"""What a venue told about a window: the rows that can be believed, and those that cannot."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tapekeeper.model.candle import Int64Column


class Rows(Protocol):
    """Rows of one series as columns of equal length, ascending by moment, each moment once."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    @property
    def moments(self) -> Int64Column:
        """When each of them is, in microseconds since 1970."""
        ...


RowsT = TypeVar("RowsT", bound=Sized, covariant=True)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be believed, kept as it came."""

    event_time: int | None
    """In microseconds since 1970, if the row says so."""
    reason: str
    """What is wrong with it, with the value."""
    row: dict[str, object]
    """The venue's own fields."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[RowsT]):
    """The answer about one window of one series."""

    rows: RowsT
    rejected: tuple[RejectedRow, ...] = ()

    @property
    def tells_anything(self) -> bool:
        """One of which no row can be believed tells nothing, not even that there is nothing."""
        return len(self.rows) > 0 or not self.rejected
