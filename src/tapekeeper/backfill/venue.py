"""What is asked of a venue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.instrument import Instrument, Listing
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


class TradeVenue(Protocol):
    """What a repair of trades needs from a venue."""

    def trades_by_instrument(self, name: str, start_seq: int, end_seq: int) -> Iterator[TradeAnswer]:
        """Yield what the venue tells of the trades from one number to another, both included."""
        ...
