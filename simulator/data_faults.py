"""Faults of the data: what is told wrongly, what is not told, and what the venue does not have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.fault_basics import Fraction, Moment, RequestFault, StandingFact
from simulator.moments import DAY

Sequence = Annotated[int, Field(ge=1)]


class WrongWindow(RequestFault):
    """Candles or trades of another window than the one asked for."""

    kind: Literal["wrong_window"]
    shift: int = -DAY
    """In milliseconds."""


class NoData(RequestFault):
    """Status no_data and empty arrays, where there are candles."""

    kind: Literal["no_data"]


class ExclusiveStart(RequestFault):
    """A start exactly on a candle leaves that candle out."""

    kind: Literal["exclusive_start"]


class CandleFault(RequestFault):
    """Some candles of an answer are wrong: those listed, a fraction of all, or without either the middle one."""

    open_times: tuple[Moment, ...] = ()
    fraction: Fraction | None = None
    """The same candles in every answer."""
    start: Moment = 0
    end: Moment | None = None
    """The fraction counts inside `[start, end)`."""


class BadCandle(CandleFault):
    """Candles that cannot be believed."""

    kind: Literal["bad_candle"]
    mode: Literal["high_below_low", "null", "nan", "text"] = "high_below_low"


class LeftOutCandles(CandleFault):
    """Candles that the venue has, and does not tell."""

    kind: Literal["left_out_candles"]


class WrongVolume(CandleFault):
    """Volume and cost are this many times the true ones; a quiet minute has none, and stays right."""

    kind: Literal["wrong_volume"]
    factor: Annotated[float, Field(gt=0)] = 10.0


class PriceJump(CandleFault):
    """All prices of a candle are this many times the true ones; by a whole number they stay on the tick grid."""

    kind: Literal["price_jump"]
    factor: Annotated[float, Field(gt=0)] = 2.0


class DuplicatedRows(CandleFault):
    """Rows of an answer come twice, one after the other: candles, or trades by number or fraction."""

    kind: Literal["duplicated_rows"]
    trade_seqs: tuple[Sequence, ...] = ()


class LeftOutRows(RequestFault):
    """Rows that the service has, and does not tell: a fraction of an answer, or without it the middle one."""

    kind: Literal["left_out_rows"]
    fraction: Fraction | None = None
    """The same rows in every answer."""


class OmittedPeriods(StandingFact):
    """Rows of one time each that the venue does not have: those listed and a fraction of all."""

    kind: Literal["omitted_periods"]
    dataset: Literal["open_interest", "funding_rates"] = "open_interest"
    times: tuple[Moment, ...] = ()
    """Of the period or of the schedule, without the milliseconds that a funding is late."""
    fraction: Fraction = 0.0


class MissingMinutes(StandingFact):
    """True holes: minutes that the venue does not have; those listed and a fraction of all.

    A longer candle is missing where all of its minutes are.
    """

    kind: Literal["missing_minutes"]
    open_times: tuple[Moment, ...] = ()
    fraction: Fraction = 0.0
    start: Moment = 0
    end: Moment | None = None
    """The fraction counts inside `[start, end)`."""


class TradeFact(StandingFact):
    """What is so of some trades, over HTTP and in streams: those listed and a fraction of all."""

    trade_seqs: tuple[Sequence, ...] = ()
    fraction: Fraction = 0.0


class MissingTrades(TradeFact):
    """Trades that nobody is told of, so that the sequence numbers jump; candles count them all the same."""

    kind: Literal["missing_trades"]


class RetoldTrades(TradeFact):
    """Trades that are told twice, the second time with another time, where that lies in the time asked for."""

    kind: Literal["retold_trades"]
    shift: int = 1_000
    """In milliseconds."""


class StopData(StandingFact):
    """The venue makes no candle and no trade from this moment on."""

    kind: Literal["stop_data"]
    at: Moment
