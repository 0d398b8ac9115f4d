"""Repair against the simulated venue and a real database: what can be had comes, what cannot be had is proven."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tapekeeper.clock import parse_moment, to_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.gap import Cause, Sequences
from tapekeeper.model.quality import Hole
from tapekeeper.model.repair import RepairSummary
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.quality import ledger
from tapekeeper.repair import gap_repair
from tapekeeper.repair.job import RepairJob
from tapekeeper.repair.rows import fetch_rows
from tapekeeper.settings import HttpSettings, RepairSettings, Settings
from tapekeeper.store import coverage, gaps, outages
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import DatabaseRateBudget
from tapekeeper.store.trade_gaps import open_gap
from tapekeeper.venues.deribit.limits import rest_limit
from tests.support.candles import check_candle_account
from tests.support.command_line import environment
from tests.support.desk import Desk
from tests.support.processes import wait_for
from tests.support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.gap import Gap

BY = "test"
BITCOIN, ETHER = "BTC-PERPETUAL", "ETH-PERPETUAL"
TWO_DAYS = Window(parse_moment("2024-03-01", now=0), parse_moment("2024-03-03", now=0))
MINUTE = 60_000_000
RED = "SELECT count(*) FROM series_days WHERE state = 'red'"
REPAIR_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tapekeeper repair'"
REQUESTS = "SELECT count(*) FROM api_requests"


class Keeper:
    """One database, one venue, and a ledger of what is missing."""

    def __init__(self, desk: Desk, database: Database) -> None:
        self.desk = desk
        self.database = database

    def settings(self, repair: RepairSettings | None = None, **http: Any) -> Settings:
        """What the venue lacks twice is permanent, unless told."""
        settings = self.desk.settings
        changes: dict[str, object] = {} if repair is None else {"repair": repair}
        if http:
            changes["http"] = HttpSettings(**{**settings.http.model_dump(), **http})
        return settings.model_copy(update=changes)

    def repair(self, settings: Settings | None = None, gap_id: int | None = None) -> RepairSummary:
        with RepairJob(settings or self.settings()) as job:
            return job.repair_open(by=BY) if gap_id is None else job.repair(gap_id, by=BY)

    def holes(self, instrument: str, *parts: tuple[int, int]) -> list[Gap]:
        """Fetch two days without some minutes of them, and record the holes; then the venue has them again."""
        self.lack(instrument, *parts)
        self.desk.backfill(instrument, TWO_DAYS)
        self.desk.simulator.clear_faults()
        return self.recorded(instrument)

    def lack(self, instrument: str, *parts: tuple[int, int]) -> None:
        """Let the venue have no candles of some minutes."""
        open_times = [TWO_DAYS.start // 1_000 + minute * 60_000 for part in parts for minute in range(*part)]
        self.desk.simulator.set_faults(
            [{"kind": "missing_minutes", "instrument": instrument, "open_times": open_times}]
        )

    def recorded(self, instrument: str) -> list[Gap]:
        """Record what is missing of two days, and return all gaps that are open."""

        def work(cursor: Cursor) -> list[Gap]:
            cursor.execute(
                "SELECT series_id FROM series JOIN instruments USING (instrument_id) WHERE name = %s", (instrument,)
            )
            ((series_id,),) = cursor.fetchall()
            for window in coverage.missing_windows(cursor, series_id, TWO_DAYS, Resolution(60)):
                ledger.record_holes(cursor, [Hole(series_id, window, window.grid_points(MINUTE))], by=BY)
            return gaps.open_gaps(cursor, [series_id])

        return self.database.run(work)

    def one(self, sql: str, *parameters: object) -> Any:
        ((value,),) = self.desk.rows(sql, *parameters)
        return value

    def states(self) -> list[str]:
        return [state for (state,) in self.desk.rows("SELECT state FROM data_gaps ORDER BY gap_id")]

    def assert_true(self, *instruments: str) -> None:
        for instrument in instruments:
            self.desk.assert_candles_are_true(instrument, TWO_DAYS)
        self.database.run(check_candle_account)
        assert self.one(RED) == 0


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A venue without limits: how many requests there are depends on no pace."""
    with running_simulator("--limits", "off") as running:
        yield running


