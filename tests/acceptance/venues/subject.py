"""What the numbered cases have to know of a dataset: how it is asked for, where its truth is, and what can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, to_microseconds
from tapekeeper.model.window import Window
from tests.support.truth import Row, query

if TYPE_CHECKING:
    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

Fault = dict[str, Any]


class Followed(NamedTuple):
    """A window of a series that somebody asked for."""

    series_id: int
    instrument_name: str
    window: Window


@dataclass(frozen=True)
class Lack:
    """Something that the venue does not have, on days that are over."""

    faults: Sequence[Fault]
    missing: int
    """How many rows; the venue may lack more by itself."""
    command: tuple[str, ...]
    """What a person types to ask for all of it."""
    is_all_that_is_missing: bool = True
    """Nothing is left out at the edges, where nobody can know that it is missing."""


@dataclass(frozen=True)
class Subject:
    """One dataset of a venue."""

    dataset: Dataset
    command: tuple[str, ...]
    """What a person types after `tapekeeper`."""
    full_refresh: tuple[str, ...]
    """What is typed behind it to ask again for what is held."""
    held: Callable[[str, Followed], list[Row]]
    """Returns the rows that the database of a URL holds of a window, in the order of the truth."""
    truth: Callable[[Simulator, Followed], list[Row]]
    """Returns the rows that the venue has of a window."""
    method: str
    """The simulator's name of what is asked, for faults."""
    service: str
    storm: tuple[str, ...]
    """The kinds of faults that can befall it."""
    lack: Callable[[Simulator], Lack]
    """Tells what the venue can lack."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of its own: such that the command is some ten chunks."""
    longer_command: tuple[str, ...] | None = None
    """The same over a longer time, where the window ends with the present: it moves on from one command to the next."""
    lag_seconds: int | None = None
    """How long before the present the newest row can lie; None where a window of the past is asked for."""

    def faults_of_storm(self) -> list[Fault]:
        """Return one of each kind for the first requests, so that the storm is felt, and any of them afterwards."""
        where = {"service": self.service, "method": self.method}
        first = [
            {"kind": kind, **where, "from_request": number, "to_request": number}
            for number, kind in enumerate(self.storm, start=1)
        ]
        return first + [{"kind": kind, **where, "probability": 0.06} for kind in self.storm]

    def total(self, summary: Any) -> Any:
        """Return what a summary that was printed tells of the dataset."""
        return summary["totals"][self.dataset.name] if "totals" in summary else summary

    def followed(self, url: str) -> list[Followed]:
        """Return what was asked for, each moment once, as it was clipped to what the venue can have."""
        rows = query(
            url,
            """
            SELECT series_id, name, lower(piece), upper(piece)
            FROM (
                SELECT series_id, name, range_agg(tstzrange(window_start, window_end)) AS ranges
                FROM followed JOIN series USING (series_id) JOIN instruments USING (instrument_id)
                WHERE dataset = %s AND kind = %s
                GROUP BY series_id, name
            ) AS asked
            CROSS JOIN unnest(ranges) AS piece
            ORDER BY name, lower(piece)
            """,
            self.dataset.name,
            self.dataset.instrument_kind,
        )
        return [
            Followed(series_id, name, Window(to_microseconds(start), to_microseconds(end)))
            for series_id, name, start, end in rows
        ]


@dataclass(frozen=True)
class Refusal:
    """What happens to whoever asks a venue too much: a ban, or a window of calls that is used up."""

    inflict: Callable[[Simulator], None]
    """Begins it; it lasts for minutes."""
    recover: Callable[[Simulator], None]
    status: int
    long_command: tuple[str, ...]
    """Something that goes on for long, so that the refusal comes in the middle."""
    other_command: tuple[str, ...]
    """Something else, which begins when the first knows."""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WrongQuestion:
    """What a person may type by mistake, and a piece of the answer."""

    arguments: tuple[str, ...]
    answer: str
    changes: Mapping[str, str] = field(default_factory=dict)
    """To the settings."""


@dataclass(frozen=True)
class Venue:
    """All that the cases have to know of a folder in `venues/`."""

    folder: str
    settings: Callable[[Simulator], dict[str, str]]
    """Returns where it is, and that there is no limit to speak of."""
    subjects: tuple[Subject, ...]
    wrong_questions: tuple[WrongQuestion, ...]
    refusal: Refusal | None
    """None where it names no time to wait: then everybody only slows down."""


def held_in(sql: str) -> Callable[[str, Followed], list[Row]]:
    """Return a reader of the rows of a series in a window; `sql` takes `series`, `start` and `end`."""

    def held(url: str, followed: Followed) -> list[Row]:
        start, end = followed.window.as_datetimes()
        # Bound by position: the statement names each of the three once.
        return query(url, sql, followed.series_id, start, end)

    return held


def milliseconds(window: Window) -> dict[str, int]:
    """Return a window as the simulator takes it."""
    return {
        "start": window.start // MICROSECONDS_PER_MILLISECOND,
        "end": window.end // MICROSECONDS_PER_MILLISECOND,
    }


def rows_of(truth: Mapping[str, Any], moments: Sequence[str], values: Sequence[str]) -> list[Row]:
    """Return the columns of a truth as rows, without those that the venue does not have; moments in UTC."""
    columns = [
        *([datetime.fromtimestamp(moment / 1_000, UTC) for moment in truth[name]] for name in moments),
        *(truth[name] for name in values),
    ]
    missing = truth.get("missing") or [False] * len(columns[0])
    return [row for row, gone in zip(zip(*columns, strict=True), missing, strict=True) if not gone]
