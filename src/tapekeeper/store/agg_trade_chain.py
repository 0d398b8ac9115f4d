"""The chain of aggregate trades: between two of them that follow each other no id is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, day_start, to_microseconds
from tapekeeper.model.gap import Sequences
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

_OF_WINDOW: Final = """
    FROM agg_trades
    WHERE instrument_id = %(instrument_id)s AND event_time >= %(start)s AND event_time < %(end)s
"""
_COUNT: Final = f"SELECT count(*), min(agg_trade_id), max(agg_trade_id) {_OF_WINDOW}"
_BREAKS: Final = f"""
    SELECT agg_trade_id, event_time, next_id, next_time
    FROM (
        SELECT
            agg_trade_id, event_time,
            lead(agg_trade_id) OVER chain AS next_id, lead(event_time) OVER chain AS next_time
        {_OF_WINDOW}
        WINDOW chain AS (ORDER BY agg_trade_id)
    ) AS neighbours
    WHERE next_id > agg_trade_id + 1
    ORDER BY agg_trade_id
"""  # noqa: S608 (made of constants of this module)
_FIRST: Final = f"SELECT agg_trade_id, event_time {_OF_WINDOW} ORDER BY event_time, agg_trade_id LIMIT 1"
_LAST: Final = f"SELECT agg_trade_id, event_time {_OF_WINDOW} ORDER BY event_time DESC, agg_trade_id DESC LIMIT 1"
_FIRST_DAY: Final = """
    SELECT day FROM coverage WHERE series_id = %s AND day BETWEEN %s AND %s AND held > 0 ORDER BY day LIMIT 1
"""
_LAST_DAY: Final = """
    SELECT day FROM coverage WHERE series_id = %s AND day BETWEEN %s AND %s AND held > 0 ORDER BY day DESC LIMIT 1
"""


class HeldTrade(NamedTuple):
    """A trade that is held; its time in microseconds since 1970."""

    agg_trade_id: int
    event_time: int


class Break(NamedTuple):
    """Two trades that follow each other although their ids do not."""

    before: HeldTrade
    after: HeldTrade

    @property
    def window(self) -> Window:
        """From the one to the other; of one microsecond where both happened at the same moment."""
        return Window(self.before.event_time, max(self.after.event_time, self.before.event_time + 1))

    @property
    def sequences(self) -> Sequences:
        """The ids that are left out."""
        return Sequences(self.before.agg_trade_id + 1, self.after.agg_trade_id - 1)


class Chain:
    """The aggregate trades of one series, as they are held."""

    def __init__(self, cursor: Cursor, series_id: int, instrument_id: int) -> None:
        self._cursor = cursor
        self._series_id = series_id
        self._instrument_id = instrument_id

    def breaks(self, window: Window, stretch: Window) -> list[Break]:
        """Return the breaks inside a window, and those between it and its neighbours inside a stretch around it.

        Of the stretch no more is looked at than those neighbours, however long it is.
        """
        before = self._last_before(window.start, stretch.start)
        after = self._first_after(window.end, stretch.end)
        first, last = self._one(_FIRST, window), self._one(_LAST, window)
        pairs = [(before, after)] if first is None else [(before, first), (last, after)]
        edges = [Break(one, other) for one, other in pairs if one is not None and other is not None]
        broken = [edge for edge in edges if edge.after.agg_trade_id > edge.before.agg_trade_id + 1]
        return sorted([*broken, *self._breaks_inside(window)])

    def _breaks_inside(self, window: Window) -> list[Break]:
        self._cursor.execute(_COUNT, self._asked(window))
        rows, first_id, last_id = self._cursor.fetchone() or (0, None, None)
        if not rows or last_id - first_id + 1 == rows:
            return []
        self._cursor.execute(_BREAKS, self._asked(window))
        return [
            Break(HeldTrade(held, to_microseconds(moment)), HeldTrade(next_held, to_microseconds(next_moment)))
            for held, moment, next_held, next_moment in self._cursor.fetchall()
        ]

    def _last_before(self, end: int, start: int) -> HeldTrade | None:
        """Return the last trade before a moment; it is looked for on one day, and on the one that coverage tells."""
        if start >= end:
            return None
        of_day = Window(max(start, day_start(day_of(end - 1))), end)
        found = self._one(_LAST, of_day)
        if found is not None or of_day.start == start:
            return found
        day = self._day(_LAST_DAY, start, of_day.start)
        return None if day is None else self._one(_LAST, _part_of(day, start, of_day.start))

    def _first_after(self, start: int, end: int) -> HeldTrade | None:
        """Return the first trade at a moment or after it, before another one, looked for in the same way."""
        if start >= end:
            return None
        of_day = Window(start, min(end, day_start(day_of(start)) + MICROSECONDS_PER_DAY))
        found = self._one(_FIRST, of_day)
        if found is not None or of_day.end == end:
            return found
        day = self._day(_FIRST_DAY, of_day.end, end)
        return None if day is None else self._one(_FIRST, _part_of(day, of_day.end, end))

    def _day(self, look: str, start: int, end: int) -> date | None:
        self._cursor.execute(look, (self._series_id, day_of(start), day_of(end - 1)))
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def _one(self, look: str, window: Window) -> HeldTrade | None:
        self._cursor.execute(look, self._asked(window))
        row = self._cursor.fetchone()
        return None if row is None else HeldTrade(row[0], to_microseconds(row[1]))

    def _asked(self, window: Window) -> dict[str, object]:
        start, end = window.as_datetimes()
        return {"instrument_id": self._instrument_id, "start": start, "end": end}


def _part_of(day: date, start: int, end: int) -> Window:
    midnight = day_start(day)
    return Window(max(start, midnight), min(end, midnight + MICROSECONDS_PER_DAY))