@pytest.fixture
def keeper(database_url: str, simulator: Simulator) -> Iterator[Keeper]:
    with closing(Database(database_url)) as database:
        yield Keeper(Desk(database_url, simulator), database)


WAITING = RepairSettings(permanent_after_hours=24, attempt_pause_minutes=15)


def test_what_the_venue_has_again_is_repaired_with_a_receipt_and_then_nothing_is_left_to_do(keeper: Keeper) -> None:
    """Holes at both ends, across midnight, of a minute, and of more than one request."""
    found = [
        *keeper.holes(BITCOIN, (0, 5), (700, 701), (1_430, 1_450), (2_870, 2_880)),
        *keeper.holes(ETHER, (100, 1_350)),
    ]
    before = keeper.one(REQUESTS)
    summary = keeper.repair()
    assert (summary.repaired, summary.permanent, summary.postponed, summary.left) == (5, 0, 0, 0)
    assert (summary.rows_found, summary.requests, summary.troubles) == (1_286, 6, ())
    keeper.assert_true(BITCOIN, ETHER)
    receipts = keeper.desk.rows(
        "SELECT requests, rows_found, rows_missing, digest_before <> digest_after FROM repair_receipts ORDER BY gap_id"
    )
    assert receipts == [(1 + (gap.missing > 1_000), gap.missing, 0, True) for gap in found]
    kept = "SELECT count(*) FROM api_requests WHERE run_id IS NULL AND series_id IS NOT NULL AND outcome = 'ok'"
    assert keeper.one(kept) == 6
    again = keeper.repair()
    assert (again.repaired, again.requests, again.skipped) == (0, 0, 0)
    assert keeper.one(REQUESTS) == before + 6
    with RepairJob(keeper.settings()) as job:
        assert not job.has_work()


def test_the_newest_day_comes_first_and_its_largest_gap(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (0, 50), (100, 110), (1_500, 1_501), (1_600, 1_620))
    first_two = keeper.settings(RepairSettings(permanent_after_hours=0, gaps_per_run=3))
    assert keeper.repair(first_two).left == 1
    repaired = keeper.desk.rows("SELECT missing FROM data_gaps WHERE state = 'repaired' ORDER BY closed_at")
    assert repaired == [(20,), (1,), (50,)]


def test_what_the_venue_lacks_twice_is_permanent_with_both_answers_as_evidence(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (10, 13), (1_435, 1_445))
    keeper.lack(BITCOIN, (10, 13), (1_435, 1_445))
    summary = keeper.repair()
    assert (summary.permanent, summary.repaired, summary.requests, summary.rows_found) == (2, 0, 4, 0)
    keeper.assert_true(BITCOIN)
    assert keeper.one("SELECT sum(explained) FROM coverage") == 13
    for (gap_id,) in keeper.desk.rows("SELECT gap_id FROM data_gaps"):
        empty_at = keeper.database.run(partial(gaps.events_of, gap_id=gap_id))[-1].evidence["found_empty_at"]
        assert isinstance(empty_at, list)
        assert len(empty_at) == 2
        assert empty_at[0] < empty_at[1]
        receipt = keeper.database.run(partial(gaps.receipt_of, gap_id=gap_id))
        assert receipt is not None
        assert (receipt.requests, receipt.rows_found) == (2, 0)
        assert receipt.digest_before == receipt.digest_after
    before = keeper.one(REQUESTS)
    assert keeper.repair().requests == 0
    assert keeper.recorded(BITCOIN) == [], "what is permanent is no hole again"
    assert keeper.one(REQUESTS) == before


