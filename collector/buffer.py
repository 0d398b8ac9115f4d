"""The bounded buffer between the connections and the writer: full means the oldest quotes go, and never a trade."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.notes import Note
    from tapekeeper.model.quote import Quote
    from tapekeeper.model.trade import Trade

Row = TypeVar("Row")


class Loss(NamedTuple):
    """Quotes of one instrument that were dropped."""

    first_event_time: int
    last_event_time: int
    quotes: int

    def together_with(self, other: Loss) -> Loss:
        """Return both as one."""
        return Loss(
            min(self.first_event_time, other.first_event_time),
            max(self.last_event_time, other.last_event_time),
            self.quotes + other.quotes,
        )


class Taken(NamedTuple):
    """What the writer has to commit together, in this order."""

    announced: list[Note]
    quotes: list[Quote]
    trades: list[Trade]
    losses: dict[int, Loss]
    """By instrument."""
    notes: list[Note]

    def __bool__(self) -> bool:
        return any(self)


class Buffer:
    """Filled by the connections, emptied by the writer's thread.

    Some notes announce rows that follow, and leave before them; the others tell what became of the rows before them,
    and leave with the last of those. They are few: one per gap, connection and choice of instruments.
    """

    def __init__(self, quotes_capacity: int, trades_capacity: int) -> None:
        self.quotes_capacity = quotes_capacity
        self.trades_capacity = trades_capacity
        self.quotes_dropped = 0
        """Since the start."""
        self._lock = threading.Lock()
        self._quotes: deque[Quote] = deque()
        self._trades: deque[Trade] = deque()
        self._losses: dict[int, Loss] = {}
        self._announced: list[Note] = []
        self._notes: list[Note] = []

    @property
    def quotes_waiting(self) -> int:
        """Quotes in the buffer."""
        return len(self._quotes)

    @property
    def trades_waiting(self) -> int:
        """Trades in the buffer."""
        return len(self._trades)

    @property
    def rows_waiting(self) -> int:
        """Quotes and trades in the buffer."""
        return len(self._quotes) + len(self._trades)

    @property
    def share_used(self) -> float:
        """How full the fuller one of both is, from 0 to 1."""
        return max(self.quotes_waiting / self.quotes_capacity, self.trades_waiting / self.trades_capacity)

    @property
    def has_room(self) -> bool:
        """Whether the next frame may be read: whatever trades it holds have to find a place."""
        return len(self._trades) < self.trades_capacity

    def add_quotes(self, quotes: Iterable[Quote]) -> None:
        """Take quotes; where there is no room, the oldest make it."""
        with self._lock:
            self._quotes.extend(quotes)
            self._make_room()

    def add_trades(self, trades: Iterable[Trade]) -> None:
        """Take trades, whatever room there is: who reads looks at `has_room` before."""
        with self._lock:
            self._trades.extend(trades)

    def announce(self, note: Note) -> None:
        """Take something to be told before all rows that come from now on."""
        with self._lock:
            self._announced.append(note)

    def note(self, note: Note) -> None:
        """Take something to be told after all rows that are here now."""
        with self._lock:
            self._notes.append(note)

    def take(self, rows_maximum: int) -> Taken:
        """Hand over the oldest rows, trades first, and with the last of them the notes."""
        with self._lock:
            trades = _first(self._trades, rows_maximum)
            quotes = _first(self._quotes, rows_maximum - len(trades))
            losses, self._losses = self._losses, {}
            announced, self._announced = self._announced, []
            notes: list[Note] = []
            if not self._quotes and not self._trades:
                notes, self._notes = self._notes, notes
            return Taken(announced, quotes, trades, losses, notes)

    def give_back(self, taken: Taken) -> None:
        """Put back what could be kept nowhere; the oldest quotes go where there is no room any more."""
        with self._lock:
            self._trades.extendleft(reversed(taken.trades))
            self._quotes.extendleft(reversed(taken.quotes))
            for instrument_id, loss in taken.losses.items():
                self._lose(instrument_id, loss)
            self._announced[:0] = taken.announced
            self._notes[:0] = taken.notes
            self._make_room()

    def _make_room(self) -> None:
        while len(self._quotes) > self.quotes_capacity:
            quote = self._quotes.popleft()
            self.quotes_dropped += 1
            self._lose(quote.instrument_id, Loss(quote.event_time, quote.event_time, 1))

    def _lose(self, instrument_id: int, loss: Loss) -> None:
        known = self._losses.get(instrument_id)
        self._losses[instrument_id] = loss if known is None else known.together_with(loss)


def _first(rows: deque[Row], count: int) -> list[Row]:
    return [rows.popleft() for _ in range(min(count, len(rows)))]
