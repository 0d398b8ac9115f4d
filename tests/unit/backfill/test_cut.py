"""Chunks cover exactly what is missing, with the fewest requests."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.backfill.cut import FileChooser, cut, planned_chunks
from tapekeeper.backfill.offers import Archive
from tapekeeper.model.archive import ArchiveFile
from tapekeeper.model.backfill import Source
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_CANDLES
from tapekeeper.model.window import Window

STEP = 60
FILE = 100 * STEP
"""How long a file is."""
DELAY = 30 * STEP
"""How long after its end a file is published."""
ONE_MINUTE = Resolution(60)


def file_at(name: str, moment: int, resolution: Resolution) -> ArchiveFile:
    start = moment // FILE * FILE
    return ArchiveFile(f"{name}-{start}", Window(start, start + FILE), BINANCE_UM_CANDLES, name, resolution)


def files(steps_at_least: int | None, *, kept_from: int, now: int) -> FileChooser:
    archive = Archive(file_at, lambda file: file.window.end + DELAY, steps_at_least)
    return FileChooser(archive, "BTCUSDT", ONE_MINUTE, STEP, kept_from=kept_from, now=now)


@st.composite
def missing_windows(draw: st.DrawFn) -> list[Window]:
    windows, position = [], draw(st.integers(0, 50))
    for _ in range(draw(st.integers(0, 12))):
        start = position + draw(st.integers(1, 40))
        position = start + draw(st.integers(1, 60))
        windows.append(Window(start * STEP, position * STEP))
    return windows


def points(windows: list[Window]) -> set[int]:
    return {point for window in windows for point in range(window.start, window.end, STEP)}


@given(missing_windows(), st.integers(1, 30))
def test_chunks_cover_what_is_missing_and_never_overlap(missing: list[Window], rows: int) -> None:
    chunks = cut(missing, STEP, rows)
    assert points(missing) <= points(chunks)
    assert all(chunk.grid_points(STEP) <= rows for chunk in chunks)
    assert all(left.end <= right.start for left, right in itertools.pairwise(chunks))


@given(missing_windows(), st.integers(1, 30))
def test_every_chunk_begins_and_ends_with_something_missing(missing: list[Window], rows: int) -> None:
    wanted = points(missing)
    for chunk in cut(missing, STEP, rows):
        assert chunk.start in wanted
        assert chunk.end - STEP in wanted


@given(missing_windows(), st.integers(1, 30))
def test_no_fewer_chunks_would_do(missing: list[Window], rows: int) -> None:
    # Points to be covered by intervals of a fixed length: taking the leftmost uncovered one each time is optimal.
    uncovered, fewest = sorted(points(missing)), 0
    while uncovered:
        fewest += 1
        uncovered = [point for point in uncovered if point >= uncovered[0] + rows * STEP]
    assert len(cut(missing, STEP, rows)) == fewest


MOMENTS = st.integers(0, 1_500).map(lambda step: step * STEP)


@given(missing_windows(), st.one_of(st.none(), st.integers(0, 120)), MOMENTS, MOMENTS)
def test_each_missing_row_is_asked_of_who_has_it(
    missing: list[Window], at_least: int | None, kept_from: int, now: int
) -> None:
    chunks = planned_chunks(missing, STEP, 7, files(at_least, kept_from=kept_from, now=now))
    assert points(missing) <= points([chunk.window for chunk in chunks])
    for chunk in chunks:
        file = file_at("BTCUSDT", chunk.window.start, ONE_MINUTE)
        if chunk.source is Source.ARCHIVE:
            assert chunk.window.end <= file.window.end
            wanted = points([chunk.window]) & points(missing)
            is_worth_it = at_least is not None and len(wanted) >= at_least and file.window.end + DELAY <= now
            assert is_worth_it or chunk.window.start < kept_from
        elif chunk.window.start in points(missing):
            assert chunk.window.start >= kept_from or file.window.start <= kept_from


def test_without_files_everything_is_asked_over_rest() -> None:
    chunks = planned_chunks([Window(0, 10 * STEP)], STEP, 7, None)
    assert [(chunk.window.grid_points(STEP), chunk.source) for chunk in chunks] == [(7, Source.REST), (3, Source.REST)]
