"""The book of one instrument, kept from its channel as long as the chain of changes holds.

Every change names the change before it; between two frames of a channel these have to match
(https://docs.deribit.com/articles/notifications). The numbers are shared by many instruments, so they jump.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tapekeeper.clock import MICROSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekeeper.venues.deribit.messages import BookMessage, Level

SEED_AGE: Final = 300 * MICROSECONDS_PER_SECOND
"""A snapshot tells when the book changed last. Older than this it is no news, and only begins the chain."""


class BookState(StrEnum):
    """Whether the book can be believed."""

    WAITING = "waiting"
    """For the first snapshot."""
    LIVE = "live"
    BROKEN = "broken"
    """A change was missed: further ones are passed over until there is a snapshot."""


_BROKEN: Final = BookState.BROKEN


class TopChange(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask after a frame that changed them; a side without an order is None."""

    event_time: int
    """When the venue's book changed, in microseconds since 1970."""
    change_id: int
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None


class ChainBroken(NamedTuple):
    """A change that does not follow the one before it."""

    expected: int | None
    """The last change_id, or None where there was no snapshot yet."""
    got: int | None
    """What the change names as the one before it."""


class Book:
    """All bids and asks of one instrument."""

    def __init__(self) -> None:
        self.state = BookState.WAITING
        self.change_id: int | None = None
        """Of the last frame that was applied."""
        self._bids = _BookSide(highest_is_best=True)
        self._asks = _BookSide(highest_is_best=False)

    def reset(self) -> None:
        """Forget everything and wait for a snapshot: the subscription ended."""
        self.state = BookState.WAITING
        self.change_id = None

    def apply(self, message: BookMessage, received_at: int) -> TopChange | ChainBroken | None:
        """Take a frame of the book's channel.

        Args:
            message: frames of one subscription, in the order in which they came.
            received_at: when the frame came, in microseconds since 1970; tells how old a snapshot is.

        Returns:
            TopChange: price or size of the best bid or ask changed, or a snapshot tells them anew.
            ChainBroken: the first change that does not follow; the book is broken from here on.
            None: the top is the same, the snapshot is old, or the book is broken.
        """
        if message.is_snapshot:
            return self._start(message, received_at)
        if message.prev_change_id == 0 and self.state is not BookState.LIVE:
            # The first order in an instrument's life comes as a change of nothing (recorded): it is the whole book.
            return self._start(message, received_at)
        if self.state is _BROKEN or message.change_id == self.change_id:
            return None
        if message.prev_change_id is None or message.prev_change_id != self.change_id:
            self.state = _BROKEN
            return ChainBroken(expected=self.change_id, got=message.prev_change_id)
        return self._change(message)

    def _start(self, message: BookMessage, received_at: int) -> TopChange | None:
        self._bids.clear()
        self._asks.clear()
        self._bids.update(message.bids)
        self._asks.update(message.asks)
        self.state = BookState.LIVE
        self.change_id = message.change_id
        return self._top(message) if received_at - message.event_time <= SEED_AGE else None

    def _change(self, message: BookMessage) -> TopChange | None:
        self.change_id = message.change_id
        bids_changed = self._bids.update(message.bids)
        asks_changed = self._asks.update(message.asks)
        return self._top(message) if bids_changed or asks_changed else None

    def _top(self, message: BookMessage) -> TopChange:
        bids, asks = self._bids, self._asks
        return TopChange(message.event_time, message.change_id, bids.price, bids.size, asks.price, asks.size)


class _BookSide:
    """Amounts by price, and the best of them.

    The best price is searched among all only after it was deleted: most changes happen behind it.
    """

    def __init__(self, *, highest_is_best: bool) -> None:
        self.price: float | None = None
        self.size: float | None = None
        self._highest_is_best = highest_is_best
        self._amounts: dict[float, float] = {}

    def clear(self) -> None:
        self._amounts.clear()
        self.price = self.size = None

    def update(self, levels: Sequence[Level]) -> bool:
        """Apply changes of prices; tell whether the best price or its size is another one now."""
        if not levels:
            return False
        before = self.price, self.size
        amounts, best, highest_is_best = self._amounts, self.price, self._highest_is_best
        for action, price, amount in levels:
            if amount == 0.0 or action == "delete":
                amounts.pop(price, None)
            else:
                amounts[price] = amount
                if best is None or (price > best if highest_is_best else price < best):
                    best = price
        if best not in amounts:
            search = max if highest_is_best else min
            best = search(amounts, default=None)
        self.price = best
        self.size = None if best is None else amounts[best]
        return before != (self.price, self.size)