def test_the_second_look_waits_a_day_and_the_day_stays_red_until_then(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (10, 20))
    keeper.lack(BITCOIN, (10, 20))
    settings = keeper.settings(WAITING)
    summary = keeper.repair(settings)
    assert (summary.postponed, summary.permanent, summary.troubles) == (1, 0, ())
    assert keeper.one("SELECT next_attempt_at - found_empty_at FROM data_gaps") == timedelta(hours=24)
    assert keeper.states() == ["classified"]
    assert keeper.one(RED) == 1
    assert keeper.repair(settings).requests == 0
    # A look by hand in between is none that is far enough from the first.
    keeper.repair(settings, keeper.one("SELECT gap_id FROM data_gaps"))
    assert keeper.one("SELECT next_attempt_at - found_empty_at FROM data_gaps") == timedelta(hours=24)
    day_later = """
        UPDATE data_gaps SET found_empty_at = found_empty_at - interval '24 hours',
            next_attempt_at = next_attempt_at - interval '24 hours'
        RETURNING found_empty_at
    """
    first_look = keeper.one(day_later)
    assert keeper.repair(settings).permanent == 1
    keeper.assert_true(BITCOIN)
    (closing_event,) = keeper.desk.rows("SELECT evidence FROM data_gap_events WHERE to_state = 'permanent'")
    assert closing_event[0]["found_empty_at"][0] == first_look.isoformat().replace("+00:00", "Z")
    assert keeper.one("SELECT requests FROM repair_receipts") == 3


def test_a_registered_outage_is_the_other_witness(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (10, 20), (30, 40))
    keeper.lack(BITCOIN, (10, 20), (30, 40))
    window = Window(TWO_DAYS.start, TWO_DAYS.start + 35 * MINUTE)

    def register(cursor: Cursor) -> None:
        outages.add_outage(
            cursor, venue="deribit", window=window, kind=Cause.VENUE_MAINTENANCE, source="announced", by=BY
        )
        ledger.classify_by_outages(cursor, by=BY)

    keeper.database.run(register)
    summary = keeper.repair(keeper.settings(WAITING))
    assert (summary.permanent, summary.postponed, summary.requests) == (1, 1, 2)
    assert keeper.desk.rows("SELECT state, cause FROM data_gaps ORDER BY gap_id") == [
        ("permanent", "venue_maintenance"),
        ("classified", "venue_maintenance"),
    ]
    keeper.database.run(check_candle_account)


