"""Plan: what is missing of what was asked for, cut into chunks, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.backfill.cut import cut
from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import format_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.backfill import BackfillPlan, BackfillRequest, Direction, InstrumentPlan, Mode
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage, runs, unfinished_runs
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.venue import RowVenue
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.settings import Settings
    from tapekeeper.store.database import Database


def make_plan(
    database: Database, venue: RowVenue, request: BackfillRequest, settings: Settings, *, now: int
) -> BackfillPlan:
    """Return what a backfill would do; ask the venue for the instruments, and write nothing.

    Raises:
        RequestRejected: the venue does not know an instrument.
        ConfigInvalid: an instrument is not of the dataset's kind.
    """
    instruments = [venue.instrument(name) for name in request.instruments]
    for instrument in instruments:
        if instrument.kind != request.dataset.instrument_kind:
            raise ConfigInvalid(
                f"{instrument.name} is a {instrument.kind}, and {request.dataset.name} holds only instruments of the "
                f"kind {request.dataset.instrument_kind}: take it out"
            )
    return BackfillPlan(
        request=request,
        instruments=database.run(
            lambda cursor: tuple(_plan_instrument(cursor, request, each, settings, now) for each in instruments)
        ),
        requests_per_second=offer_of(request.dataset).requests_per_second(settings),
    )


def start_run(database: Database, plan: BackfillPlan, run_key: str, *, now: int) -> int:
    """Write a plan down as a run with its chunks, and return the run's id.

    A run of the same key that exists already is gone on with: its id is returned and nothing is written.
    """
    return database.run(lambda cursor: _write_run(cursor, plan, run_key, now))


def _plan_instrument(
    cursor: Cursor, request: BackfillRequest, instrument: Instrument, settings: Settings, now: int
) -> InstrumentPlan:
    step = request.resolution.microseconds
    window, note = _available(request, instrument, now)
    if window is None:
        return InstrumentPlan(instrument, None, (), 0, 0, note)
    missing = [window]
    if request.mode is Mode.MISSING_ONLY:
        series_id = catalogue.find_series(cursor, request.dataset, instrument.name, request.resolution)
        if series_id is not None:
            missing = coverage.missing_windows(cursor, series_id, window, request.resolution)
    chunks = cut(missing, step, offer_of(request.dataset).rows_per_chunk(settings))
    if request.direction is Direction.NEWEST_FIRST:
        chunks.reverse()
    return InstrumentPlan(
        instrument=instrument,
        window=window,
        chunks=tuple(chunks),
        rows_expected=window.grid_points(step),
        rows_missing=sum(part.grid_points(step) for part in missing),
        note=note,
    )


def _available(request: BackfillRequest, instrument: Instrument, now: int) -> tuple[Window | None, str | None]:
    """Return the part of the asked window that the venue can have, and a sentence if it is not all of it."""
    step = request.resolution.microseconds
    offer = offer_of(request.dataset)
    kept_from = offer.kept_from(now)
    life = _life_on_grid(instrument, step, now)
    window = request.window.intersect(life) if life else None
    window = Window(max(window.start, kept_from), window.end) if window and window.end > kept_from else None
    window = window.clipped_to_grid(step) if window else None
    if window is None:
        return None, _why_nothing(request, instrument, now)
    if request.window.start < kept_from >= life_start(instrument, step):
        return window, (
            f"the venue tells {request.dataset.name} of the last {offer.days_kept} days: "
            f"the backfill of {instrument.name} begins at {format_moment(window.start)}"
        )
    if request.window.start < life_start(instrument, step):
        return window, (
            f"the venue's history of {instrument.name} begins at {format_moment(instrument.listed_at)}, "
            f"not at {format_moment(request.window.start)}: the backfill goes on from there"
        )
    if instrument.expires_at is not None and request.window.end > instrument.expires_at:
        return window, f"{instrument.name} expired at {format_moment(instrument.expires_at)}: the backfill ends there"
    return window, None


def _why_nothing(request: BackfillRequest, instrument: Instrument, now: int) -> str:
    """Return why the venue can have no complete candle of the asked window."""
    nothing = f"{instrument.name} has no complete row in {request.window}"
    if request.window.end <= life_start(instrument, request.resolution.microseconds):
        return f"{nothing}: the venue's history begins at {format_moment(instrument.listed_at)}"
    if instrument.expires_at is not None and instrument.expires_at <= request.window.start:
        return f"{nothing}: it expired at {format_moment(instrument.expires_at)}"
    offer = offer_of(request.dataset)
    if request.window.end <= offer.kept_from(now):
        return f"{nothing}: the venue tells {request.dataset.name} of the last {offer.days_kept} days"
    return f"{nothing}: no row of {request.resolution} both begins there and is over at {format_moment(now)}"


def life_start(instrument: Instrument, step: int) -> int:
    """Return the open time of the candle that holds the listing, the first that the venue can have."""
    return instrument.listed_at // step * step


def _life_on_grid(instrument: Instrument, step: int, now: int) -> Window | None:
    """Return from the candle that holds the listing to the one that is still open, that one left out."""
    life = instrument.life(now)
    if life is None:
        return None
    start, end = life_start(instrument, step), life.end // step * step
    return Window(start, end) if start < end else None


def _write_run(cursor: Cursor, plan: BackfillPlan, run_key: str, now: int) -> int:
    request = plan.request
    run_id = runs.create_run(cursor, run_key, request)
    if run_id is None:
        existing = runs.find_run(cursor, run_key)
        if existing is None:
            raise AssertionError(f"the run {run_key} was deleted while it was looked up")
        return existing
    unfinished_runs.give_up_abandoned(cursor, request.dataset)
    known = [
        (catalogue.ensure_series(cursor, request.dataset, each.instrument, request.resolution).series_id, each)
        for each in plan.instruments
        if each.window is not None
    ]
    # In the order of their ids, so that two plans of the same series cannot wait for each other.
    for series_id, each in sorted(known, key=lambda pair: pair[0]):
        if each.window is None:
            continue
        lock_series(cursor, series_id)
        catalogue.follow(cursor, series_id, each.window, keep_fresh=request.keep_fresh, reason="backfill")
        step = request.resolution.microseconds
        coverage.expect(
            cursor,
            series_id,
            each.window,
            request.resolution,
            life_start=life_start(each.instrument, step),
            horizon=now // step * step,
        )
        runs.add_chunks(cursor, run_id, series_id, each.chunks)
    runs.close_run(cursor, run_id)
    return run_id
