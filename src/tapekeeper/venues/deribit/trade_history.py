"""Trades that happened before: the paging of the venue's get_last_trades methods.

The venue tells a thousand trades at most and whether there are more. Numbers of trades are exact, times are not: a page
can end in the middle of a millisecond. So a page by time is only believed up to its last millisecond, which begins the
next page.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, format_moment, now_microseconds
from tapekeeper.errors import InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.window import Window
from tapekeeper.venues.deribit.limits import CURRENCY_TRADES_AGE, TRADES_PER_ANSWER
from tapekeeper.venues.deribit.trades import TradeAnswer, VenueTrade, parse_trades

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tapekeeper.venues.deribit.decisions import Reply

    Ask = Callable[[str, Mapping[str, str | int]], Reply]
    NamesOf = Callable[[str, str], Iterable[str]]

BY_INSTRUMENT: Final = "public/get_last_trades_by_instrument"
BY_INSTRUMENT_AND_TIME: Final = "public/get_last_trades_by_instrument_and_time"
BY_CURRENCY_AND_TIME: Final = "public/get_last_trades_by_currency_and_time"
OLDEST_FIRST: Final[dict[str, str | int]] = {"count": TRADES_PER_ANSWER, "sorting": "asc"}


class TradeHistory:
    """Asks for trades page by page.

    Args:
        ask: sends a method with its parameters and returns the venue's reply.
        names_of: returns the instruments of a currency and a kind, those that expired recently among them.
    """

    def __init__(self, ask: Ask, names_of: NamesOf) -> None:
        self._ask = ask
        self._names_of = names_of

    def by_sequence(self, name: str, start_seq: int, end_seq: int) -> Iterator[TradeAnswer]:
        """See `DeribitRest.trades_by_instrument`."""
        if not 1 <= start_seq <= end_seq:
            raise ValueError(f"trades {start_seq} to {end_seq}: the numbers have to ascend from 1 on")
        return self._pages_by_sequence(name, start_seq, end_seq)

    def by_time(self, currency: str, kind: str, window: Window) -> Iterator[TradeAnswer]:
        """See `DeribitRest.trades_by_currency`."""
        if window.start < now_microseconds() - CURRENCY_TRADES_AGE:
            raise ValueError(
                f"trades by currency from {format_moment(window.start)} on: the venue tells only those of the last"
                " 24 hours, and would be silent about the others; ask by instrument"
            )
        return self._pages_by_time(currency, kind, window)

    def newest(self, name: str) -> VenueTrade | None:
        """See `DeribitRest.last_trade`."""
        page = _page(self._ask(BY_INSTRUMENT, {"instrument_name": name, "count": 1, "sorting": "desc"}))
        for row in page.answer.rejected:
            raise InvariantBroken(f"the last trade of {name} cannot be believed: {row.reason}")
        return page.trades[0] if page.trades else None

    def _pages_by_sequence(self, name: str, start_seq: int, end_seq: int) -> Iterator[TradeAnswer]:
        first = start_seq
        while first <= end_seq:
            # Never more numbers than fit into one answer: of more, the venue chooses which to tell.
            last = min(first + TRADES_PER_ANSWER - 1, end_seq)
            page = self._sequence(name, first, last)
            yield page.answer
            first = max(trade.trade_seq for trade in page.trades) + 1 if page.has_more and page.trades else last + 1

    def _sequence(self, name: str, first: int, last: int) -> _Page:
        asked: dict[str, str | int] = {"instrument_name": name, "start_seq": first, "end_seq": last}
        page = _page(self._ask(BY_INSTRUMENT, asked | OLDEST_FIRST))
        for trade in page.trades:
            if trade.instrument_name != name or not first <= trade.trade_seq <= last:
                raise WindowMismatch(
                    f"trades {first} to {last} of {name} were answered with trade {trade.trade_seq} of"
                    f" {trade.instrument_name}"
                )
        return page

    def _pages_by_time(self, currency: str, kind: str, window: Window) -> Iterator[TradeAnswer]:
        asked = {"currency": currency, "kind": kind}
        listed: set[str] = set()
        start, last = _milliseconds(window)
        while start <= last:
            page = self._between(BY_CURRENCY_AND_TIME, asked, start, last, CURRENCY_TRADES_AGE)
            if not page.has_more:
                yield page.answer
                return
            newest = page.newest_timestamp
            if newest > start:
                yield page.before(newest)
                start = newest
            else:
                # Asked for once: full milliseconds come in swarms, and the venue wants ten seconds between two lists.
                listed = listed or set(self._names_of(currency, kind))
                for name in sorted({trade.instrument_name for trade in page.trades} | listed):
                    yield from self._millisecond(name, start)
                start += 1

    def _millisecond(self, name: str, timestamp: int) -> Iterator[TradeAnswer]:
        """Yield all trades of an instrument in one millisecond: by time, then on by their numbers."""
        page = self._between(BY_INSTRUMENT_AND_TIME, {"instrument_name": name}, timestamp, timestamp)
        yield page.answer
        more = page.has_more
        while more:
            first = max(trade.trade_seq for trade in page.trades) + 1
            page = self._sequence(name, first, first + TRADES_PER_ANSWER - 1)
            yield page.before(timestamp + 1)
            more = bool(page.trades) and page.newest_timestamp <= timestamp

    def _between(
        self, method: str, asked: Mapping[str, str | int], start: int, last: int, age: int | None = None
    ) -> _Page:
        """Return a page of the trades from `start` to `last`, both in milliseconds and included.

        Args:
            method: one that takes times.
            asked: its other parameters.
            start: of the page.
            last: of the page.
            age: how far back the method reaches, in microseconds; None for all the way.
        """
        reply = self._ask(method, {**asked, "start_timestamp": start, "end_timestamp": last} | OLDEST_FIRST)
        window = Window(start * MICROSECONDS_PER_MILLISECOND, (last + 1) * MICROSECONDS_PER_MILLISECOND)
        if age is not None and reply.answered_at is not None and window.start < reply.answered_at - age:
            raise WindowMismatch(f"the trades of {window} were told too late to be all of them: ask by instrument")
        page = _page(reply)
        for trade in page.trades:
            if not window.start <= trade.event_time < window.end:
                raise WindowMismatch(
                    f"the trades of {window} were answered with trade {trade.trade_seq} of {trade.instrument_name} at"
                    f" {format_moment(trade.event_time)}"
                )
        return page


@dataclass(frozen=True, slots=True)
class _Page:
    answer: TradeAnswer
    has_more: bool

    @property
    def trades(self) -> tuple[VenueTrade, ...]:
        return self.answer.trades

    @property
    def newest_timestamp(self) -> int:
        return max(trade.timestamp for trade in self.trades)

    def before(self, timestamp: int) -> TradeAnswer:
        """Return what is older than a millisecond, and rows that tell no time."""
        moment = timestamp * MICROSECONDS_PER_MILLISECOND
        return TradeAnswer(
            tuple(trade for trade in self.trades if trade.timestamp < timestamp),
            tuple(row for row in self.answer.rejected if row.event_time is None or row.event_time < moment),
        )


def _page(reply: Reply) -> _Page:
    result = reply.result
    if not isinstance(result, dict) or not isinstance(result.get("trades"), list):
        raise ParseFailure(f"trades should come as an object with a list, not as {reprlib.repr(result)}")
    has_more = result.get("has_more")
    if not isinstance(has_more, bool):
        raise ParseFailure(f"trades came with has_more {reprlib.repr(has_more)}: true or false was expected")
    answer = parse_trades(result["trades"])
    if has_more and not answer.trades:
        raise ParseFailure("trades came with has_more, but without one that can be believed: there is no way on")
    return _Page(answer, has_more)


def _milliseconds(window: Window) -> tuple[int, int]:
    """Return the first and the last millisecond that begin inside the window."""
    return -(-window.start // MICROSECONDS_PER_MILLISECOND), -(-window.end // MICROSECONDS_PER_MILLISECOND) - 1
