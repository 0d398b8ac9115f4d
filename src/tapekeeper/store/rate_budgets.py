"""Rate budgets in PostgreSQL: one bucket per limit of a venue, for all workers of all processes.

The algorithm is GCRA: a bucket is one moment, the theoretical arrival time of the next permit. A request of weight w
moves it by w / rate; it may run ahead of now by at most burst / rate. A lower priority may use only a part of the
burst, so the higher ones always find room.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tapekeeper.errors import DatabaseUnavailable, RateLimited
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.database import Database

BURST_SHARE: Final = {Priority.LIVE: 1.0, Priority.REPAIR: 0.75, Priority.BACKFILL: 0.5}
"""How much of the burst each priority may use; the rest is kept for the higher ones."""
RECOVERY_SECONDS: Final = 120.0
"""A pace that was halved to nothing is back at its maximum after this long without another refusal."""
SLOWEST_SHARE: Final = 1 / 64
"""However often the venue refuses, the pace stays above this share of the maximum."""
PAUSE_SECONDS: Final = 1.0
"""How long everybody pauses after a refusal that names no time; requests under way then count as the same refusal."""
SLOT_WAIT_SECONDS: Final = 10.0
"""When to look again for a free connection."""
LOCAL_SHARE: Final = 0.25
"""The share of the pace that a process grants itself while the database is away."""

_CURRENT_RATE: Final = """
    least(rate_maximum, rate + rate_maximum / %(recovery)s * extract(epoch FROM moment - rate_changed_at))
"""
_CLOCK: Final = "(SELECT clock_timestamp() AS moment) AS clock"
_ARRIVAL: Final = f"greatest(theoretical_arrival_time, moment) + make_interval(secs => %(weight)s / {_CURRENT_RATE})"
_AHEAD: Final = f"make_interval(secs => greatest(burst * %(share)s, %(weight)s) / {_CURRENT_RATE})"
_GRANTED_AT: Final = f"greatest({_ARRIVAL} - {_AHEAD}, blocked_until)"
# A refusal writes nothing. The wait is computed from the row as it was before the statement: when another process was
# faster in between it may come out as nothing, so a refusal always says a little more than nothing.
_ACQUIRE: Final = f"""
    WITH taken AS (
        UPDATE rate_budgets SET theoretical_arrival_time = {_ARRIVAL}
        FROM {_CLOCK}
        WHERE name = %(name)s AND {_GRANTED_AT} <= moment
        RETURNING 0
    )
    SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 0
        ELSE greatest(0.001, extract(epoch FROM {_GRANTED_AT} - moment)) END
    FROM rate_budgets CROSS JOIN {_CLOCK}
    WHERE name = %(name)s
"""  # noqa: S608 (made of constants of this module)
_SLOW_DOWN: Final = f"""
    UPDATE rate_budgets SET
        rate = greatest({_CURRENT_RATE} / 2, rate_maximum * {SLOWEST_SHARE}),
        rate_changed_at = moment
    FROM {_CLOCK}
    WHERE name = %(name)s AND (rate_changed_at < moment - make_interval(secs => {PAUSE_SECONDS}) OR rate = rate_maximum)
"""  # noqa: S608 (made of constants of this module)
_PAUSE: Final = """
    UPDATE rate_budgets SET blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => %s))
    WHERE name = %s
"""

_USED: Final = f"""
    SELECT name, CASE WHEN blocked_until > moment THEN 1.0 ELSE least(1.0,
        extract(epoch FROM greatest(theoretical_arrival_time, moment) - moment) * {_CURRENT_RATE} / burst
    ) END::double precision
    FROM rate_budgets CROSS JOIN {_CLOCK}
"""  # noqa: S608 (made of constants of this module)


class LocalRateBudget:
    """The same bucket in the memory of one process, with a fixed pace; safe for several threads."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._theoretical_arrival_time = 0.0
        self._blocked_until = 0.0

    def acquire(self, weight: float, priority: Priority) -> float:
        """Take `weight` permits and return 0, or return the seconds to wait before asking again."""
        with self._lock:
            now = time.monotonic()
            arrival = max(self._theoretical_arrival_time, now) + weight / self._limit.permits_per_second
            ahead = max(self._limit.burst * BURST_SHARE[priority], weight) / self._limit.permits_per_second
            wait = max(arrival - ahead, self._blocked_until) - now
            if wait > 0:
                return wait
            self._theoretical_arrival_time = arrival
            return 0.0

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so long."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)

    def slow_down(self, retry_after_seconds: float | None) -> None:
        """Pause for as long as the venue said."""
        self.pause(PAUSE_SECONDS if retry_after_seconds is None else retry_after_seconds)


def used_ratios(cursor: Cursor) -> dict[str, float]:
    """Return how much of the burst of each budget is taken now, from 0 to 1; 1 while the venue has us wait."""
    cursor.execute(_USED, {"recovery": RECOVERY_SECONDS})
    return dict(cursor.fetchall())


