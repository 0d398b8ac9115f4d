"""Aggregate trades that happened before: from a time on for the first page, from an id on for the others.

A thousand come at most, oldest first, and the venue does not say whether there are more. Times are not exact, as
several trades share a millisecond; ids are. So a page by time is followed by pages by id, until one is past the window
or holds fewer ids than it could. Ids that a page leaves out stay left out: whoever keeps the trades sees the hole in
their chain.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND, format_moment, now_microseconds
from tapekeeper.errors import InvariantBroken, ParseFailure, RequestRejected, VenueUnavailable, WindowMismatch
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.answer import Answer
from tapekeeper.venues.binance_um.agg_trades import parse_agg_trades
from tapekeeper.venues.binance_um.limits import AGG_TRADES_KEPT_HOURS, AGG_TRADES_PER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tapekeeper.model.answer import RejectedRow
    from tapekeeper.model.window import Window
    from tapekeeper.venues.binance_um.decisions import Reply

    Ask = Callable[[Mapping[str, str | int]], Reply]

HOUR: Final = 3_600 * MICROSECONDS_PER_SECOND
_COLUMNS: Final = tuple(field.name for field in dataclasses.fields(AggTrades))


class AggTradeHistory:
    """Asks for aggregate trades page by page.

    Args:
        ask: sends parameters and returns the venue's reply.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def by_time(self, name: str, window: Window) -> Answer[AggTrades]:
        """See `BinanceUmRest.agg_trades`."""
        if window.end - window.start >= HOUR:
            raise ValueError(f"aggregate trades of {window} in one go: the venue tells less than an hour")
        first, last = _milliseconds(window)
        if first > last:
            return Answer(AggTrades.empty())
        _check_kept(window, now_microseconds())
        asked: dict[str, str | int] = {"symbol": name, "startTime": first, "endTime": last}
        pages = [self._page(asked, window)]
        _check_kept(window, pages[0].answered_at)
        while pages[-1].is_full and pages[-1].trades.event_time[-1] < window.end:
            pages.append(self._next_page(name, int(pages[-1].trades.agg_trade_id[-1]) + 1, pages[-1].trades))
        _check_over(window, pages[-1])
        return _joined([page.answer for page in pages], window)

    def by_id(self, name: str, first: int, last: int) -> Iterator[Answer[AggTrades]]:
        """See `BinanceUmRest.agg_trades_by_id`."""
        if not 0 <= first <= last:
            raise ValueError(f"aggregate trades {first} to {last}: the ids have to ascend from 0 on")
        return self._pages_by_id(name, first, last)

    def _pages_by_id(self, name: str, first: int, last: int) -> Iterator[Answer[AggTrades]]:
        told = AggTrades.empty()
        while first <= last:
            page = self._next_page(name, first, told)
            told = page.trades
            rejected = tuple(row for row in page.answer.rejected if not _is_beyond(row, last))
            yield Answer(told.select(told.agg_trade_id <= last), rejected)
            if not page.is_full:
                return
            first = int(told.agg_trade_id[-1]) + 1

    def _next_page(self, name: str, first: int, told: AggTrades) -> _Page:
        """Return a page of the trades from an id on, without what the page before it told already."""
        page = self._page({"symbol": name, "fromId": first}, None)
        again = page.trades.agg_trade_id < first
        _check_same(page.trades.select(again), told, first)
        further = page.trades.select(~again)
        if len(told) and len(further) and further.event_time[0] < told.event_time[-1]:
            raise InvariantBroken(
                f"the pages of aggregate trades of {name} contradict each other: {further.agg_trade_id[0]} is of"
                f" {format_moment(int(further.event_time[0]))}, before {told.agg_trade_id[-1]} of"
                f" {format_moment(int(told.event_time[-1]))}"
            )
        # Counted in ids, as a page that leaves some out is no shorter.
        span = int(further.agg_trade_id[-1]) - first + 1 if len(further) else 0
        is_full = page.is_full or span >= AGG_TRADES_PER_REQUEST
        return _Page(Answer(further, page.answer.rejected), is_full, page.answered_at)

    def _page(self, asked: Mapping[str, str | int], window: Window | None) -> _Page:
        reply = self._ask({**asked, "limit": AGG_TRADES_PER_REQUEST})
        answer = parse_agg_trades(reply.result, window, now_microseconds())
        ids, rows = answer.rows.agg_trade_id, len(answer.rows) + len(answer.rejected)
        span = int(ids[-1]) - int(ids[0]) + 1 if len(ids) else 0
        is_full = max(span, rows) >= AGG_TRADES_PER_REQUEST
        return _Page(answer, is_full, reply.answered_at or now_microseconds())


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    """Trades in a row, at least one of which can be believed if it is full.

    Raises:
        ParseFailure: it is full, and there is no way on from it.
    """

    answer: Answer[AggTrades]
    is_full: bool
    """More trades may follow."""
    answered_at: int
    """In microseconds since 1970, by the clock of the venue if it told it."""

    def __post_init__(self) -> None:
        if self.is_full and not len(self.trades):
            reasons = f": {self.answer.rejected[0].reason}" if self.answer.rejected else ", and all were told before"
            raise ParseFailure(f"a full page of aggregate trades leads no further{reasons}")

    @property
    def trades(self) -> AggTrades:
        return self.answer.rows


