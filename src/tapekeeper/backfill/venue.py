"""What is asked of a venue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.archive import ArchiveFile, VerifiedFile
    from tapekeeper.model.instrument import Instrument, Listing
    from tapekeeper.model.option_candle import OptionCandles
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window
    from tapekeeper.venues.deribit.trades import TradeAnswer


class RowVenue(Protocol):
    """What a backfill needs from a venue."""

    def instrument(self, name: str) -> Instrument:
        """Return the instrument; raise RequestRejected if there is none of this name."""
        ...

    def listing(self) -> Listing:
        """Return all instruments that live."""
        ...

    def rows(self, dataset: Dataset, instrument_name: str, window: Window, resolution: Resolution) -> Answer[Rows]:
        """Return what the venue tells about one window of at most one chunk."""
        ...


class ScheduleVenue(Protocol):
    """What a backfill needs where each instrument has an interval of its own, which may change."""

    def schedule(self, instrument: Instrument, window: Window) -> Sequence[tuple[Window, Resolution]]:
        """Return which interval held when, ascending and without a break, over all of a window."""
        ...


class ArchiveVenue(Protocol):
    """What a backfill needs from an archive of files."""

    def checksum(self, file: ArchiveFile) -> str:
        """Return the SHA-256 that is published for a file now; raise ArchiveDefect if there is none."""
        ...

    def fetch(self, file: ArchiveFile) -> AbstractContextManager[VerifiedFile]:
        """Fetch a file for as long as the context lasts; raise ArchiveDefect unless it is what its checksum says."""
        ...


class TradeVenue(Protocol):
    """What a repair of options' trades needs from a venue."""

    def trades_by_instrument(self, name: str, start_seq: int, end_seq: int) -> Iterator[TradeAnswer]:
        """Yield what the venue tells of the trades from one number to another, both included."""
        ...


class AggTradeVenue(Protocol):
    """What a repair of aggregate trades needs from a venue."""

    def agg_trades_by_id(self, name: str, first: int, last: int) -> Iterator[Answer[AggTrades]]:
        """Yield what the venue tells of the aggregate trades from one id to another, both included, page by page."""
        ...


class OptionVenue(Protocol):
    """What a repair of one option's days, and a report of missing ones, need from a venue that tells chains."""

    def option_rows(self, name: str, window: Window) -> Answer[OptionCandles]:
        """Return what the venue tells of one option about the days of a window."""
        ...

    def available(self, currency: str) -> frozenset[str]:
        """Return the names of all options of a currency that the venue tells of; many have no rows."""
        ...