def test_what_comes_is_kept_and_the_rest_stays(keeper: Keeper) -> None:
    (gap,) = keeper.holes(BITCOIN, (10, 20))
    keeper.lack(BITCOIN, (12, 15))
    settings = keeper.settings(WAITING)
    summary = keeper.repair(settings)
    assert (summary.postponed, summary.rows_found) == (1, 7)
    assert keeper.one("SELECT held FROM coverage ORDER BY day LIMIT 1") == 1_437
    keeper.database.run(check_candle_account)
    keeper.desk.simulator.clear_faults()
    summary = keeper.repair(settings, gap.gap_id)
    assert (summary.repaired, summary.rows_found) == (1, 3)
    assert keeper.desk.rows("SELECT requests, rows_found, rows_missing FROM repair_receipts") == [(2, 10, 0)]
    keeper.assert_true(BITCOIN)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "malformed"},
        {"kind": "wrong_window"},
        {"kind": "server_error"},
        {"kind": "cut"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_an_answer_that_is_none_costs_a_try_and_no_data(keeper: Keeper, fault: dict[str, Any]) -> None:
    (gap,) = keeper.holes(BITCOIN, (10, 20))
    keeper.desk.simulator.set_faults([fault])
    settings = keeper.settings(WAITING)
    summary = keeper.repair(settings)
    assert (summary.postponed, len(summary.troubles), summary.rows_found) == (1, 1, 0)
    waits = "SELECT attempts, found_empty_at, next_attempt_at > clock_timestamp() FROM data_gaps"
    assert keeper.desk.rows(waits) == [(1, None, True)]
    assert keeper.one("SELECT sum(held) FROM coverage") == 2_870
    assert keeper.repair(settings).requests == 0, "it waits"
    keeper.desk.simulator.clear_faults()
    assert keeper.repair(settings, gap.gap_id).repaired == 1
    keeper.assert_true(BITCOIN)


def test_rows_that_contradict_themselves_go_to_quarantine_and_prove_nothing(keeper: Keeper) -> None:
    (gap,) = keeper.holes(BITCOIN, (10, 20))
    bad = TWO_DAYS.start // 1_000 + 15 * 60_000
    keeper.desk.simulator.set_faults([{"kind": "bad_candle", "open_times": [bad]}])
    summary = keeper.repair()
    assert (summary.postponed, summary.permanent, summary.rows_found) == (1, 0, 9)
    assert "cannot be believed" in summary.troubles[0]
    assert keeper.one("SELECT count(*) FROM quarantine") == 1
    keeper.desk.simulator.clear_faults()
    assert keeper.repair(None, gap.gap_id).repaired == 1
    keeper.assert_true(BITCOIN)


def test_a_venue_that_is_away_is_not_asked_for_every_gap(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, *((minute, minute + 1) for minute in range(0, 100, 10)))
    keeper.desk.simulator.set_faults([{"kind": "server_error"}])
    summary = keeper.repair(keeper.settings(WAITING, attempts_maximum=1))
    assert (summary.postponed, summary.left, summary.requests) == (3, 10, 3)
    assert sorted(keeper.states()) == ["classified"] * 3 + ["open"] * 7


def test_a_gap_that_filled_itself_is_closed_without_asking(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (10, 20))
    keeper.desk.backfill(BITCOIN, TWO_DAYS)
    before = keeper.one(REQUESTS)
    summary = keeper.repair()
    assert (summary.repaired, summary.requests) == (1, 0)
    assert keeper.one(REQUESTS) == before
    assert keeper.desk.rows("SELECT requests, rows_found FROM repair_receipts") == [(0, 10)]


def test_two_at_once_do_no_gap_twice(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, *((minute, minute + 3) for minute in range(0, 400, 20)))
    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(lambda _: keeper.repair(), range(2)))
    assert sum(summary.repaired for summary in summaries) == 20
    assert sum(summary.requests for summary in summaries) == 20
    begun = "SELECT count(*), count(DISTINCT gap_id) FROM data_gap_events WHERE to_state = 'repairing'"
    assert keeper.desk.rows(begun) == [(20, 20)]
    keeper.assert_true(BITCOIN)


def test_a_repair_asks_where_a_backfill_has_to_wait(keeper: Keeper) -> None:
    """Of a burst of four a backfill may take two, a repair three; the last is for whoever records live."""
    keeper.holes(BITCOIN, (10, 20), (30, 31))
    settings = keeper.settings(WAITING)
    deribit = settings.deribit.model_copy(update={"requests_per_second": 0.001, "burst_requests": 4})
    scarce = settings.model_copy(update={"deribit": deribit})
    with closing(Database(keeper.desk.url)) as database:
        budget = DatabaseRateBudget(database, rest_limit(deribit))
        database.run(lambda cursor: cursor.execute("DELETE FROM rate_budgets"))
        while budget.acquire(1.0, Priority.BACKFILL) == 0:
            pass
    summary = keeper.repair(scarce)
    assert (summary.repaired, summary.postponed, summary.requests) == (1, 1, 1)
    assert "for our own rate budget" in summary.troubles[0]


KILLED = """
import os, sys
from tapekeeper.repair import gap_repair
from tapekeeper.repair.rows import fetch_rows
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import read_settings
with RepairJob(read_settings(os.environ)) as job:
    job.repair_open(by="killed")
"""


