"""Check: a question about the rows or the account of one dataset, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tapekeeper.clock import day_of, day_start, format_moment
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import Hole, Severity
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings

SAMPLE_ROWS: Final = 100
"""How many of the rows that a check found it shows at most."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check looks at."""

    dataset: Dataset
    window: Window
    now: int
    """In microseconds since 1970; what is not over by then is not judged."""
    settings: Settings
    seed: str = ""
    """The same seed draws the same samples."""
    is_everything: bool = False
    """Samples are taken in full."""

    @property
    def first_day(self) -> date:
        """The first UTC day that the window touches."""
        return day_of(self.window.start)

    @property
    def end_day(self) -> date:
        """The day after the last one that the window touches and that is over; not after `first_day` if there is none.

        A day that is not over proves nothing: its rows are still on their way.
        """
        return min(day_of(self.window.end - 1) + timedelta(days=1), day_of(self.now))

    @property
    def closed_days(self) -> Window | None:
        """The UTC days that the window touches and that are over, whole; None if there is none."""
        if self.end_day <= self.first_day:
            return None
        return Window(day_start(self.first_day), day_start(self.end_day))


@dataclass(frozen=True, slots=True)
class BadRow:
    """A held candle that contradicts itself."""

    series_id: int
    open_time: int
    """In microseconds since 1970."""
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found in its scope."""

    checked: int
    """How many rows, days or windows were looked at."""
    found: int
    """How many of them are not as they should be."""
    figures: Mapping[str, object] = field(default_factory=dict)
    sample: tuple[Mapping[str, object], ...] = ()
    """Some of what was found, worst first, ready for JSON."""
    holes: tuple[Hole, ...] = ()
    """What belongs into the ledger of gaps."""
    bad_rows: tuple[BadRow, ...] = ()
    """What belongs into quarantine."""


class Check(Protocol):
    """One question; it reads, and never writes."""

    @property
    def name(self) -> str:
        """How it is chosen and stored."""
        ...

    @property
    def question(self) -> str:
        """What a person would ask."""
        ...

    @property
    def severity(self) -> Severity:
        """What a finding means."""
        ...

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the datasets that it can be asked about."""
        ...

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return what is found; the cursor's transaction is read-only."""
        ...


class SeriesLabel(NamedTuple):
    """How a person calls a series."""

    instrument: str
    resolution: Resolution

    def as_json(self) -> dict[str, object]:
        """Return it as the first fields of a sample row."""
        return {"instrument": self.instrument, "resolution": str(self.resolution)}


def series_labels(cursor: Cursor, series_ids: Iterable[int]) -> dict[int, SeriesLabel]:
    """Return how series are called, by id."""
    cursor.execute(
        """
        SELECT series_id, name, resolution_seconds FROM series JOIN instruments USING (instrument_id)
        WHERE series_id = ANY(%s)
        """,
        (sorted(set(series_ids)),),
    )
    return {series_id: SeriesLabel(name, Resolution(seconds)) for series_id, name, seconds in cursor.fetchall()}


def series_by_resolution(cursor: Cursor, dataset: Dataset) -> dict[Resolution, list[int]]:
    """Return the ids of the series of a dataset that have a resolution, ascending, by it."""
    cursor.execute(
        "SELECT resolution_seconds, series_id FROM series WHERE dataset = %s AND resolution_seconds > 0 ORDER BY 1, 2",
        (dataset.name,),
    )
    found: dict[Resolution, list[int]] = {}
    for seconds, series_id in cursor.fetchall():
        found.setdefault(Resolution(seconds), []).append(series_id)
    return found


def only_row(cursor: Cursor) -> tuple[Any, ...]:
    """Return the row of a statement that returns exactly one."""
    (row,) = cursor.fetchall()
    return tuple(row)


def window_as_json(window: Window) -> dict[str, object]:
    """Return both ends as fields of a sample row."""
    return {"window_start": format_moment(window.start), "window_end": format_moment(window.end)}
