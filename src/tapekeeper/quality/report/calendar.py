"""The coverage calendar: one row per series, one cell per UTC day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from tapekeeper.quality.report.words import count, percent, series_name
from tapekeeper.store.report_queries import SeriesAccount, SeriesDay, days_of_series, series_accounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

DAYS_SHOWN: Final = 90
SERIES_SHOWN: Final = 50
_STATES: Final = {"complete": "complete", "explained": "explained", "running": "running"}
_LITTLE: Final = 0.01
_MUCH: Final = 0.1


@dataclass(frozen=True, slots=True)
class Month:
    """A heading over the days of one month."""

    name: str
    days: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One day of one series."""

    state: str
    """unfollowed, complete, explained, running, or missing-little, missing-some, missing-much."""
    told: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One series."""

    name: str
    completeness: str
    told: str
    """What is not complete, in words."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The series of one dataset that are shown, and what is to be said of the others."""

    dataset: str
    rows: tuple[Row, ...]
    rest: str
    """Empty where all are shown."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The last days of the worst series."""

    first: date
    last: date
    months: tuple[Month, ...]
    groups: tuple[Group, ...]

    @property
    def days(self) -> int:
        """How many columns there are."""
        return (self.last - self.first).days + 1


def read_calendar(cursor: Cursor, datasets: Sequence[str], today: date) -> Calendar:
    """Return the calendar that ends with the running day."""
    first = today - timedelta(days=DAYS_SHOWN - 1)
    accounts = sorted(
        series_accounts(cursor, datasets, first, today), key=lambda account: datasets.index(account.dataset)
    )
    worst = sorted(accounts, key=_badness, reverse=True)[:SERIES_SHOWN]
    found = days_of_series(cursor, [account.series_id for account in worst], first, today)
    return lay_out(accounts, {account.series_id for account in worst}, found, first, today)


def lay_out(
    accounts: Sequence[SeriesAccount], shown: set[int], found: Sequence[SeriesDay], first: date, last: date
) -> Calendar:
    """Return the calendar of the series with the ids `shown`; `accounts` come dataset by dataset, worst first."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    by_series: dict[int, dict[date, SeriesDay]] = {}
    for each in found:
        by_series.setdefault(each.series_id, {})[each.day] = each
    groups = []
    for dataset, members in groupby(accounts, key=lambda account: account.dataset):
        of_dataset = list(members)
        rows = [
            _row(account, by_series.get(account.series_id, {}), days)
            for account in of_dataset
            if account.series_id in shown
        ]
        rest = [account for account in of_dataset if account.series_id not in shown]
        groups.append(Group(dataset, tuple(rows), _rest(rest)))
    return Calendar(first, last, _months(days), tuple(groups))


def _badness(account: SeriesAccount) -> tuple[float, ...]:
    expected = account.expected or 1
    return (account.days_red, account.missing / expected, account.explained / expected)


def _row(account: SeriesAccount, found: Mapping[date, SeriesDay], days: Sequence[date]) -> Row:
    told = [
        count(account.days_red, "red day") if account.days_red else "",
        f"{account.missing:,} missing" if account.missing else "",
        f"{account.explained:,} explained" if account.explained else "",
    ]
    return Row(
        name=series_name(account.instrument, account.resolution_seconds),
        completeness=percent(account.expected - account.missing, account.expected),
        told=", ".join(word for word in told if word) or "complete",
        cells=tuple(_cell(day, found.get(day)) for day in days),
    )


def _cell(day: date, found: SeriesDay | None) -> Cell:
    if found is None or not found.expected:
        return Cell("unfollowed", f"{day}: not followed")
    if found.state in _STATES:
        explained = f", {found.explained:,} explained" if found.explained else ""
        return Cell(_STATES[found.state], f"{day}: {found.state}, {found.held:,} of {found.expected:,}{explained}")
    missing = found.expected - found.held - found.explained
    share = missing / found.expected
    level = "little" if share < _LITTLE else "some" if share < _MUCH else "much"
    return Cell(f"missing-{level}", f"{day}: {missing:,} of {found.expected:,} missing without an explanation")


def _months(days: Sequence[date]) -> tuple[Month, ...]:
    grouped = [(first, list(members)) for first, members in groupby(days, key=lambda day: day.replace(day=1))]
    return tuple(Month(f"{first:%b %Y}", len(members)) for first, members in grouped)


def _rest(accounts: Sequence[SeriesAccount]) -> str:
    if not accounts:
        return ""
    red = sum(account.days_red > 0 for account in accounts)
    return (
        f"{len(accounts):,} more series, {red:,} of them with red days"
        if red
        else f"{len(accounts):,} more series without a red day"
    )
