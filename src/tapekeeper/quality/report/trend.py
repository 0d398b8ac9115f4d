"""The trend of completeness of a dataset: a curve over the last days that are over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.quality.report.words import percent, ratio_percent
from tapekeeper.store.report_queries import DatasetDay, dataset_days

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

DAYS_SHOWN: Final = 30
STEP: Final = 10
"""Width of a day in the picture."""
HEIGHT: Final = 60
_FLOORS: Final = (0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.0)
"""Where the picture may begin; a scale from 0 would hide what matters."""


@dataclass(frozen=True, slots=True)
class Point:
    """One day."""

    x: float
    """The left end of the day."""
    told: str


@dataclass(frozen=True, slots=True)
class Trend:
    """What is drawn for one dataset."""

    dataset: str
    first: date
    last: date
    floor: str
    """What the lower edge stands for; the upper one is 100 %."""
    lowest: str
    """The worst day in words; empty where every day is complete or explained."""
    proven: tuple[str, ...]
    """Lines of held and explained, as points of SVG; days on which nothing was expected interrupt them."""
    held: tuple[str, ...]
    """Areas of held alone, likewise."""
    days: tuple[Point, ...]

    @property
    def width(self) -> int:
        """The width of the picture."""
        return STEP * ((self.last - self.first).days + 1)


def read_trends(cursor: Cursor, datasets: Sequence[str], today: date) -> list[Trend]:
    """Return the trend of each dataset up to yesterday."""
    first, last = today - timedelta(days=DAYS_SHOWN), today - timedelta(days=1)
    found: dict[str, dict[date, DatasetDay]] = {dataset: {} for dataset in datasets}
    for each in dataset_days(cursor, datasets, first, last):
        found[each.dataset][each.day] = each
    return [draw(dataset, days, first, last) for dataset, days in found.items()]


def draw(dataset: str, found: Mapping[date, DatasetDay], first: date, last: date) -> Trend:
    """Return the picture of one dataset over the days from the first to the last."""
    days = [found.get(first + timedelta(days=number)) for number in range((last - first).days + 1)]
    known = [day for day in days if day is not None and day.expected]
    floor = _floor(min((day.held / day.expected for day in known), default=1.0))
    stretches = _stretches(days)
    return Trend(
        dataset=dataset,
        first=first,
        last=last,
        floor=ratio_percent(floor),
        lowest=_lowest(known),
        proven=tuple(_line(stretch, floor) for stretch in stretches),
        held=tuple(_area(stretch, floor) for stretch in stretches),
        days=tuple(Point(STEP * number, _told(first + timedelta(days=number), day)) for number, day in enumerate(days)),
    )


Stretch = list[tuple[int, DatasetDay]]
"""Days in a row on which something was expected, with their places."""


def _stretches(days: Sequence[DatasetDay | None]) -> list[Stretch]:
    stretches: list[Stretch] = [[]]
    for number, day in enumerate(days):
        if day is not None and day.expected:
            stretches[-1].append((number, day))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _line(stretch: Stretch, floor: float) -> str:
    # A day is a step, so that a single one is seen too.
    return " ".join(
        f"{x},{_height(min(1.0, (day.held + day.explained) / day.expected), floor)}"
        for number, day in stretch
        for x in (STEP * number, STEP * (number + 1))
    )


def _area(stretch: Stretch, floor: float) -> str:
    top = [
        f"{x},{_height(min(1.0, day.held / day.expected), floor)}"
        for number, day in stretch
        for x in (STEP * number, STEP * (number + 1))
    ]
    left, right = STEP * stretch[0][0], STEP * (stretch[-1][0] + 1)
    return " ".join([f"{left},{HEIGHT}", *top, f"{right},{HEIGHT}"])


def _height(ratio: float, floor: float) -> float:
    return round(HEIGHT * (1 - max(0.0, ratio - floor) / (1 - floor)), 2)


def _floor(lowest: float) -> float:
    return next(floor for floor in _FLOORS if floor < lowest or floor == 0)


def _lowest(known: Sequence[DatasetDay]) -> str:
    worst = min(known, key=lambda day: (day.held + day.explained) / day.expected, default=None)
    if worst is None or worst.held + worst.explained >= worst.expected:
        return ""
    return f"{percent(worst.held + worst.explained, worst.expected)} on {worst.day}"


def _told(day: date, found: DatasetDay | None) -> str:
    if found is None or not found.expected:
        return f"{day}: nothing expected"
    explained = f", {percent(found.explained, found.expected)} explained" if found.explained else ""
    return f"{day}: {percent(found.held, found.expected)} held{explained}"
