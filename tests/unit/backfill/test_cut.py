"""Chunks cover exactly what is missing, with the fewest requests."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.backfill.cut import cut
from tapekeeper.model.window import Window

STEP = 60


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