def test_killed_in_the_middle_it_is_taken_up_again(keeper: Keeper) -> None:
    (gap,) = keeper.holes(BITCOIN, (100, 1_400))
    # The first request is answered and written, the second never within this test.
    keeper.desk.simulator.set_faults([{"kind": "slow", "seconds": 600.0, "from_request": 2}])
    settings = {
        "TAPEKEEPER_DATABASE_URL": keeper.desk.url,
        "TAPEKEEPER_DERIBIT_REST_URL": keeper.desk.simulator.base_url,
        "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "1000",
        "TAPEKEEPER_HTTP_TIMEOUT_SECONDS": "300",
    }
    with subprocess.Popen([sys.executable, "-c", KILLED], env=environment(settings)) as process:
        wait_for(lambda: keeper.one("SELECT sum(held) FROM coverage") == 2_880 - 1_300 + 1_000)
        assert keeper.repair().skipped == 1, "whoever is alive keeps the gap"
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: keeper.one(REPAIR_CONNECTIONS) == 0)
    assert keeper.states() == ["repairing"]
    keeper.desk.simulator.clear_faults()
    assert keeper.repair().repaired == 1
    keeper.assert_true(BITCOIN)
    assert "whoever repaired it is gone" in [
        event.why for event in keeper.database.run(lambda cursor: gaps.events_of(cursor, gap.gap_id))
    ]


def test_what_is_closed_while_it_is_fetched_stays_closed(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person accepts a gap at the very moment that its rows arrive: they are kept, and explained no longer."""
    (gap,) = keeper.holes(BITCOIN, (10, 20))

    def accepted_meanwhile(*arguments: Any, **named: Any) -> Any:
        fetched = fetch_rows(*arguments, **named)
        keeper.database.run(lambda cursor: gaps.accept(cursor, gap.gap_id, by="A. Person", note="enough"))
        return fetched

    monkeypatch.setattr(gap_repair, "fetch_rows", accepted_meanwhile)
    assert keeper.repair().skipped == 1
    assert keeper.states() == ["accepted"]
    keeper.assert_true(BITCOIN)
    assert keeper.one("SELECT sum(explained) FROM coverage") == 0


def test_whoever_lost_his_connection_lost_the_gap_to_the_next(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock goes with the connection while the venue answers: another repair takes the gap, the first one stops."""
    keeper.holes(BITCOIN, (10, 20))
    others: list[RepairSummary] = []

    def cut_off(*arguments: Any, **named: Any) -> Any:
        fetched = fetch_rows(*arguments, **named)
        if not others:
            others.append(RepairSummary())
            keeper.desk.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tapekeeper repair'"
            )
            wait_for(lambda: keeper.one(REPAIR_CONNECTIONS) == 0)
            others.append(keeper.repair())
        return fetched

    monkeypatch.setattr(gap_repair, "fetch_rows", cut_off)
    summary = keeper.repair()
    assert (summary.skipped, summary.repaired, summary.left) == (1, 0, 0)
    assert others[-1].repaired == 1
    assert keeper.one("SELECT count(*) FROM repair_receipts") == 1
    keeper.assert_true(BITCOIN)


