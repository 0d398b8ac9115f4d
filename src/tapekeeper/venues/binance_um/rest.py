"""Binance's REST methods as model objects.

Raises everywhere, beside what each method says: RetryLater when the venue cannot be asked now, Stop when it refuses.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, now_microseconds
from tapekeeper.errors import RequestRejected
from tapekeeper.model.answer import Answer
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Listing
from tapekeeper.model.open_interest import OpenInterest
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_FUNDING_RATES, BINANCE_UM_OPEN_INTEREST
from tapekeeper.venues.binance_um.agg_trade_history import AggTradeHistory
from tapekeeper.venues.binance_um.decisions import Decisions, Reply
from tapekeeper.venues.binance_um.funding_history import FundingHistory
from tapekeeper.venues.binance_um.klines import parse_klines
from tapekeeper.venues.binance_um.limits import (
    AGG_TRADES_WEIGHT,
    CANDLES_PER_REQUEST,
    CANDLES_WEIGHT,
    LISTING_WEIGHT,
    OPEN_INTEREST_PER_REQUEST,
    PERIODS,
    UNWEIGHED,
    interval_name,
)
from tapekeeper.venues.binance_um.listings import ListingParser
from tapekeeper.venues.binance_um.open_interest import parse_open_interest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tapekeeper.http.client import HttpClient
    from tapekeeper.http.rate_budget import RateBudget
    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.funding_rate import FundingRates
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window

NEAR_NAMES: Final = 3
_PREFIX: Final = "/fapi/v1/"


class BinanceUmRest:
    """Asks Binance, for one thread.

    Args:
        client: of the venue `binance_um`, with the budget of `limits.weight_limit`.
        weight_per_minute: what the venue grants to our address.
        data_budget: the budget of `limits.DATA_LIMIT`.
        funding_budget: the budget of `limits.FUNDING_LIMIT`.
    """

    def __init__(
        self, client: HttpClient, weight_per_minute: int, data_budget: RateBudget, funding_budget: RateBudget
    ) -> None:
        self._client = client
        self._data_budget = data_budget
        self._agg_trades = AggTradeHistory(lambda asked: self._ask("aggTrades", asked, AGG_TRADES_WEIGHT))
        self._funding = FundingHistory(
            lambda method, asked: self._ask(method, asked, UNWEIGHED, budgets=(funding_budget,))
        )
        self._decide = Decisions(weight_per_minute).decide
        self._listed: dict[str, Instrument] | None = None
        self.listing_parser = ListingParser()
        """Counts what was left out of lists."""

    def instruments(self) -> dict[str, Instrument]:
        """Return all instruments by name (exchangeInfo); asked once, as the answer holds all of them."""
        if self._listed is None:
            reply = self._ask("exchangeInfo", {}, LISTING_WEIGHT)
            self._listed = self.listing_parser.instruments(reply.result)
        return self._listed

    def listing(self) -> Listing:
        """Return all instruments that live (exchangeInfo)."""
        result = self._ask("exchangeInfo", {}, LISTING_WEIGHT).result
        instruments = self.listing_parser.instruments(result)
        return Listing(tuple(instruments.values()), self.listing_parser.names(result))

    def instrument(self, name: str) -> Instrument:
        """Return one instrument.

        Raises:
            RequestRejected: the venue knows no such instrument; the message names those that are written alike.
        """
        listed = self.instruments()
        if name not in listed:
            near = difflib.get_close_matches(name.upper(), listed, n=NEAR_NAMES)
            hint = f"did you mean {' or '.join(near)}? If not, " if near else ""
            raise RequestRejected(
                f"Binance USD-M knows no instrument {name!r}: {hint}type the name as Binance writes it, such as BTCUSDT"
            )
        return listed[name]

    def candles(self, instrument_name: str, window: Window, resolution: Resolution) -> Answer[Candles]:
        """Return the closed candles whose open time lies in the window (klines).

        Args:
            instrument_name: as the venue writes it.
            window: at most 499 candles long; ends anywhere, also in the future.
            resolution: one that the venue has.

        Raises:
            ValueError: the window holds more than 499 open times.
            ConfigInvalid: the venue has no such interval.
            BadData: the answer is for another window or cannot be understood.
        """
        open_times = window.grid_points(resolution.microseconds)
        if open_times > CANDLES_PER_REQUEST:
            raise ValueError(f"{open_times} candles of {resolution} in one request: at most {CANDLES_PER_REQUEST}")
        interval = interval_name(resolution)
        grid = window.clipped_to_grid(resolution.microseconds)
        if grid is None:
            return Answer(Candles.empty())
        parameters: dict[str, str | int] = {
            "symbol": instrument_name,
            "interval": interval,
            "startTime": grid.start // MICROSECONDS_PER_MILLISECOND,
            # Both ends are asked for with what lies on them.
            "endTime": grid.end // MICROSECONDS_PER_MILLISECOND - 1,
            "limit": CANDLES_PER_REQUEST,
        }
        reply = self._ask("klines", parameters, CANDLES_WEIGHT)
        # The venue's clock tells which candle is open, unless it runs ahead of ours: a candle that is left out is asked
        # for again, one that was taken for closed too early would stay wrong.
        now = min(reply.answered_at or now_microseconds(), now_microseconds())
        return parse_klines(reply.result, grid, resolution, now)

    def open_interest(self, instrument_name: str, window: Window, period: Resolution) -> Answer[OpenInterest]:
        """Return the open interest at the grid points of a window (openInterestHist).

        Args:
            instrument_name: as the venue writes it.
            window: at most 500 points long, and of the last month.
            period: one that the venue has.

        Raises:
            ValueError: the window holds more than 500 points.
            ConfigInvalid: the venue has no such period.
            BadData: the answer is for another window or instrument, or cannot be understood.
        """
        points = window.grid_points(period.microseconds)
        if points > OPEN_INTEREST_PER_REQUEST:
            raise ValueError(f"{points} points of {period} in one request: at most {OPEN_INTEREST_PER_REQUEST}")
        grid = window.clipped_to_grid(period.microseconds)
        if grid is None:
            return Answer(OpenInterest.empty())
        parameters: dict[str, str | int] = {
            "symbol": instrument_name,
            "period": interval_name(period, PERIODS),
            "startTime": grid.start // MICROSECONDS_PER_MILLISECOND,
            "endTime": grid.end // MICROSECONDS_PER_MILLISECOND - 1,
            "limit": OPEN_INTEREST_PER_REQUEST,
        }
        path = "/futures/data/openInterestHist"
        reply = self._ask("openInterestHist", parameters, UNWEIGHED, path=path, budgets=(self._data_budget,))
        return parse_open_interest(reply.result, instrument_name, grid, period, now_microseconds())

    def agg_trades(self, instrument_name: str, window: Window) -> Answer[AggTrades]:
        """Return the aggregate trades of a window (aggTrades).

        Nothing is left to ask of the window then: the venue told a trade at its end or after it, or fewer trades than
        it could. Where it leaves out ids, they are missing.

        Args:
            instrument_name: as the venue writes it.
            window: shorter than an hour, over, and of the last 48 hours.

        Raises:
            ValueError: the window is an hour long or longer.
            RequestRejected: it begins before what the venue keeps.
            VenueUnavailable: it is not over by the clock of the venue.
            BadData: an answer is for another window, contradicts another, or cannot be understood.
        """
        return self._agg_trades.by_time(instrument_name, window)

    def agg_trades_by_id(self, name: str, first: int, last: int) -> Iterator[Answer[AggTrades]]:
        """Yield the aggregate trades from one id to another, both included, page by page (aggTrades).

        Raises:
            ValueError: the ids do not ascend from 0 on.
            BadData: an answer is about others, contradicts another, or cannot be understood.
        """
        return self._agg_trades.by_id(name, first, last)

    def funding_rates(self, instrument_name: str, window: Window, interval: Resolution) -> Answer[FundingRates]:
        """Return the funding rates that are due in a window (fundingRate).

        Args:
            instrument_name: as the venue writes it.
            window: at most 1,000 payments long.
            interval: the one that holds then; see `schedule`.

        Raises:
            ValueError: the window holds more than 1,000 payments.
            BadData: the answer is for another window, instrument or interval, or cannot be understood.
        """
        return self._funding.rates(instrument_name, window, interval)

    def schedule(self, instrument: Instrument, window: Window) -> Sequence[tuple[Window, Resolution]]:
        """Return which interval of funding held when (fundingRate, fundingInfo); see `FundingHistory.schedule`.

        Raises:
            BadData: an answer is for another window or instrument, or cannot be understood.
        """
        return self._funding.schedule(instrument, window)

    def rows(
        self, dataset: Dataset, instrument_name: str, window: Window, resolution: Resolution
    ) -> Answer[Candles] | Answer[OpenInterest] | Answer[AggTrades] | Answer[FundingRates]:
        """Return what the venue tells of a dataset; see the method of its name."""
        if dataset == BINANCE_UM_OPEN_INTEREST:
            return self.open_interest(instrument_name, window, resolution)
        if dataset == BINANCE_UM_AGG_TRADES:
            return self.agg_trades(instrument_name, window)
        if dataset == BINANCE_UM_FUNDING_RATES:
            return self.funding_rates(instrument_name, window, resolution)
        return self.candles(instrument_name, window, resolution)

    def _ask(
        self,
        method: str,
        parameters: Mapping[str, str | int],
        weight: float,
        *,
        path: str | None = None,
        budgets: Sequence[RateBudget] = (),
    ) -> Reply:
        reply = self._client.get(method, path or _PREFIX + method, parameters, weight, self._decide, budgets)
        if not isinstance(reply, Reply):
            raise TypeError(f"the client returned {type(reply).__name__} where a decision makes a Reply")
        return reply
