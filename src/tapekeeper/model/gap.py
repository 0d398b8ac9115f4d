"""Gap: a hole in a series, why it is there, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from tapekeeper.clock import day_of
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.window import Window


class Cause(StrEnum):
    """Why rows are missing; a closed set, so that holes can be counted by it."""

    DISCONNECT = "disconnect"
    SEQUENCE_BREAK = "sequence_break"
    BUFFER_OVERFLOW = "buffer_overflow"
    SPOOL_FULL = "spool_full"
    RESTART = "restart"
    UNSUBSCRIBED = "unsubscribed"
    RATE_LIMITED = "rate_limited"
    VENUE_OUTAGE = "venue_outage"
    VENUE_MAINTENANCE = "venue_maintenance"
    ARCHIVE_DEFECT = "archive_defect"
    UNKNOWN = "unknown"


class GapState(StrEnum):
    """Where a gap is between being seen and being closed."""

    OPEN = "open"
    """Seen; nobody knows why yet."""
    CLASSIFIED = "classified"
    """Its cause is known; it waits for a repair."""
    REPAIRING = "repairing"
    REPAIRED = "repaired"
    """Everything is held, counted in the table itself."""
    PERMANENT = "permanent"
    """What is missing cannot be had any more."""
    ACCEPTED = "accepted"
    """A person decided to live with it."""

    @property
    def is_closed(self) -> bool:
        """Nothing more will be done about it."""
        return not _NEXT[self]

    def require(self, wanted: GapState) -> None:
        """Return if a gap may go from this state to the wanted one.

        Raises:
            InvariantBroken: it may not; the message lists the states that it may go to.
        """
        if wanted not in _NEXT[self]:
            allowed = ", ".join(_NEXT[self]) or "no other state"
            raise InvariantBroken(f"a gap that is {self} cannot become {wanted}: from there it may go to {allowed}")


_NEXT: Final[dict[GapState, tuple[GapState, ...]]] = {
    GapState.OPEN: (GapState.CLASSIFIED,),
    GapState.CLASSIFIED: (GapState.REPAIRING, GapState.ACCEPTED),
    # Nothing is given up before somebody tried; a repair that could not be finished is tried again.
    GapState.REPAIRING: (GapState.CLASSIFIED, GapState.REPAIRED, GapState.PERMANENT, GapState.ACCEPTED),
    GapState.REPAIRED: (),
    GapState.PERMANENT: (),
    GapState.ACCEPTED: (),
}


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequence numbers from `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Gap:
    """A recorded hole."""

    gap_id: int
    series_id: int
    window: Window
    missing: int
    """In the unit of the dataset, when it was recorded; 0 where nobody knows whether anything is missing."""
    cause: Cause
    state: GapState
    evidence: Mapping[str, object]
    """Session, close code, sequence numbers: what made somebody say so."""
    sequences: Sequences | None = None
    """Where the venue counts and the numbers are known. Some of them may be held."""

    @property
    def account_day(self) -> date:
        """The UTC day that missing sequence numbers count for; missing grid points count for their own."""
        return day_of(self.window.end - 1)


@dataclass(frozen=True, slots=True)
class Loss:
    """A window of a series that nobody can bring back."""

    series_id: int
    window: Window
    cause: Cause
    evidence: Mapping[str, object]


def uncovered(start: int, end: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the parts of the half-open range `[start, end)` that no other half-open range covers, ascending."""
    parts = []
    for taken_start, taken_end in sorted(taken):
        if taken_start > start and start < end:
            parts.append((start, min(taken_start, end)))
        start = max(start, taken_end)
    return [*parts, (start, end)] if start < end else parts
