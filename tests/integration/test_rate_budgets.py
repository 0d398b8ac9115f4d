"""One budget for all processes: the sum never exceeds it, the higher priority goes first, a refusal slows everybody."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tapekeeper.errors import RateLimited
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import (
    BURST_SHARE,
    SLOWEST_SHARE,
    ConnectionSlots,
    DatabaseRateBudget,
    LocalRateBudget,
    local_share,
)
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = RateLimit("test.rest", permits_per_second=50.0, burst=20)
FROZEN = RateLimit("test.frozen", permits_per_second=1e-6, burst=20)
"""So slow that time gives nothing back during a test: only the burst can be had."""
# Takes permits until told to stop by the end of its input, and prints when each was granted by the server's clock.
TAKER = """
import json, sys, time
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import DatabaseRateBudget
url, name, rate, burst, priority, count = sys.argv[1:]
database = Database(url)
budget = DatabaseRateBudget(database, RateLimit(name, float(rate), int(burst)))
granted = []
def clock(cursor):
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    return cursor.fetchone()[0]
while len(granted) < int(count):
    wait = budget.acquire(1, Priority[priority])
    if wait:
        time.sleep(wait)
    else:
        granted.append(database.run(clock))
print(json.dumps(granted))
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def start_taker(url: str, limit: RateLimit, priority: Priority, count: int) -> subprocess.Popen[str]:
    arguments = [url, limit.name, str(limit.permits_per_second), str(limit.burst), priority.name, str(count)]
    return subprocess.Popen([sys.executable, "-c", TAKER, *arguments], stdout=subprocess.PIPE, text=True)


def grants_of(taker: subprocess.Popen[str]) -> list[float]:
    output, _ = taker.communicate(timeout=120)
    assert taker.returncode == 0
    granted: list[float] = json.loads(output)
    return granted


def test_four_processes_together_never_exceed_the_budget(database_url: str) -> None:
    takers = [start_taker(database_url, LIMIT, Priority.LIVE, 40) for _ in range(4)]
    granted = sorted(moment for taker in takers for moment in grants_of(taker))
    assert len(granted) == 160
    # A grant is noted a little after it was given, so a span that holds n grants was at least this long.
    for first in range(len(granted)):
        for last in range(first + LIMIT.burst, len(granted)):
            shortest = (last - first + 1 - LIMIT.burst) / LIMIT.permits_per_second
            assert granted[last] - granted[first] > shortest - _NOTED_LATE_SECONDS


_NOTED_LATE_SECONDS = 0.5


def test_each_priority_leaves_room_for_the_higher_ones(database: Database) -> None:
    budget = DatabaseRateBudget(database, FROZEN)
    for priority in (Priority.BACKFILL, Priority.REPAIR, Priority.LIVE):
        while budget.acquire(1, priority) == 0:
            pass
        assert taken(database, FROZEN) == pytest.approx(FROZEN.burst * BURST_SHARE[priority], abs=0.01)
    assert budget.acquire(1, Priority.BACKFILL) > budget.acquire(1, Priority.LIVE) > 0


def test_a_lower_priority_that_is_busy_does_not_hold_a_higher_one_up(database_url: str, database: Database) -> None:
    busy = [start_taker(database_url, LIMIT, Priority.BACKFILL, 60) for _ in range(2)]
    live = DatabaseRateBudget(database, LIMIT)
    waits = [live.acquire(1, Priority.LIVE) for _ in range(5)]
    for taker in busy:
        assert len(grants_of(taker)) == 60
    assert waits == [0.0] * 5


def taken(database: Database, limit: RateLimit) -> float:
    def read(cursor: Any) -> float:
        cursor.execute(
            """
            SELECT extract(epoch FROM theoretical_arrival_time - clock_timestamp()) * rate
            FROM rate_budgets WHERE name = %s
            """,
            (limit.name,),
        )
        return float(cursor.fetchone()[0])

    return database.run(read)


def row(database: Database, column: str) -> float:
    def read(cursor: Any) -> float:
        cursor.execute(f"SELECT {column} FROM rate_budgets WHERE name = %s", (LIMIT.name,))
        return float(cursor.fetchone()[0])

    return database.run(read)


