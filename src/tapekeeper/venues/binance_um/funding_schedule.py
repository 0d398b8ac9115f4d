"""Which interval of funding held when, told from when it was paid.

Nobody tells the intervals of the past. A payment that is missing can only make a spacing longer, so a shorter spacing
is always true. A longer one is either another interval or a hole, and it is a hole where there are fewer than three of
them in a row: out of all ways to read the payments the one is taken that costs least, where a spacing with a hole costs
1, and a stretch with a longer interval than a neighbour's costs `LONGER_STRETCH`, between two of those and three. The
present interval counts as a stretch behind the last payment.

Where the interval changes, the longer of the two holds up to the first payment of the shorter, or from the last one on:
8h until 16:00 and then 20:00, 00:00 are [.., 20:00) 8h and [20:00, ..) 4h; and 4h until 16:00 and then 00:00, 08:00 are
[.., 20:00) 4h and [20:00, ..) 8h. So every payment lies on the grid of its own stretch and on no other, and a change
stays where it is when later payments become known.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.limits import FUNDING_INTERVALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.model.candle import Int64Column

    Steps = tuple[int, ...]

LONGER_STRETCH: Final = 2.5
FEWER_MISSING: Final = 1e-6
"""What a missing payment costs beside its spacing: of two ways that cost alike, the one that invents less is taken."""
STEPS: Final = tuple(sorted((interval.microseconds for interval in FUNDING_INTERVALS.values()), reverse=True))
"""The known intervals in microseconds, the longest first."""
_NONE: Final = 0
"""The interval before the first payment."""


def schedule_of(due_times: Int64Column, window: Window, current: Resolution) -> tuple[tuple[Window, Resolution], ...]:
    """Return which interval held when, ascending and without a break, over all of a window.

    Args:
        due_times: when funding was paid, rounded to the hour, in microseconds since 1970, ascending; what lies some
            days before and after the window tells more about its ends.
        window: what is asked for; before the first payment the first interval is taken to hold.
        current: the present interval; it holds after the last payment.
    """
    runs = list(_runs(due_times))
    steps = (*_cheapest(runs, current.microseconds), current.microseconds)
    befores = [*(run.before for run in runs[1:]), *due_times[-1:].tolist()]
    afters = [*(run.before + run.spacing for run in runs[1:]), None]
    begins = [window.start]
    for place, (before, after) in enumerate(zip(befores, afters, strict=False)):
        shorter_begins = after if after is not None and steps[place + 1] < steps[place] else None
        begins.append(shorter_begins or before + min(steps[place], steps[place + 1]))
    return tuple(_stretches(begins, steps, window))


@dataclass(frozen=True, slots=True)
class _Run:
    """Payments in a row with one spacing; in microseconds."""

    before: int
    """The last payment before them."""
    spacing: int
    length: int

    def missing(self, step: int, previous: int) -> float | None:
        """Return what it costs if an interval holds from here on and another one did before; None if it cannot.

        In the first spacing the longer of both holds.
        """
        first = self.before + self.spacing
        if first % step or (self.length > 1 and self.spacing % step):
            return None
        longer = max(step, previous)
        at_first = (first - 1) // longer - self.before // longer
        later = -(-self.spacing // step) - 1
        holed = (at_first > 0) + (self.length - 1) * (later > 0)
        return holed + FEWER_MISSING * (at_first + (self.length - 1) * later)


def _runs(due_times: Int64Column) -> Iterator[_Run]:
    """Yield the payments as runs; the first is the first payment alone, whose spacing is unknown."""
    if not len(due_times):
        return
    shortest = STEPS[-1]
    yield _Run(int(due_times[0]) - shortest, shortest, 1)
    spacings = np.diff(due_times)
    bounds = [0, *(np.flatnonzero(np.diff(spacings)) + 1).tolist(), len(spacings)]
    for first, end in pairwise(bounds):
        if first < end:
            yield _Run(int(due_times[first]), int(spacings[first]), end - first)


def _cheapest(runs: list[_Run], current: int) -> Steps:
    """Return the interval of each run, out of all ways to read them the one that costs least."""
    # By the interval of the last run, and whether its stretch has been paid for as the longer one of two.
    ways: dict[tuple[int, bool], tuple[float, Steps]] = {(_NONE, False): (0.0, ())}
    for run in runs:
        further: dict[tuple[int, bool], tuple[float, Steps]] = {}
        for (previous, paid), (cost, steps) in ways.items():
            for step in STEPS:
                missing = run.missing(step, previous)
                if missing is None:
                    continue
                change, paid_now = _change(previous, step, paid=paid)
                way = (cost + missing + change, (*steps, step))
                state = (step, paid_now)
                if state not in further or way[0] < further[state][0]:
                    further[state] = way
        ways = further
    ended = [
        (cost + _change(previous, current, paid=paid)[0], steps) for (previous, paid), (cost, steps) in ways.items()
    ]
    return min(ended, key=lambda way: way[0])[1]


def _change(previous: int, step: int, *, paid: bool) -> tuple[float, bool]:
    """Return what a change costs, and whether the stretch that it begins has been paid for."""
    if previous in (_NONE, step):
        return 0.0, paid
    if step > previous:
        return LONGER_STRETCH, True
    return (0.0 if paid else LONGER_STRETCH), False


def _stretches(begins: list[int], steps: Steps, window: Window) -> Iterator[tuple[Window, Resolution]]:
    """Yield the parts of a window, neighbours with one interval as one."""
    start = window.start
    for place, step in enumerate(steps):
        end = begins[place + 1] if place + 1 < len(steps) else window.end
        if place + 1 < len(steps) and steps[place + 1] == step:
            continue
        end = min(end, window.end)
        if end > start:
            yield Window(start, end), Resolution(step // MICROSECONDS_PER_SECOND)
            start = end
