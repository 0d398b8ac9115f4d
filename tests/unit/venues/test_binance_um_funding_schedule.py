"""Which interval of funding held when, told from when it was paid."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.funding_schedule import schedule_of

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
START: Final = 19_000 * DAY


def told(schedule: tuple[tuple[Window, Resolution], ...]) -> list[tuple[int, int, str]]:
    """Return the stretches in hours after the start."""
    return [((part.start - START) // HOUR, (part.end - START) // HOUR, str(each)) for part, each in schedule]


def asked(hours_due: list[int], *, until: int, current: int = 8, since: int = 0) -> list[tuple[int, int, str]]:
    due_times = np.array(hours_due, dtype=np.int64) * HOUR + START
    window = Window(START + since * HOUR, START + until * HOUR)
    return told(schedule_of(due_times, window, Resolution(current * 3_600)))


def test_one_interval_is_one_stretch_however_the_window_is_cut() -> None:
    assert asked(list(range(0, 240, 8)), until=100, since=3) == [(3, 100, "8h")]
    assert asked(list(range(0, 240, 1)), until=100, current=1) == [(0, 100, "1h")]
    assert asked(list(range(0, 240, 8)), until=100, current=4) == [(0, 100, "8h")]


def test_without_a_payment_the_present_interval_holds() -> None:
    assert asked([], until=100, current=4) == [(0, 100, "4h")]


def test_a_single_payment_agrees_with_the_present_interval_where_it_can() -> None:
    assert asked([16], until=30, current=8) == [(0, 30, "8h")]
    assert asked([20], until=30, current=8) == [(0, 24, "4h"), (24, 30, "8h")]


def test_a_change_lies_where_every_payment_is_counted_once() -> None:
    shorter = [0, 8, 16, 24, 32, 40, 44, 48, 52, 56]
    assert asked(shorter, until=60, current=4) == [(0, 44, "8h"), (44, 60, "4h")]
    longer = [*range(0, 44, 4), 48, 56, 64, 72]
    assert asked(longer, until=80) == [(0, 44, "4h"), (44, 80, "8h")]


@pytest.mark.parametrize(
    ("due", "until", "before", "after"),
    [
        (list(range(0, 48, 8)), 44, [(0, 44, "8h")], [(0, 44, "8h"), (44, 48, "4h")]),
        (list(range(0, 44, 4)), 44, [(0, 44, "4h")], [(0, 44, "4h"), (44, 48, "8h")]),
    ],
)
def test_a_change_that_was_not_paid_yet_is_where_it_will_be_found_later(
    due: list[int], until: int, before: list[tuple[int, int, str]], after: list[tuple[int, int, str]]
) -> None:
    current = 4 if before[0][2] == "8h" else 8
    assert asked(due, until=until, current=current) == before
    assert asked(due, until=48, current=current) == after
    later = [*due, *((44, 48) if current == 4 else (48, 56))]
    assert asked(later, until=48, current=current) == after


def test_a_change_in_the_middle_of_an_interval_invents_no_payment() -> None:
    assert asked([*range(0, 40, 8), 36, 37, 38, 39, 40, 41], until=42, current=1) == [(0, 36, "8h"), (36, 42, "1h")]
    assert asked([*range(14), 16, 24, 32, 40, 48], until=50) == [(0, 14, "1h"), (14, 50, "8h")]


def test_one_or_two_longer_spacings_are_holes_and_three_are_another_interval() -> None:
    def with_longer(count: int, after: int) -> list[tuple[int, int, str]]:
        due = [*range(0, 16, 4), *range(16, 16 + 8 * count, 8)]
        end = 16 + 8 * count
        return asked([*due, *range(end, end + after * 4, 4)], until=end + 20, current=4)

    for count in (1, 2):
        assert with_longer(count, 5) == [(0, 36 + 8 * count, "4h")]
        assert with_longer(count, 1) == [(0, 36 + 8 * count, "4h")]
    assert [interval for _, _, interval in with_longer(3, 5)] == ["4h", "8h", "4h"]


def test_the_last_spacing_is_believed_where_it_is_the_present_interval() -> None:
    due = [*range(0, 44, 4), 48]
    assert asked(due, until=50, current=8) == [(0, 44, "4h"), (44, 50, "8h")]
    assert asked(due, until=50, current=4) == [(0, 50, "4h")]


def test_a_long_silence_changes_nothing() -> None:
    assert asked([*range(0, 80, 8), *range(800, 880, 8)], until=880) == [(0, 880, "8h")]
    assert asked([*range(0, 80, 1), *range(800, 880, 1)], until=880, current=1) == [(0, 880, "1h")]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[int], list[int], Window, int]:
    """Return when funding was due and paid (in hours after the start), an asked window, and the present interval."""
    intervals = [draw(st.sampled_from((1, 2, 4, 8)))]
    due = [0]
    protected = {0}
    for _ in range(draw(st.integers(1, 5))):
        # So long that a longer interval shows at least three of its spacings.
        for _ in range(draw(st.integers(7, 40))):
            due.append(due[-1] + intervals[-1])
        following = draw(st.sampled_from([each for each in (1, 2, 4, 8) if each != intervals[-1]]))
        changed = len(due)
        due.append((due[-1] // following + 1) * following)
        protected.update(range(changed - 4, changed + 5))
        intervals.append(following)
    for _ in range(draw(st.integers(12, 30))):
        due.append(due[-1] + intervals[-1])
    protected.update(range(len(due) - 4, len(due)))
    dropped = draw(st.sets(st.integers(4, len(due) - 5)))
    kept = _without(due, dropped - protected)
    start = draw(st.integers(0, due[-1] - 1))
    end = draw(st.integers(start + 1, due[-1]))
    window = Window(START + start * HOUR, START + end * HOUR)
    return due, kept, window, intervals[-1]


def _without(due: list[int], dropped: set[int]) -> list[int]:
    """Leave payments out, but never so many that three spacings in a row have a hole."""
    kept: list[int] = []
    holed = 0
    skipped = False
    for place, moment in enumerate(due):
        if place in dropped and holed < 2:
            skipped = True
            continue
        holed = holed + 1 if skipped else 0
        skipped = False
        kept.append(moment)
    return kept


@given(worlds())
def test_the_grids_of_the_stretches_are_all_payments_and_no_other(
    world: tuple[list[int], list[int], Window, int],
) -> None:
    due, kept, window, current = world
    due_times = np.array(kept, dtype=np.int64) * HOUR + START
    schedule = schedule_of(due_times, window, Resolution(current * 3_600))
    assert [part.start for part, _ in schedule] == [window.start, *(part.end for part, _ in schedule[:-1])]
    assert schedule[-1][0].end == window.end
    counted = [
        point
        for part, interval in schedule
        for point in range(
            -(-part.start // interval.microseconds) * interval.microseconds, part.end, interval.microseconds
        )
    ]
    true = [START + hours * HOUR for hours in due]
    assert counted == [moment for moment in true if window.start <= moment < window.end]