def test_a_refusal_halves_the_pace_and_pauses_every_process(database_url: str, database: Database) -> None:
    one = DatabaseRateBudget(database, LIMIT)
    with closing(Database(database_url)) as elsewhere:
        other = DatabaseRateBudget(elsewhere, LIMIT)
        assert other.acquire(1, Priority.LIVE) == 0
        one.slow_down(30.0)
        assert 25 < other.acquire(1, Priority.LIVE) <= 30
    assert row(database, "rate") == LIMIT.permits_per_second / 2
    one.slow_down(None)
    assert row(database, "rate") == LIMIT.permits_per_second / 2, "requests under way together are one refusal"


def test_a_pause_holds_for_every_process_and_changes_no_pace(database_url: str, database: Database) -> None:
    one = DatabaseRateBudget(database, LIMIT)
    one.pause(30.0)
    with closing(Database(database_url)) as elsewhere:
        assert 25 < DatabaseRateBudget(elsewhere, LIMIT).acquire(0, Priority.LIVE) <= 30
    assert row(database, "rate") == LIMIT.permits_per_second


def test_the_pace_recovers_with_time_and_has_a_floor(database: Database) -> None:
    budget = DatabaseRateBudget(database, LIMIT)
    for _ in range(20):
        budget.slow_down(0.0)
        database.run(
            lambda cursor: cursor.execute(
                "UPDATE rate_budgets SET rate_changed_at = rate_changed_at - interval '1.1 s'"
            )
        )
    slowest = LIMIT.permits_per_second * SLOWEST_SHARE
    assert slowest <= row(database, "rate") < slowest * 4
    database.run(
        lambda cursor: cursor.execute("UPDATE rate_budgets SET rate_changed_at = rate_changed_at - interval '10 min'")
    )
    budget.acquire(1, Priority.LIVE)
    assert taken(database, LIMIT) < 2, "one permit costs no more than at the full pace"
    budget.slow_down(None)
    assert row(database, "rate") == LIMIT.permits_per_second / 2


def test_a_changed_setting_reaches_the_row(database: Database) -> None:
    DatabaseRateBudget(database, LIMIT).acquire(1, Priority.LIVE)
    DatabaseRateBudget(database, RateLimit(LIMIT.name, 5.0, 7)).acquire(1, Priority.LIVE)
    assert (row(database, "rate_maximum"), row(database, "rate"), row(database, "burst")) == (5.0, 5.0, 7.0)


def test_with_the_database_away_a_quarter_of_the_pace_is_left() -> None:
    budget = DatabaseRateBudget(Database("postgresql://x@127.0.0.1:1/x"), FROZEN)
    granted = 0
    while budget.acquire(1, Priority.LIVE) == 0:
        granted += 1
    assert granted == FROZEN.burst // 4
    budget.slow_down(60.0)
    assert budget.acquire(1, Priority.LIVE) > 50


def test_the_local_bucket_honours_a_pause() -> None:
    budget = LocalRateBudget(LIMIT)
    assert budget.acquire(1, Priority.LIVE) == 0
    budget.slow_down(None)
    assert 0 < budget.acquire(1, Priority.LIVE) <= 1


def test_connection_slots_are_free_again_when_their_holder_dies(database_url: str) -> None:
    holders = [Database(database_url) for _ in range(4)]
    slots = [ConnectionSlots(holder, "test.connections", 4) for holder in holders]
    assert [slot.take(Priority.BACKFILL) for slot in slots[:2]] == [1, 2]
    with pytest.raises(RateLimited, match=r"all 2 of the 4 connections of test\.connections .* wait for another job"):
        slots[2].take(Priority.BACKFILL)
    assert slots[2].take(Priority.LIVE) == 3, "there is room left for the live job"
    holders[1].close()

    def free_again() -> bool:
        # The server notices a closed connection a moment later.
        try:
            return slots[3].take(Priority.BACKFILL) == 2
        except RateLimited:
            return False

    wait_for(free_again)
    for holder in holders:
        holder.close()


def test_the_threads_of_a_process_have_one_share_while_the_database_is_away() -> None:
    local = local_share(FROZEN)
    threads = [DatabaseRateBudget(Database("postgresql://nobody@127.0.0.1:1/none"), FROZEN, local) for _ in range(4)]
    granted = [budget.acquire(1, Priority.LIVE) == 0 for budget in threads for _ in range(4)]
    assert granted.count(True) == FROZEN.burst // 4
