"""public/get_tradingview_chart_data, with everything about it that surprises."""

from __future__ import annotations

from typing import Final

from simulator.chart import COLUMNS, RESOLUTIONS, Chart
from simulator.deribit.request import Request
from simulator.errors import invalid
from simulator.instruments import VenueInstrument
from simulator.moments import MINUTE

MOST_CANDLES: Final = 5_001
"""More than these are cut off without a word, the oldest first."""


def get_tradingview_chart_data(request: Request) -> object:
    """Answer with candles as columns; ticks are open times in milliseconds.

    Minutes without a trade are filled with the previous close, the minute that is still open comes last, nothing is
    there before the listing, and of a window that is too long the newest 5,001 candles come with status ok.
    """
    instrument = request.instrument()
    start, end = request.params.integer("start_timestamp"), request.params.integer("end_timestamp")
    resolution = request.params.choice("resolution", RESOLUTIONS)
    if start > end:
        raise invalid("start_timestamp", "start_timestamp must not be after end_timestamp")
    if request.conditions.has_no_data():
        return _columns_of_nothing()
    shift = request.conditions.shift()
    start += 1 if request.conditions.start_is_exclusive() else 0
    chart = _newest(request, instrument, start + shift, end + shift, resolution)
    told = request.conditions.told(instrument.name, chart)
    if not len(told.ticks):
        return _columns_of_nothing()
    return {"status": "ok", "ticks": told.ticks, **request.conditions.spoiled(instrument.name, told)}


def held_candles(request: Request, instrument: VenueInstrument, start: int, end: int, resolution: str) -> Chart:
    """Return the candles of `[start, end]` that the venue has: without its true holes, without a cap."""
    cutoff = request.conditions.cutoff(instrument.name, request.now)
    chart = request.world.charts.candles(instrument, start, end, resolution, cutoff)
    missing = request.conditions.missing(instrument.name, chart.ticks, RESOLUTIONS[resolution] * MINUTE)
    return Chart(chart.ticks[~missing], chart.rows[:, ~missing]) if missing.any() else chart


def _newest(request: Request, instrument: VenueInstrument, start: int, end: int, resolution: str) -> Chart:
    """Return the newest candles of a window, no more than the cap, without making much more than these."""
    reach = MOST_CANDLES * RESOLUTIONS[resolution] * MINUTE
    end = min(end, request.conditions.cutoff(instrument.name, request.now), instrument.end)
    earliest = max(start, instrument.listed_at - reach)
    first = max(earliest, end - reach)
    chart = held_candles(request, instrument, first, end, resolution)
    while len(chart.ticks) < MOST_CANDLES and first > earliest:
        first = max(earliest, first - reach)
        chart = held_candles(request, instrument, first, end, resolution)
    return Chart(chart.ticks[-MOST_CANDLES:], chart.rows[:, -MOST_CANDLES:])


def _columns_of_nothing() -> dict[str, object]:
    return {"status": "no_data", "ticks": [], **{name: [] for name in COLUMNS}}
