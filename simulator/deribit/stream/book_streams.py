"""book.{i}.{interval}, book.{i}.{group}.{depth}.{interval}, quote.{i}: all tell the same changes."""

from __future__ import annotations

from typing import Final

from simulator.books import Book, Level
from simulator.deribit.stream.source import Source, grid
from simulator.instruments import VenueInstrument
from simulator.moments import MINUTE

_YOUNG: Final = MINUTE
"""For so long after a listing, snapshots name a change before them, as the venue's do."""
_NOTHING: Final = Book(0, (), ())


class _OfBook:
    """What tells the changes of one book, each at its time or summed up."""

    def __init__(self, source: Source, name: str, every: int) -> None:
        self._source = source
        self._name = name
        self._every = every

    def next_after(self, moment: int) -> int | None:
        """Return when the book changes next; combos have none, the dead have one no more."""
        instrument, books = self._source.known(self._name, moment), self._source.world.quotes.books
        if instrument.legs:
            return None
        if self._every:
            time = grid(max(moment, instrument.listed_at), self._every)
        else:
            schedule = books.schedule(instrument)
            time = schedule.time_of(max(schedule.number_at(moment) + 1, books.first_number(instrument)))
        return time if time < instrument.end else None

    def _told(self, moment: int) -> tuple[VenueInstrument, Book]:
        """Return the book as subscribers of this channel know it at `moment`."""
        instrument = self._source.known(self._name, moment)
        if self._every:
            moment -= moment % self._every
        return instrument, self._source.world.quotes.books.at(instrument, moment)

    def _before(self, instrument: VenueInstrument, moment: int) -> Book:
        """Return what subscribers were told before the notice of `moment`."""
        books = self._source.world.quotes.books
        if self._every:
            return books.at(instrument, moment - self._every)
        number = books.schedule(instrument).number_at(moment) - 1
        return books.book(instrument, number) if number >= books.first_number(instrument) else _NOTHING


class BookStream(_OfBook):
    """A snapshot of the full depth, then changes, each with the id of the one before."""

    def first(self, moment: int) -> object | None:
        """Return a snapshot; the newborn, who have no book yet, get none."""
        instrument, book = self._told(moment)
        if not book.change_id:
            return None
        data = self._data("snapshot", book, _NOTHING)
        if moment - instrument.listed_at < _YOUNG:
            data["prev_change_id"] = self._before(instrument, book.time).change_id
        return data

    def notice(self, moment: int) -> object | None:
        """Return what changed; the first change of a life comes without a snapshot, after change 0."""
        instrument, book = self._told(moment)
        before = self._before(instrument, moment)
        if book.change_id == before.change_id:
            return None
        return self._data("change", book, before) | {"prev_change_id": before.change_id}

    def _data(self, kind: str, book: Book, before: Book) -> dict[str, object]:
        return {
            "type": kind,
            "timestamp": book.time,
            "instrument_name": self._name,
            "change_id": book.change_id,
            "bids": _changes(before.bids, book.bids),
            "asks": _changes(before.asks, book.asks),
        }


class WindowStream(_OfBook):
    """The best levels as a whole, each time, with amounts of a price step summed up."""

    def __init__(self, source: Source, name: str, every: int, step: float | None, depth: int) -> None:
        super().__init__(source, name, every)
        self._step = step
        self._depth = depth

    def first(self, moment: int) -> object | None:
        """Return the levels as they are."""
        return self.notice(moment)

    def notice(self, moment: int) -> object | None:
        """Return the levels as they are."""
        _, book = self._told(moment)
        return {
            "timestamp": book.time or moment,
            "instrument_name": self._name,
            "change_id": book.change_id,
            "bids": self._window(book.bids, -1),
            "asks": self._window(book.asks, 1),
        }

    def _window(self, levels: tuple[Level, ...], direction: int) -> list[list[float]]:
        if self._step is None:
            return [[level.price, level.amount] for level in levels[: self._depth]]
        amounts: dict[float, float] = {}
        for level in levels:
            steps = level.price / self._step
            price = round(-(-steps // 1) * self._step if direction > 0 else steps // 1 * self._step, 8)
            amounts[price] = round(amounts.get(price, 0.0) + level.amount, 8)
        return [[price, amount] for price, amount in list(amounts.items())[: self._depth]]


class QuoteStream(_OfBook):
    """The top of the book; 0.0 where there is no quote."""

    def first(self, moment: int) -> object | None:
        """Return the top as it is."""
        return self.notice(moment)

    def notice(self, moment: int) -> object | None:
        """Return the top as it is."""
        _, book = self._told(moment)
        bid, ask = (side[0] if side else Level(0.0, 0.0) for side in (book.bids, book.asks))
        return {
            "timestamp": book.time or moment,
            "instrument_name": self._name,
            "best_bid_price": bid.price,
            "best_bid_amount": bid.amount,
            "best_ask_price": ask.price,
            "best_ask_amount": ask.amount,
        }


def _changes(before: tuple[Level, ...], after: tuple[Level, ...]) -> list[list[object]]:
    """Return what makes one side of a book from another; what is gone carries 0.0."""
    old = {level.price: level.amount for level in before}
    new = {level.price: level.amount for level in after}
    gone: list[list[object]] = [["delete", price, 0.0] for price in old if price not in new]
    other: list[list[object]] = [
        ["change" if price in old else "new", price, amount]
        for price, amount in new.items()
        if old.get(price) != amount
    ]
    return gone + other