def test_whoever_stops_the_repair_gives_the_gap_back(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper.holes(BITCOIN, (10, 20))

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(gap_repair, "fetch_rows", stopped)
        with pytest.raises(KeyboardInterrupt):
            keeper.repair()
    assert keeper.states() == ["classified"]
    assert keeper.repair().repaired == 1


def test_an_instrument_that_the_venue_knows_no_longer_is_not_asked_for_all_the_time(keeper: Keeper) -> None:
    keeper.holes(BITCOIN, (10, 20))
    keeper.desk.rows("UPDATE instruments SET name = 'GONE-PERPETUAL' RETURNING 0")
    summary = keeper.repair(keeper.settings(WAITING))
    assert (summary.postponed, summary.permanent) == (1, 0)
    assert "gap 1 of GONE-PERPETUAL: deribit refuses public/get_tradingview_chart_data" in summary.troubles[0]
    waits = "SELECT found_empty_at, next_attempt_at > clock_timestamp() + interval '23 hours' FROM data_gaps"
    assert keeper.desk.rows(waits) == [(None, True)]


def test_a_gap_that_is_closed_or_unknown_is_not_repaired_by_hand(keeper: Keeper) -> None:
    (gap,) = keeper.holes(BITCOIN, (10, 20))
    keeper.repair()
    with pytest.raises(ConfigInvalid, match=f"gap {gap.gap_id} is repaired already"):
        keeper.repair(None, gap.gap_id)
    with pytest.raises(ConfigInvalid, match="there is no gap 4711"):
        keeper.repair(None, 4_711)


@pytest.fixture(params=["expired", "living"])
def trades(keeper: Keeper, request: pytest.FixtureRequest) -> tuple[str, int]:
    """An option of which two ranges of trades are missing and recorded, 31 to 60 and 71, and how many trades it has."""
    option = keeper.desk.option(request.param)
    for first, last in ((1, 30), (61, 70), (72, option.trades)):
        keeper.desk.collect_trades(option.name, first, last)

    def record(cursor: Cursor) -> None:
        cursor.execute("SELECT series_id FROM series WHERE dataset = 'deribit.option_trades'")
        ((series_id,),) = cursor.fetchall()
        cursor.execute("SELECT trade_seq, event_time FROM option_trades")
        times = {number: to_microseconds(moment) for number, moment in cursor.fetchall()}
        for first, last in ((31, 60), (71, 71)):
            window = Window(times[first - 1], times[last + 1] + 1)
            open_gap(cursor, series_id, window, Sequences(first, last), cause=Cause.DISCONNECT, by=BY, evidence={})

    keeper.database.run(record)
    return option.name, option.trades


def test_trades_are_asked_for_by_their_numbers(keeper: Keeper, trades: tuple[str, int]) -> None:
    name, count = trades
    summary = keeper.repair()
    assert (summary.repaired, summary.rows_found, summary.requests) == (2, 31, 2)
    keeper.desk.assert_trades_are_true(name, 1, count)
    keeper.desk.assert_proven()
    assert keeper.desk.rows("SELECT expected, held, explained FROM series_totals WHERE held > 0") == [(count, count, 0)]
    assert keeper.repair().requests == 0


def test_trades_that_the_venue_lacks_are_permanent_and_those_that_came_are_kept(
    keeper: Keeper, trades: tuple[str, int]
) -> None:
    name, count = trades
    keeper.desk.simulator.set_faults([{"kind": "missing_trades", "instrument": name, "trade_seqs": [40, 41, 71]}])
    settings = keeper.settings(RepairSettings(permanent_after_hours=24, attempt_pause_minutes=0))
    first = keeper.repair(settings)
    assert (first.postponed, first.rows_found) == (2, 28)
    totals = "SELECT expected, held, explained FROM series_totals WHERE held > 0"
    assert keeper.desk.rows(totals) == [(count, count - 3, 0)], "what came is expected once"
    summary = keeper.repair(keeper.settings(), keeper.one("SELECT min(gap_id) FROM data_gaps"))
    assert (summary.permanent, summary.rows_found) == (1, 0)
    assert keeper.desk.rows(totals) == [(count, count - 3, 2)]
    keeper.desk.assert_trades_are_true(name, 1, count)


def test_the_collector_has_a_head_start_with_what_it_lacks_itself(keeper: Keeper, trades: tuple[str, int]) -> None:
    patient = keeper.settings(RepairSettings(attempt_pause_minutes=15))
    with RepairJob(patient) as job:
        assert not job.has_work()
        keeper.desk.rows("UPDATE data_gaps SET opened_at = opened_at - interval '16 minutes' RETURNING 0")
        assert job.has_work()
