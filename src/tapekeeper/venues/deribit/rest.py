"""Deribit's REST methods as model objects.

Raises everywhere, beside what each method says: RetryLater when the venue cannot be asked now, Stop when it refuses.
"""

from __future__ import annotations

import difflib
import reprlib
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, now_microseconds
from tapekeeper.errors import ParseFailure, RequestRejected, TapekeeperError
from tapekeeper.model.answer import Answer
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Listing
from tapekeeper.venues.deribit.decisions import Reply, UnknownInstrument, decide
from tapekeeper.venues.deribit.limits import CANDLES_PER_REQUEST, REQUEST_WEIGHT, resolution_name
from tapekeeper.venues.deribit.listings import ListingParser
from tapekeeper.venues.deribit.parse import CandleParser
from tapekeeper.venues.deribit.trade_history import TradeHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tapekeeper.http.client import HttpClient
    from tapekeeper.http.rate_budget import RateBudget
    from tapekeeper.model.book_summary import BookSummary
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window
    from tapekeeper.venues.deribit.trades import TradeAnswer, VenueTrade

VENUE: Final = "deribit"
PATH: Final = "/api/v2/"


class DeribitRest:
    """Asks Deribit, for one thread.

    Args:
        client: of the venue `deribit`, with the budget of `limits.rest_limit`.
        instruments_budget: the budget of `limits.GET_INSTRUMENTS_LIMIT`, which `instruments` draws from as well;
            whoever lists instruments only once does not need one.
    """

    def __init__(self, client: HttpClient, instruments_budget: RateBudget | None = None) -> None:
        self._client = client
        self._instruments_budgets = () if instruments_budget is None else (instruments_budget,)
        self.candle_parser = CandleParser()
        """Counts what is unusual about candles."""
        self.listing_parser = ListingParser()
        """Counts what was left out of lists."""
        self._trade_history = TradeHistory(self._ask, self._names)

    def candles(self, instrument_name: str, window: Window, resolution: Resolution) -> Answer[Candles]:
        """Return the closed candles whose open time lies in the window (public/get_tradingview_chart_data).

        Args:
            instrument_name: as the venue writes it.
            window: at most 5,000 candles long; ends anywhere, also in the future.
            resolution: one that the venue has.

        Raises:
            ValueError: the window holds more than 5,000 open times, of which the venue would keep the newest alone.
            ConfigInvalid: the venue has no such resolution.
            BadData: the answer is for another window or cannot be understood.
        """
        open_times = window.grid_points(resolution.microseconds)
        if open_times > CANDLES_PER_REQUEST:
            raise ValueError(f"{open_times} candles of {resolution} in one request: at most {CANDLES_PER_REQUEST}")
        name = resolution_name(resolution)
        grid = window.clipped_to_grid(resolution.microseconds)
        if grid is None:
            return Answer(Candles.empty())
        reply = self._ask(
            "public/get_tradingview_chart_data",
            {
                "instrument_name": instrument_name,
                # A start right on an open time was once answered without that candle: a millisecond earlier it is
                # inside, whether the venue counts the start in or not.
                "start_timestamp": grid.start // MICROSECONDS_PER_MILLISECOND - 1,
                "end_timestamp": grid.end // MICROSECONDS_PER_MILLISECOND - 1,
                "resolution": name,
            },
        )
        # The venue's clock tells which candle is open, unless it runs ahead of ours: a candle that is left out is asked
        # for again, one that was taken for closed too early would stay wrong.
        now = min(reply.answered_at or now_microseconds(), now_microseconds())
        return self.candle_parser.parse(reply.result, grid, resolution, now)

    def listing(self) -> Listing:
        """Return all instruments that live (public/get_instruments)."""
        result = self._instruments({"currency": "any", "expired": "false"})
        return Listing(tuple(self.listing_parser.instruments(result)), self.listing_parser.names(result))

    def rows(self, _dataset: Dataset, instrument_name: str, window: Window, resolution: Resolution) -> Answer[Candles]:
        """Return what is backfilled from here, which is candles; see `candles`."""
        return self.candles(instrument_name, window, resolution)

    def instruments(self, currency: str, kind: str | None = None, expired: bool = False) -> list[Instrument]:
        """Return the instruments of a currency, or of all with `any` (public/get_instruments).

        Args:
            currency: the venue's, such as BTC, ETH, USDC or any.
            kind: the venue's, such as future (perpetuals are among them) or option; None for all.
            expired: those that expired recently, instead of those that live.
        """
        parameters: dict[str, str | int] = {"currency": currency, "expired": "true" if expired else "false"}
        if kind is not None:
            parameters["kind"] = kind
        return self.listing_parser.instruments(self._instruments(parameters))

    def _instruments(self, parameters: Mapping[str, str | int]) -> object:
        return self._ask("public/get_instruments", parameters, self._instruments_budgets).result

    def instrument(self, name: str) -> Instrument:
        """Return one instrument, living or expired (public/get_instrument).

        Raises:
            RequestRejected: the venue knows no such instrument; the message names those that are written alike.
            ParseFailure: the answer is no instrument of a kind that we know.
        """
        try:
            reply = self._ask("public/get_instrument", {"instrument_name": name})
        except UnknownInstrument:
            raise RequestRejected(
                f"Deribit knows no instrument {name!r}: {self._near(name)}type the name as Deribit writes it,"
                " such as BTC-PERPETUAL or ETH_USDC-PERPETUAL"
            ) from None
        found = self.listing_parser.instruments([reply.result])
        if not found:
            raise ParseFailure(f"what Deribit tells about {name!r} cannot be understood")
        return found[0]

    def book_summaries(self, currency: str, kind: str) -> list[BookSummary]:
        """Return one line per instrument (public/get_book_summary_by_currency).

        Args:
            currency: the venue's, such as BTC, ETH or USDC; `any` is refused.
            kind: the venue's, such as future or option.
        """
        reply = self._ask("public/get_book_summary_by_currency", {"currency": currency, "kind": kind})
        return self.listing_parser.book_summaries(reply.result)

    def trades_by_instrument(self, name: str, start_seq: int, end_seq: int) -> Iterator[TradeAnswer]:
        """Yield the trades of an instrument from one number to another, both included, in answers of up to 1,000.

        Numbers that the venue does not have are left out, so that whoever needs all of them has to count
        (public/get_last_trades_by_instrument).

        Raises:
            ValueError: the numbers do not ascend from 1 on.
            BadData: the answer is for others than the ones asked for or cannot be understood.
        """
        return self._trade_history.by_sequence(name, start_seq, end_seq)

    def trades_by_currency(self, currency: str, kind: str, window: Window) -> Iterator[TradeAnswer]:
        """Yield the trades of all instruments of a currency in a window, ascending, in answers of up to 1,000.

        Each trade comes once, however many share a millisecond (public/get_last_trades_by_currency_and_time; a
        millisecond with more than 1,000 is asked for instrument by instrument).

        Args:
            currency: the venue's, such as BTC, ETH or USDC.
            kind: the venue's, such as option.
            window: begins within the last 24 hours.

        Raises:
            ValueError: it begins earlier, where the venue would answer with nothing: ask by instrument.
            BadData: the answer is for another window or cannot be understood.
        """
        return self._trade_history.by_time(currency, kind, window)

    def last_trade(self, name: str) -> VenueTrade | None:
        """Return the newest trade of an instrument, None before its first (public/get_last_trades_by_instrument).

        Raises:
            InvariantBroken: the newest trade contradicts itself.
        """
        return self._trade_history.newest(name)

    def server_time(self) -> int:
        """Return the venue's clock in microseconds since 1970, to a millisecond (public/get_time)."""
        result = self._ask("public/get_time", {}).result
        if not isinstance(result, int) or isinstance(result, bool):
            raise ParseFailure(
                f"the time of Deribit should be a whole number of milliseconds, not {reprlib.repr(result)}"
            )
        return result * MICROSECONDS_PER_MILLISECOND

    def _ask(
        self, method: str, parameters: Mapping[str, str | int], further_budgets: Sequence[RateBudget] = ()
    ) -> Reply:
        reply = self._client.get(method, PATH + method, parameters, REQUEST_WEIGHT, decide, further_budgets)
        if not isinstance(reply, Reply):
            raise TypeError(f"the client returned {type(reply).__name__} where decide makes a Reply")
        return reply

    def _names(self, currency: str, kind: str) -> list[str]:
        """Return the names of the instruments that live, and of those that expired recently."""
        return [
            instrument.name for expired in (False, True) for instrument in self.instruments(currency, kind, expired)
        ]

    def _near(self, name: str) -> str:
        """Return a suggestion, or nothing where the list cannot be had: it must not hide the error that it explains."""
        try:
            futures = self.instruments("any", "future")
        except TapekeeperError:
            return ""
        perpetuals = [instrument.name for instrument in futures if instrument.kind == "perpetual"]
        near = difflib.get_close_matches(name.upper(), perpetuals, n=3)
        return f"did you mean {' or '.join(near)}? If not, " if near else ""