def local_share(limit: RateLimit) -> LocalRateBudget:
    """Return what one process grants itself of a limit while the database is away."""
    return LocalRateBudget(
        RateLimit(limit.name, limit.permits_per_second * LOCAL_SHARE, max(1, int(limit.burst * LOCAL_SHARE)))
    )


class DatabaseRateBudget:
    """The bucket that all processes share; while the database is away, a local one at a quarter of the pace."""

    def __init__(self, database: Database, limit: RateLimit, local: LocalRateBudget | None = None) -> None:
        """`database` is a connection of its own: a permit must not wait for a transaction of data. `local` is the
        share of this process, which the budgets of its threads have in common; see `local_share`.
        """
        self._database = database
        self._limit = limit
        self._known = False
        self._local = local or local_share(limit)

    def acquire(self, weight: float, priority: Priority) -> float:
        """Take `weight` permits and return 0, or return the seconds to wait before asking again."""
        try:
            return self._database.run(lambda cursor: self._acquire(cursor, weight, priority))
        except DatabaseUnavailable:
            self._known = False
            return self._local.acquire(weight, priority)

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so long, in any process; the pace stays as it is."""
        self._local.pause(seconds)
        try:
            self._database.run(lambda cursor: self._pause(cursor, seconds))
        except DatabaseUnavailable:
            self._known = False

    def slow_down(self, retry_after_seconds: float | None) -> None:
        """Halve the pace and pause, for every process at once; refusals within a second count as one."""
        self._local.slow_down(retry_after_seconds)
        try:
            self._database.run(lambda cursor: self._slow_down(cursor, retry_after_seconds))
        except DatabaseUnavailable:
            self._known = False

    def _acquire(self, cursor: Cursor, weight: float, priority: Priority) -> float:
        self._make_known(cursor)
        cursor.execute(
            _ACQUIRE,
            {
                "name": self._limit.name,
                "weight": weight,
                "share": BURST_SHARE[priority],
                "recovery": RECOVERY_SECONDS,
            },
        )
        row = cursor.fetchone()
        if row is None:
            self._known = False
            return PAUSE_SECONDS
        return max(0.0, float(row[0]))

    def _slow_down(self, cursor: Cursor, retry_after_seconds: float | None) -> None:
        self._make_known(cursor)
        cursor.execute(_SLOW_DOWN, {"name": self._limit.name, "recovery": RECOVERY_SECONDS})
        self._pause(cursor, PAUSE_SECONDS if retry_after_seconds is None else retry_after_seconds)

    def _pause(self, cursor: Cursor, seconds: float) -> None:
        self._make_known(cursor)
        cursor.execute(_PAUSE, (seconds, self._limit.name))

    def _make_known(self, cursor: Cursor) -> None:
        if self._known:
            return
        cursor.execute(
            """
            INSERT INTO rate_budgets AS budget (name, rate_maximum, rate, burst)
            VALUES (%(name)s, %(rate)s, %(rate)s, %(burst)s)
            ON CONFLICT (name) DO UPDATE SET
                rate_maximum = excluded.rate_maximum, rate = least(budget.rate, excluded.rate_maximum),
                burst = excluded.burst
            WHERE (budget.rate_maximum, budget.burst) IS DISTINCT FROM (excluded.rate_maximum, excluded.burst)
            """,
            {"name": self._limit.name, "rate": self._limit.permits_per_second, "burst": self._limit.burst},
        )
        self._known = True


class ConnectionSlots:
    """A venue's limit on connections, for all processes: a slot is an advisory lock, so it is free again
    the moment that its process dies. Lower priorities may use only their share, as of a burst.
    """

    def __init__(self, database: Database, name: str, maximum: int) -> None:
        """`database` is a connection that stays open for as long as the slot is held."""
        self._database = database
        self._name = name
        self._maximum = maximum

    def take(self, priority: Priority) -> int:
        """Hold a slot until the database connection closes, and return its number.

        Raises:
            RateLimited: all that this priority may use are taken.
        """
        usable = max(1, int(self._maximum * BURST_SHARE[priority]))
        slot = self._database.run(lambda cursor: self._take(cursor, usable))
        if slot is None:
            raise RateLimited(
                f"all {usable} of the {self._maximum} connections of {self._name} that this job may use are taken: "
                "wait for another job to end",
                after_seconds=SLOT_WAIT_SECONDS,
            )
        return slot

    def _take(self, cursor: Cursor, usable: int) -> int | None:
        cursor.execute(
            """
            SELECT slot FROM generate_series(1, %(usable)s) AS slot
            WHERE pg_try_advisory_lock(hashtext(%(name)s), slot) LIMIT 1
            """,
            {"usable": usable, "name": self._name},
        )
        row = cursor.fetchone()
        return int(row[0]) if row else None
