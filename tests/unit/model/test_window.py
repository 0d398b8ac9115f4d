"""Windows are half-open, in UTC, and never empty."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_start
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.window import Window

MOMENTS = st.integers(min_value=0, max_value=4_000_000_000_000_000)
WINDOWS = st.tuples(MOMENTS, st.integers(1, 10 * MICROSECONDS_PER_DAY)).map(lambda pair: Window(pair[0], sum(pair)))
STEPS = st.sampled_from([1, 3, 60, 720, 1440]).map(lambda minutes: minutes * 60_000_000)


def test_an_empty_window_says_what_to_choose() -> None:
    with pytest.raises(ConfigInvalid, match="is not before the end 1970-01-01T00:00:00Z: choose an earlier start"):
        Window(0, 0)


@given(WINDOWS, STEPS)
def test_grid_points_are_the_multiples_inside(window: Window, step: int) -> None:
    first = -(-window.start // step) * step
    assert window.grid_points(step) == len(range(first, window.end, step))


@given(WINDOWS, STEPS)
def test_the_clipped_window_holds_the_same_grid_points(window: Window, step: int) -> None:
    clipped = window.clipped_to_grid(step)
    if clipped is None:
        assert window.grid_points(step) == 0
    else:
        assert clipped.start % step == clipped.end % step == 0
        assert clipped.grid_points(step) == window.grid_points(step)
        assert clipped.start >= window.start


@given(WINDOWS)
def test_days_tile_the_window(window: Window) -> None:
    parts = list(window.days())
    assert parts[0][1].start == window.start
    assert parts[-1][1].end == window.end
    assert all(left.end == right.start for (_, left), (_, right) in itertools.pairwise(parts))
    for day, part in parts:
        assert day_start(day) <= part.start < part.end <= day_start(day) + MICROSECONDS_PER_DAY


@given(WINDOWS, WINDOWS)
def test_an_intersection_lies_in_both(one: Window, other: Window) -> None:
    shared = one.intersect(other)
    if shared is None:
        assert one.end <= other.start or other.end <= one.start
    else:
        assert shared.start >= max(one.start, other.start)
        assert shared.end <= min(one.end, other.end)
