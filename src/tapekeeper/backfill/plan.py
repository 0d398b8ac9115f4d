"""Plan: what is missing of what was asked for, cut into chunks, before anything runs."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from tapekeeper.backfill.cut import FileChooser, planned_chunks
from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import format_moment
from tapekeeper.errors import BadData, ConfigInvalid
from tapekeeper.model.backfill import BackfillPlan, BackfillRequest, Direction, InstrumentPlan, Mode
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage, runs, told, unfinished_runs
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.settings import Settings
    from tapekeeper.store.database import Database

_BAD_DATA_PAUSE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)
Told = TypeVar("Told")


def make_plan(
    database: Database, tools: WorkerTools, request: BackfillRequest, settings: Settings, *, now: int
) -> BackfillPlan:
    """Return what a backfill would do; ask the venue for the instruments, and write nothing.

    Raises:
        RequestRejected: the venue does not know an instrument.
        ConfigInvalid: an instrument is not of the dataset's kind.
        BadData: the venue's answer could not be believed in any of the tries.
    """
    tries = settings.backfill.attempts_per_chunk
    instruments = [_believed(partial(tools.venue.instrument, name), tries) for name in request.instruments]
    for instrument in instruments:
        if instrument.kind != request.dataset.instrument_kind:
            raise ConfigInvalid(
                f"{instrument.name} is a {instrument.kind}, and {request.dataset.name} holds only instruments of the "
                f"kind {request.dataset.instrument_kind}: take it out"
            )
    parts = [(instrument, _by_interval(tools, request, instrument, now, tries)) for instrument in instruments]
    return BackfillPlan(
        request=request,
        instruments=database.run(
            lambda cursor: tuple(
                each
                for instrument, asked in parts
                for each in (
                    [_Asked(part, instrument, settings, now).plan(cursor) for part in asked]
                    or [_nothing_due(request, instrument)]
                )
            )
        ),
        requests_per_second=offer_of(request.dataset).requests_per_second(settings),
    )


def start_run(database: Database, plan: BackfillPlan, run_key: str, *, now: int) -> int:
    """Write a plan down as a run with its chunks, and return the run's id.

    A run of the same key that exists already is gone on with: its id is returned and nothing is written.
    """
    return database.run(lambda cursor: _write_run(cursor, plan, run_key, now))


def _believed(ask: Callable[[], Told], tries: int) -> Told:
    """Return what the venue told; an answer that cannot be believed is asked for again, as that of a chunk is."""
    for _ in range(1, tries):
        try:
            return ask()
        except BadData as error:
            _log.warning("asking again: %s", error)
            time.sleep(_BAD_DATA_PAUSE_SECONDS)
    return ask()


def _by_interval(
    tools: WorkerTools, request: BackfillRequest, instrument: Instrument, now: int, tries: int
) -> list[BackfillRequest]:
    """Return the request for each interval that the instrument had: one, where the resolution was asked for."""
    if not offer_of(request.dataset).has_schedules:
        return [request]
    life = instrument.life(now)
    window = request.window.intersect(life) if life else None
    if window is None:
        return []
    stretches = _believed(partial(tools.schedule_venue().schedule, instrument, window), tries)
    return [
        replace(
            request,
            window=stretch,
            resolution=interval,
            # What was paid at another interval before has come to its end.
            keep_fresh=request.keep_fresh and (stretch, interval) == stretches[-1],
        )
        for stretch, interval in stretches
    ]


def _nothing_due(request: BackfillRequest, instrument: Instrument) -> InstrumentPlan:
    note = f"{instrument.name} has nothing of {request.dataset.name} in {request.window}: choose a later start or end"
    return InstrumentPlan(instrument, request.resolution, None, (), 0, 0, note=note)


class _Asked:
    """One series that was asked for, and the part of it that the venue can have."""

    def __init__(self, request: BackfillRequest, instrument: Instrument, settings: Settings, now: int) -> None:
        self._request = request
        self._instrument = instrument
        self._settings = settings
        self._now = now
        self._offer = offer_of(request.dataset)
        self._step = self._offer.step_of(request.resolution)

    def plan(self, cursor: Cursor) -> InstrumentPlan:
        """Return what is to be done for it."""
        request, window = self._request, self._available()
        if window is None:
            nothing = self._why_nothing()
            return InstrumentPlan(self._instrument, request.resolution, None, (), 0, 0, request.keep_fresh, nothing)
        missing = [window] if request.mode is Mode.FULL_REFRESH else self._missing(cursor, window)
        chunks = planned_chunks(missing, self._step, self._offer.rows_per_chunk(self._settings), self._files())
        if request.direction is Direction.NEWEST_FIRST:
            chunks.reverse()
        has_grid = self._offer.step is None
        return InstrumentPlan(
            instrument=self._instrument,
            resolution=request.resolution,
            window=window,
            chunks=tuple(chunks),
            rows_expected=window.grid_points(self._step) if has_grid else 0,
            rows_missing=sum(part.grid_points(self._step) for part in missing) if has_grid else 0,
            keep_fresh=request.keep_fresh,
            note=self._note(window),
        )

    def _missing(self, cursor: Cursor, window: Window) -> list[Window]:
        request = self._request
        series_id = catalogue.find_series(cursor, request.dataset, self._instrument.name, request.resolution)
        if series_id is None:
            return [window]
        if self._offer.step is not None:
            return told.untold_windows(cursor, series_id, window)
        return coverage.missing_windows(cursor, series_id, window, request.resolution)

    def _files(self) -> FileChooser | None:
        archive = self._offer.archive_of(self._request.resolution, self._settings)
        if archive is None:
            return None
        name, resolution = self._instrument.name, self._request.resolution
        kept_from = self._offer.kept_from(self._now)
        return FileChooser(archive, name, resolution, self._step, kept_from=kept_from, now=self._now)

    def _told_from(self) -> int:
        return self._offer.told_from(self._now, self._request.resolution, self._settings)

    def _available(self) -> Window | None:
        """Return the part of the asked window that the venue can have."""
        told_from = self._told_from()
        life = self._life_on_grid()
        window = self._request.window.intersect(life) if life else None
        window = Window(max(window.start, told_from), window.end) if window and window.end > told_from else None
        return window.clipped_to_grid(self._step) if window else None

    def _note(self, window: Window) -> str | None:
        """Return a sentence if the venue cannot have all of the asked window."""
        asked, instrument, told_from = self._request.window, self._instrument, self._told_from()
        first = life_start(instrument, self._step)
        if asked.start < told_from and told_from >= first:
            return (
                f"the venue tells {self._request.dataset.name} of the last {self._offer.days_kept:g} days: "
                f"the backfill of {instrument.name} begins at {format_moment(window.start)}"
            )
        if asked.start < first:
            return (
                f"the venue's history of {instrument.name} begins at {format_moment(instrument.listed_at)}, "
                f"not at {format_moment(asked.start)}: the backfill goes on from there"
            )
        if instrument.expires_at is not None and asked.end > instrument.expires_at:
            return f"{instrument.name} expired at {format_moment(instrument.expires_at)}: the backfill ends there"
        return None

    def _why_nothing(self) -> str:
        """Return why the venue can have no complete row of the asked window."""
        request, instrument = self._request, self._instrument
        nothing = f"{instrument.name} has no complete row in {request.window}"
        if request.window.end <= life_start(instrument, self._step):
            return f"{nothing}: the venue's history begins at {format_moment(instrument.listed_at)}"
        if instrument.expires_at is not None and instrument.expires_at <= request.window.start:
            return f"{nothing}: it expired at {format_moment(instrument.expires_at)}"
        if request.window.end <= self._told_from():
            return f"{nothing}: the venue tells {request.dataset.name} of the last {self._offer.days_kept:g} days"
        row = f"row of {request.resolution}" if request.resolution.seconds else "piece"
        return f"{nothing}: no {row} both begins there and is over at {format_moment(self._now)}"

    def _life_on_grid(self) -> Window | None:
        """Return from the row that holds the listing to the first one that cannot be asked for yet."""
        life = self._instrument.life(self._now)
        if life is None:
            return None
        start = life_start(self._instrument, self._step)
        last = life.end - 1 + self._step if self._offer.is_told_at_its_moment else life.end
        end = min(last // self._step * self._step, self._offer.closed_until(self._now, self._step))
        return Window(start, end) if start < end else None


def life_start(instrument: Instrument, step: int) -> int:
    """Return the open time of the candle that holds the listing, the first that the venue can have."""
    return instrument.listed_at // step * step


def _write_run(cursor: Cursor, plan: BackfillPlan, run_key: str, now: int) -> int:
    request = plan.request
    run_id, is_new = runs.begin_run(cursor, run_key, request)
    if not is_new:
        return run_id
    unfinished_runs.give_up_abandoned(cursor, request.dataset)
    known = [
        (catalogue.ensure_series(cursor, request.dataset, each.instrument, each.resolution).series_id, each)
        for each in plan.instruments
        if each.window is not None
    ]
    # In the order of their ids, so that two plans of the same series cannot wait for each other.
    for series_id, each in sorted(known, key=lambda pair: pair[0]):
        if each.window is not None:
            lock_series(cursor, series_id)
            _follow(cursor, series_id, request, each, each.window, now)
            runs.add_chunks(cursor, run_id, series_id, each.chunks)
    runs.close_run(cursor, run_id)
    return run_id


def _follow(
    cursor: Cursor, series_id: int, request: BackfillRequest, each: InstrumentPlan, window: Window, now: int
) -> None:
    """Note that somebody wants the window held, and what is expected of it from now on."""
    offer = offer_of(request.dataset)
    if request.keep_fresh and not each.keep_fresh:
        catalogue.end_following(cursor, series_id, window.end)
    catalogue.follow(cursor, series_id, window, keep_fresh=each.keep_fresh, reason="backfill")
    if offer.step is not None:
        told.expect_untold(cursor, series_id, window, horizon=offer.closed_until(now, offer.step.microseconds))
        return
    step = each.resolution.microseconds
    coverage.expect(
        cursor,
        series_id,
        window,
        each.resolution,
        life_start=life_start(each.instrument, step),
        horizon=offer.closed_until(now, step),
    )
