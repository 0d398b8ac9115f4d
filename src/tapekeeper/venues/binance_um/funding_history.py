"""Funding that was paid before: the rates of a window, and which interval held when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MILLISECOND, now_microseconds
from tapekeeper.errors import WindowMismatch
from tapekeeper.model.answer import Answer
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.funding_rates import (
    LATEST_PAYMENT,
    SHORTEST_INTERVAL,
    nearest_due,
    parse_funding_intervals,
    parse_funding_rates,
    parse_payment_times,
    present_interval,
)
from tapekeeper.venues.binance_um.funding_schedule import STEPS, schedule_of
from tapekeeper.venues.binance_um.limits import FUNDING_RATES_PER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekeeper.model.candle import Int64Column
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.venues.binance_um.decisions import Reply

    Ask = Callable[[str, Mapping[str, str | int]], Reply]

MARGIN: Final = 4 * MICROSECONDS_PER_DAY
"""So much before and after a window is looked at to tell its intervals: a dozen of the longest."""
LONGEST_INTERVAL: Final = STEPS[0]
BELIEVED_SILENCES: Final = 2
"""So often in a row an empty answer has to come where payments could be: taken for true too early, it would make the
present interval that of the whole past."""


class FundingHistory:
    """Asks for funding.

    Args:
        ask: sends a method with its parameters and returns the venue's reply.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._intervals: dict[str, Resolution] | None = None

    def rates(self, name: str, window: Window, interval: Resolution) -> Answer[FundingRates]:
        """See `BinanceUmRest.funding_rates`."""
        points = window.grid_points(interval.microseconds)
        if points > FUNDING_RATES_PER_REQUEST:
            raise ValueError(f"{points} rates of {interval} in one request: at most {FUNDING_RATES_PER_REQUEST}")
        grid = window.clipped_to_grid(interval.microseconds)
        if grid is None:
            return Answer(FundingRates.empty())
        # Not up to the end of the grid: there another interval may have begun.
        last_due = grid.end - interval.microseconds
        result = self._ask("fundingRate", _between(name, grid.start, last_due + LATEST_PAYMENT)).result
        return parse_funding_rates(result, name, grid, interval, now_microseconds())

    def schedule(self, instrument: Instrument, window: Window) -> Sequence[tuple[Window, Resolution]]:
        """Return which interval held when, ascending and without a break, over all of a window.

        Nothing is told of the time before the first payment of all: a window that begins before it begins with it, and
        of one that ends before it there is nothing. Where an instrument has not paid yet, its present interval is told.
        """
        current = self._present_interval(instrument.name)
        asked = Window(max(0, window.start - MARGIN), window.end + MARGIN)
        due_times = np.unique(nearest_due(self._payment_times(instrument.name, asked), SHORTEST_INTERVAL))
        due_times = due_times[due_times >= 0]
        if len(due_times) and asked.start <= instrument.listed_at:
            paid = Window(int(due_times[0]), max(int(due_times[0]), window.end) + 1)
            told = window.intersect(paid)
            return () if told is None else schedule_of(due_times, told, current)
        return schedule_of(due_times, window, current)

    def _present_interval(self, name: str) -> Resolution:
        if self._intervals is None:
            self._intervals = parse_funding_intervals(self._ask("fundingInfo", {}).result)
        return present_interval(self._intervals, name)

    def _payment_times(self, name: str, window: Window) -> Int64Column:
        """Return when funding was paid in a window, in microseconds since 1970, ascending."""
        pages: list[Int64Column] = []
        start, now, silences = window.start, min(window.end, now_microseconds()), 0
        # A page may leave something out, so its length does not tell whether it is the last.
        while silences < BELIEVED_SILENCES and (not pages or start + LONGEST_INTERVAL <= now):
            result = self._ask("fundingRate", _between(name, start, window.end)).result
            paid_at = parse_payment_times(result, name)
            if not len(paid_at):
                silences += 1
                continue
            if paid_at.min() < start or paid_at.max() > window.end or (np.diff(paid_at) < 0).any():
                raise WindowMismatch(f"funding of {name} in {window} was answered with other times, or in disorder")
            pages.append(paid_at)
            silences = 0
            start = int(paid_at[-1]) + MICROSECONDS_PER_MILLISECOND
        return np.concatenate(pages) if pages else np.empty(0, dtype=np.int64)


def _between(name: str, start: int, end: int) -> dict[str, str | int]:
    """Return what asks for payments from one moment to another, both included, in microseconds since 1970."""
    return {
        "symbol": name,
        "startTime": -(-start // MICROSECONDS_PER_MILLISECOND),
        "endTime": end // MICROSECONDS_PER_MILLISECOND,
        "limit": FUNDING_RATES_PER_REQUEST,
    }
