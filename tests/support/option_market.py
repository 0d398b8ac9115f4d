"""Options of which nothing is wrong, written as the collector writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.model.gap import Cause, Loss
from tapekeeper.model.window import Window
from tapekeeper.store import option_series
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.losses import record_losses
from tapekeeper.store.ticks import write_ticks
from tests.support.ticks import MIDNIGHT, SECOND, option, quote, trade

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.trade import Trade
    from tapekeeper.store.option_series import OptionSeries

DAY = MICROSECONDS_PER_DAY
HOUR = 3_600 * SECOND
NOW = MIDNIGHT + 3 * DAY + 12 * HOUR
"""The middle of the running day; three days before it are over."""
ALL_DAYS = Window(MIDNIGHT, NOW)
FIRST_NUMBER = 501
"""The trades before were never followed."""
LIVING, EXPIRED, QUIET = option(0), replace(option(1), expires_at=MIDNIGHT + 32 * HOUR), option(2)
EVERY = 600 * SECOND


def trades(instrument_id: int, start: int, end: int, *, first: int = FIRST_NUMBER) -> list[Trade]:
    """Return trades of an option, two of them every ten minutes in the same millisecond."""
    moments = [moment for at in range(start, end, EVERY) for moment in (at, at)]
    return [
        trade(instrument_id, at, first + number, trade_id=f"ETH-{instrument_id * 100_000 + number}")
        for number, at in enumerate(moments)
    ]


def healthy_options(cursor: Cursor) -> dict[str, OptionSeries]:
    """Write three days and a half of three options, and return their ids by name.

    One trades all the time; one expired; of one there is no trade, and nobody followed it for some hours. The quotes of
    the first were lost for a minute, which is told.
    """
    series = option_series.ensure_option_series(cursor, [LIVING, EXPIRED, QUIET])
    living, expired, quiet = (series[instrument.name] for instrument in (LIVING, EXPIRED, QUIET))
    expiry = EXPIRED.expires_at or 0
    followed = {
        living: [Window(MIDNIGHT + HOUR, NOW)],
        expired: [Window(MIDNIGHT, expiry)],
        quiet: [Window(MIDNIGHT, MIDNIGHT + 20 * HOUR), Window(MIDNIGHT + 30 * HOUR, NOW)],
    }
    lost = Window(MIDNIGHT + 50 * HOUR, MIDNIGHT + 50 * HOUR + 60 * SECOND)
    record_losses(cursor, [Loss(living.quotes_series_id, lost, Cause.DISCONNECT, {})], by="test")
    for ids, windows in followed.items():
        for window in windows:
            option_series.follow_from(cursor, ids[1:], window.start)
            account(cursor, ids.quotes_series_id, window, lost=lost if ids == living else None)
            if window.end != NOW:
                option_series.unfollow(cursor, ids[1:], window.end)
    rows = trades(living.instrument_id, MIDNIGHT + HOUR, NOW) + trades(expired.instrument_id, MIDNIGHT, expiry)
    quotes = [quote(ids.instrument_id, MIDNIGHT + HOUR, 1_000) for ids in series.values()]
    write_ticks(cursor, quotes, rows)
    return {"living": living, "expired": expired, "quiet": quiet}


def account(cursor: Cursor, series_id: int, window: Window, *, lost: Window | None = None) -> None:
    """Tell that the seconds of a window were followed, and that they were whole but for those that were lost."""
    seconds = []
    for day, part in window.days():
        gone = lost and part.intersect(lost)
        followed = (part.end - part.start) // SECOND
        seconds.append(Seconds(series_id, day, followed, followed - ((gone.end - gone.start) // SECOND if gone else 0)))
    account_seconds(cursor, seconds, until=window.end)