def _milliseconds(window: Window) -> tuple[int, int]:
    """Return the first and the last millisecond that begin inside the window."""
    return -(-window.start // MICROSECONDS_PER_MILLISECOND), -(-window.end // MICROSECONDS_PER_MILLISECOND) - 1


def _check_kept(window: Window, now: int) -> None:
    """Raise RequestRejected for a window of which an answer could not be whole, or would be empty without an error."""
    if window.start < now - AGG_TRADES_KEPT_HOURS * HOUR:
        raise RequestRejected(
            f"Binance keeps aggregate trades for {AGG_TRADES_KEPT_HOURS} hours, and {window} begins before that:"
            " load them from its archive"
        )


def _check_over(window: Window, last: _Page) -> None:
    """Raise VenueUnavailable if the last page came before the end of the window: more trades may come."""
    if len(last.trades) and last.trades.event_time[-1] >= window.end:
        return
    if last.answered_at < window.end:
        seconds = (window.end - last.answered_at) / MICROSECONDS_PER_SECOND
        raise VenueUnavailable(
            f"the window {window} ends {seconds:.1f} s after the clock of Binance: its trades cannot be told yet",
            after_seconds=seconds,
        )


def _check_same(again: AggTrades, told: AggTrades, first: int) -> None:
    """Raise unless all trades that came again, as the page overlaps, are those that were told before."""
    places = np.flatnonzero(np.isin(told.agg_trade_id, again.agg_trade_id))
    if len(places) != len(again):
        raise WindowMismatch(
            f"aggregate trades from {first} on were answered with trade {again.agg_trade_id[0]}, which is before them"
        )
    for column in _COLUMNS:
        differ = getattr(again, column) != getattr(told, column)[places]
        if differ.any():
            raise InvariantBroken(
                f"aggregate trade {again.agg_trade_id[differ][0]} was told twice, with another {column}"
            )


def _is_beyond(row: RejectedRow, last: int) -> bool:
    number = row.row["a"]
    return type(number) is int and number > last


def _joined(pages: list[Answer[AggTrades]], window: Window) -> Answer[AggTrades]:
    """Return what lies in the window; rows that are put aside once, however often they were told."""
    trades = AggTrades(*(np.concatenate([getattr(page.rows, column) for page in pages]) for column in _COLUMNS))
    rejected = [row for page in pages for row in page.rejected if row.event_time is None or row.event_time < window.end]
    once = tuple(row for place, row in enumerate(rejected) if row not in rejected[:place])
    return Answer(trades.select(trades.event_time < window.end), once)
