"""What one worker thread has for itself: a connection to the database, and the ways to ask the venue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from tapekeeper.errors import RequestRejected

if TYPE_CHECKING:
    from tapekeeper.backfill.venue import (
        AggTradeVenue,
        ArchiveVenue,
        OptionVenue,
        RowVenue,
        ScheduleVenue,
        TradeVenue,
    )
    from tapekeeper.model.backfill import Purpose
    from tapekeeper.store.database import Database

Way = TypeVar("Way")


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways in which a venue can be asked; None where it cannot."""

    rows: RowVenue
    trades: TradeVenue | None = None
    agg_trades: AggTradeVenue | None = None
    schedules: ScheduleVenue | None = None
    options: OptionVenue | None = None
    archive: ArchiveVenue | None = None


@dataclass(frozen=True, slots=True)
class WorkerTools:
    """What one worker thread has for itself."""

    database: Database
    ways: Ways
    about_to_fetch: Callable[[Purpose], None]
    """Told what the next requests are for, such as a chunk."""
    requests_made: Callable[[], int]
    """Tells how often the venue was asked so far."""
    close: Callable[[], None]

    @property
    def venue(self) -> RowVenue:
        """What every venue has: rows of a window."""
        return self.ways.rows

    def trade_venue(self) -> TradeVenue:
        """Return what tells options' trades by their numbers; raise RequestRejected if the venue does not."""
        return _had(self.ways.trades, "trades by their numbers")

    def agg_trade_venue(self) -> AggTradeVenue:
        """Return what tells aggregate trades by their ids; raise RequestRejected if the venue does not."""
        return _had(self.ways.agg_trades, "aggregate trades by their ids")

    def schedule_venue(self) -> ScheduleVenue:
        """Return what tells intervals; raise RequestRejected if the venue does not."""
        return _had(self.ways.schedules, "intervals of instruments")

    def option_venue(self) -> OptionVenue:
        """Return what tells the days of one option; raise RequestRejected if the venue does not."""
        return _had(self.ways.options, "days of single options")

    def archive(self) -> ArchiveVenue:
        """Return what fetches files; raise RequestRejected if the venue has none."""
        return _had(self.ways.archive, "files of the past")


class MakeTools(Protocol):
    """Makes the tools of one worker; `while_waiting` is called before every try and during every wait.

    Whoever holds no lease that has to be renewed leaves it out.
    """

    def __call__(self, while_waiting: Callable[[], None] = ...) -> WorkerTools:
        """Return new tools."""
        ...


def _had(way: Way | None, what: str) -> Way:
    if way is None:
        raise RequestRejected(f"the venue tells no {what}")
    return way
