"""What a venue told about a window: the rows that can be believed, and those that cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Rows = TypeVar("Rows", covariant=True)


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
class Answer(Generic[Rows]):
    """The answer about one window of one series."""

    rows: Rows
    rejected: tuple[RejectedRow, ...] = ()
