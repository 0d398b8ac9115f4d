"""What the simulator plants is found by the check that should find it, nothing else is, and repair brings it back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tapekeeper.clock import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    format_moment,
    now_microseconds,
    parse_moment,
)
from tapekeeper.model.backfill import Mode
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tests.support.desk import MINUTE, ONE_MINUTE, Desk, TradedOption
from tests.support.fault_plans import MINUTES_PER_DAY, CandleFaults, candle_faults
from tests.support.processes import wait_for
from tests.support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tapekeeper.model.quality import QualitySummary
    from tests.support.databases import Databases

CANDLES: Final = "deribit.perpetual_candles"
TRADES: Final = "deribit.option_trades"
BITCOIN, ETHER = "BTC-PERPETUAL", "ETH-PERPETUAL"
DAY: Final = MICROSECONDS_PER_DAY
SECOND: Final = MICROSECONDS_PER_SECOND
HOUR: Final = 3_600 * SECOND
LISTING: Final = parse_moment("2024-02-14", now=0)
"""The day on which PAXG_USDC-PERPETUAL is listed, which trades less than once in two days."""
MONDAY: Final = parse_moment("2024-03-04", now=0)
TWO_DAYS: Final = Window(MONDAY, MONDAY + 2 * DAY)
few: Final = settings(
    deadline=None,
    derandomize=True,
    max_examples=6,
    # Without shrinking, which would repair and check for minutes before it says what is wrong.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same few examples in every run, however slow the machine is."""


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A venue without limits: what is found depends on no pace."""
    with running_simulator("--limits", "off") as running:
        yield running


@pytest.fixture
def desk(database_url: str, simulator: Simulator) -> Desk:
    return Desk(database_url, simulator)


@pytest.fixture(scope="module")
def expired(simulator_process: Simulator) -> TradedOption:
    """An option whose days are all over."""
    return Desk("", simulator_process).option("expired")


def found(summary: QualitySummary) -> dict[tuple[str, str], int]:
    """Return what is not as it should be, by dataset and check; a check that could not be done fails at once."""
    assert [result.error for result in summary.results if result.error] == []
    return {(result.dataset, result.check): result.found for result in summary.results if result.found}


def holes_found(summary: QualitySummary) -> list[tuple[str, str, str]]:
    """Return instrument, start and end of every hole that gap_detection shows."""
    [result] = [result for result in summary.results if (result.check, result.dataset) == ("gap_detection", CANDLES)]
    return sorted((str(one["instrument"]), str(one["window_start"]), str(one["window_end"])) for one in result.sample)


def plant(simulator: Simulator, plans: Mapping[str, CandleFaults], start: int) -> None:
    simulator.set_faults([document for name, plan in plans.items() for document in plan.documents(name, start)])


def expected_findings(plans: Mapping[str, CandleFaults], start: int) -> dict[tuple[str, str], int]:
    """Return what the checks have to find after a backfill of whole days under these plans, and nothing else."""
    holes = [hole for plan in plans.values() for hole in plan.holes(start)]
    days = {(name, minute // MINUTES_PER_DAY) for name, plan in plans.items() for minute in plan.missing}
    wanted = {
        "gap_detection": len(holes),
        "long_gaps": sum(hole.end - hole.start > 5 * MINUTE for hole in holes),
        "row_counts": len(days),
        "ohlcv_sanity": sum(len(plan.quarantined) for plan in plans.values()),
    }
    return {(CANDLES, check): number for check, number in wanted.items() if number}


@few
@given(bitcoin=candle_faults(2 * MINUTES_PER_DAY), ether=candle_faults(2 * MINUTES_PER_DAY))
def test_whatever_is_planted_in_candles_is_found_repaired_or_proven_to_be_gone(
    databases: Databases, simulator: Simulator, bitcoin: CandleFaults, ether: CandleFaults
) -> None:
    plans = {BITCOIN: bitcoin, ETHER: ether}
    with databases.migrated() as url:
        desk = Desk(url, simulator)
        plant(simulator, plans, MONDAY)
        for name in plans:
            desk.backfill(name, TWO_DAYS)
        summary = desk.check(TWO_DAYS)
        assert found(summary) == expected_findings(plans, MONDAY)
        assert holes_found(summary) == sorted(
            (name, format_moment(hole.start), format_moment(hole.end))
            for name, plan in plans.items()
            for hole in plan.holes(MONDAY)
        )
        plant(simulator, {name: plan.healed() for name, plan in plans.items()}, MONDAY)
        desk.repair()
        desk.assert_proven()
        for name in plans:
            desk.assert_candles_are_true(name, TWO_DAYS)
        assert found(desk.check(TWO_DAYS)) == {}
        assert_nothing_is_left_to_do(desk)


steps: Final = st.lists(
    st.tuples(
        st.sampled_from(("backfill", "refresh", "spoil", "heal", "check", "repair")),
        st.tuples(st.integers(0, 2 * MINUTES_PER_DAY - 1), st.integers(1, 2 * MINUTES_PER_DAY)).map(
            lambda part: Window(
                MONDAY + part[0] * MINUTE, MONDAY + min(part[0] + part[1], 2 * MINUTES_PER_DAY) * MINUTE
            )
        ),
        candle_faults(2 * MINUTES_PER_DAY),
    ),
    min_size=4,
    max_size=9,
)


@few
@given(for_good=candle_faults(2 * MINUTES_PER_DAY), steps=steps)
def test_in_whatever_order_it_happens_the_end_is_the_truth(
    databases: Databases, simulator: Simulator, for_good: CandleFaults, steps: list[tuple[str, Window, CandleFaults]]
) -> None:
    """Windows that overlap, faults that come and go, gaps given up too early: what is followed is proven in the end."""
    with databases.migrated() as url:
        desk = Desk(url, simulator)
        plant(simulator, {BITCOIN: for_good.healed()}, MONDAY)
        for step, window, faults in steps:
            take_step(desk, step, window, replace(faults, lost=for_good.lost))
            desk.assert_account_is_true()
        plant(simulator, {BITCOIN: for_good.healed()}, MONDAY)
        for window in desk.followed():
            desk.backfill(BITCOIN, window)
        desk.check(TWO_DAYS)
        desk.repair()
        desk.assert_proven()
        for window in desk.followed():
            desk.assert_candles_are_true(BITCOIN, window)
        assert found(desk.check(TWO_DAYS)) == {}
        assert_nothing_is_left_to_do(desk)


def take_step(desk: Desk, step: str, window: Window, faults: CandleFaults) -> None:
    match step:
        case "backfill" | "refresh":
            desk.backfill(BITCOIN, window, mode=Mode.FULL_REFRESH if step == "refresh" else Mode.MISSING_ONLY)
        case "spoil" | "heal":
            plant(desk.simulator, {BITCOIN: faults if step == "spoil" else faults.healed()}, MONDAY)
        case "check":
            desk.check(TWO_DAYS)
        case "repair":
            desk.repair()


def assert_nothing_is_left_to_do(desk: Desk) -> None:
    """Check that a further repair asks the venue nothing and changes nothing."""
    before = desk.rows(_LEDGER), desk.simulator.state()["requests"]
    desk.repair()
    assert (desk.rows(_LEDGER), desk.simulator.state()["requests"]) == before


def test_nothing_is_reported_of_a_healthy_world(desk: Desk, expired: TradedOption) -> None:
    """A quiet market, a listing, an expiry, days that nobody follows, and a day that is not over."""
    wait_for(lambda: now_microseconds() % DAY < DAY - 60 * SECOND)
    today = now_microseconds() // DAY * DAY
    desk.backfill("PAXG_USDC-PERPETUAL", Window(LISTING - DAY, LISTING + 2 * DAY))
    for day in (0, 2):
        desk.backfill(ETHER, Window(MONDAY + day * DAY, MONDAY + (day + 1) * DAY))
    desk.backfill(BITCOIN, Window(today - DAY, now_microseconds()), keep_fresh=True)
    desk.collect_trades(expired.name, 1, expired.trades)
    living = desk.option("living")
    desk.collect_trades(living.name, 1, living.trades, goes_on=False)
    summary = desk.check("all")
    assert found(summary) == {}
    assert summary.is_green
    assert (summary.gaps_opened, summary.rows_quarantined) == (0, 0)
    desk.assert_proven()
    states = dict(desk.rows("SELECT state, count(*) FROM series_days WHERE dataset = %s GROUP BY 1", CANDLES))
    assert states == {"complete": 2 + 2 + 1, "running": 1}


def test_nothing_is_reported_of_weeks_of_busy_and_of_quiet_markets(desk: Desk) -> None:
    """Enough days to tell what is usual; PAXG_USDC-PERPETUAL trades less than once in two days, and is new."""
    three_weeks = Window(LISTING - 4 * DAY, LISTING + 17 * DAY)
    for name in (BITCOIN, "XRP_USDC-PERPETUAL", "PAXG_USDC-PERPETUAL"):
        for resolution in (ONE_MINUTE, Resolution(3_600), Resolution(86_400)):
            desk.backfill(name, three_weeks, resolution=resolution)
    summary = desk.check("all")
    assert found(summary) == {}
    checked = {result.check: result.checked for result in summary.results if result.dataset == CANDLES}
    assert checked["anomaly"] > 24
    assert checked["price_jump"] > 80_000
    assert checked["refetch"] > 20_000
    assert checked["resolution_agreement"] > 1_000


@few
@given(lost=st.frozensets(st.integers(1, 100), max_size=12), late=st.frozensets(st.integers(1, 100), max_size=30))
def test_whatever_is_missing_in_trades_is_found_repaired_or_proven_to_be_gone(
    databases: Databases,
    simulator: Simulator,
    expired: TradedOption,
    lost: frozenset[int],
    late: frozenset[int],
) -> None:
    held = sorted(set(range(1, 101)) - lost - late)
    with databases.migrated() as url:
        desk = Desk(url, simulator)
        plant_missing_trades(simulator, expired, lost | late)
        desk.collect_trades(expired.name, 1, 100)
        jumps = sum(later > earlier + 1 for earlier, later in itertools.pairwise(held))
        summary = desk.check("all")
        assert found(summary) == ({(TRADES, "trade_sequence"): jumps} if jumps else {})
        assert summary.gaps_opened == jumps
        plant_missing_trades(simulator, expired, lost)
        desk.repair()
        desk.assert_proven()
        desk.assert_trades_are_true(expired.name, held[0], held[-1])
        assert found(desk.check("all")) == {}
        assert_nothing_is_left_to_do(desk)


def plant_missing_trades(simulator: Simulator, option: TradedOption, numbers: frozenset[int]) -> None:
    simulator.set_faults([{"kind": "missing_trades", "instrument": option.name, "trade_seqs": sorted(numbers)}])


def test_trades_that_nobody_told_are_found_by_their_numbers_and_come_when_they_are_told(
    desk: Desk, expired: TradedOption
) -> None:
    desk.simulator.set_faults([{"kind": "missing_trades", "instrument": expired.name, "fraction": 0.1}])
    gone = desk.missing_trades(expired.name)
    held = sorted(set(range(1, expired.trades + 1)) - set(gone))
    jumps = sum(later > earlier + 1 for earlier, later in itertools.pairwise(held))
    assert jumps > 2
    desk.collect_trades(expired.name, 1, expired.trades)
    summary = desk.check("all")
    assert found(summary) == {(TRADES, "trade_sequence"): jumps}
    assert summary.gaps_opened == jumps
    assert found(desk.check("all")).keys() == {(TRADES, "row_counts")}, "what the ledger knows is red, and no jump"
    desk.simulator.clear_faults()
    desk.repair()
    desk.assert_proven()
    desk.assert_trades_are_true(expired.name, held[0], held[-1])
    assert found(desk.check("all")) == {}
    assert_nothing_is_left_to_do(desk)


def test_trades_that_the_venue_lacks_become_permanent_with_evidence(desk: Desk, expired: TradedOption) -> None:
    desk.simulator.set_faults([{"kind": "missing_trades", "instrument": expired.name, "trade_seqs": [7, 8, 30]}])
    desk.collect_trades(expired.name, 1, expired.trades)
    desk.check("all")
    desk.repair()
    desk.assert_proven()
    desk.assert_trades_are_true(expired.name, 1, expired.trades)
    gaps = desk.rows(
        "SELECT first_sequence, last_sequence, state, rows_missing, requests > 0, found_empty_at IS NOT NULL"
        " FROM data_gaps JOIN repair_receipts USING (gap_id) ORDER BY 1"
    )
    assert gaps == [(7, 8, "permanent", 2, True, True), (30, 30, "permanent", 1, True, True)]
    assert found(desk.check("all")) == {}
    assert_nothing_is_left_to_do(desk)


def test_a_trade_that_was_told_twice_with_another_time_is_a_duplicate(desk: Desk, expired: TradedOption) -> None:
    desk.simulator.set_faults([{"kind": "retold_trades", "instrument": expired.name, "trade_seqs": [5, 20]}])
    desk.collect_trades(expired.name, 1, expired.trades)
    assert found(desk.check("all")) == {(TRADES, "duplicates"): 2, (TRADES, "refetch"): 2}


def test_rows_that_come_twice_in_an_answer_are_held_once(desk: Desk, expired: TradedOption) -> None:
    desk.simulator.set_faults([{"kind": "duplicated_rows"}])
    desk.collect_trades(expired.name, 1, expired.trades)
    assert desk.backfill(BITCOIN, TWO_DAYS).state == "failed", "an answer that contradicts itself is no candle"
    assert found(desk.check("all")) == {
        (CANDLES, "gap_detection"): 1,
        (CANDLES, "long_gaps"): 1,
        (CANDLES, "row_counts"): 2,
    }
    desk.simulator.clear_faults()
    desk.repair()
    desk.assert_proven()
    desk.assert_candles_are_true(BITCOIN, TWO_DAYS)
    desk.assert_trades_are_true(expired.name, 1, expired.trades)
    assert found(desk.check("all")) == {}


def test_a_price_that_jumps_is_told_and_nothing_else(desk: Desk) -> None:
    jumps = [(MONDAY + minute * MINUTE) // 1_000 for minute in (77, 1_439, 2_000)]
    desk.simulator.set_faults([{"kind": "price_jump", "instrument": ETHER, "open_times": jumps}])
    for name in (BITCOIN, ETHER):
        desk.backfill(name, TWO_DAYS)
    summary = desk.check(TWO_DAYS)
    assert found(summary) == {(CANDLES, "price_jump"): 3}
    assert summary.is_green, "it may be the market"
    desk.simulator.clear_faults()
    assert found(desk.check(TWO_DAYS)) == {(CANDLES, "price_jump"): 3, (CANDLES, "refetch"): 3}, "it was not"


def test_wrong_volumes_are_found_by_longer_candles_and_a_full_refresh_makes_them_right(desk: Desk) -> None:
    """Hours are fetched from the venue before its minutes go wrong."""
    wrong = [(MONDAY + minute * MINUTE) // 1_000 for minute in (5, 65, 66, 2_000)]
    desk.backfill(BITCOIN, TWO_DAYS, resolution=Resolution(3_600))
    desk.simulator.set_faults([{"kind": "wrong_volume", "instrument": BITCOIN, "open_times": wrong}])
    desk.backfill(BITCOIN, TWO_DAYS)
    assert found(desk.check(TWO_DAYS)) == {(CANDLES, "resolution_agreement"): 3}
    desk.simulator.clear_faults()
    assert found(desk.check(TWO_DAYS)) == {(CANDLES, "resolution_agreement"): 3, (CANDLES, "refetch"): 4}
    assert desk.backfill(BITCOIN, TWO_DAYS, mode=Mode.FULL_REFRESH).rows.updated == len(wrong)
    desk.assert_candles_are_true(BITCOIN, TWO_DAYS)
    assert found(desk.check(TWO_DAYS)) == {}


def test_a_day_of_wrong_volumes_is_unlike_the_days_before_it(desk: Desk) -> None:
    ten_days, last = Window(MONDAY, MONDAY + 10 * DAY), Window(MONDAY + 9 * DAY, MONDAY + 10 * DAY)
    hour = {"start": (last.start + 3 * HOUR) // 1_000, "end": (last.start + 4 * HOUR) // 1_000, "fraction": 1.0}
    desk.simulator.set_faults([{"kind": "wrong_volume", "instrument": BITCOIN, "factor": 30.0, **hour}])
    for name in (BITCOIN, ETHER):
        desk.backfill(name, ten_days)
    summary = desk.check(last)
    assert found(summary) == {(CANDLES, "anomaly"): 1}
    assert summary.is_green, "it may be the market"


def test_a_row_that_contradicts_itself_goes_to_quarantine_and_the_right_one_comes_back(desk: Desk) -> None:
    desk.backfill(BITCOIN, TWO_DAYS)
    spoiled = desk.rows("UPDATE candles SET high = low - 1 WHERE open_time = '2024-03-05T12:34Z' RETURNING 1")
    assert len(spoiled) == 1
    summary = desk.check(TWO_DAYS)
    assert found(summary) == {(CANDLES, "ohlcv_sanity"): 1}
    assert summary.rows_quarantined == 1
    assert desk.rows("SELECT count(*) FROM data_gaps") == [(1,)]
    assert desk.rows("SELECT day::text, expected - held FROM series_days WHERE state = 'red'") == [("2024-03-05", 1)]
    desk.repair()
    desk.assert_proven()
    desk.assert_candles_are_true(BITCOIN, TWO_DAYS)
    assert found(desk.check(TWO_DAYS)) == {}


def test_what_comes_after_it_was_given_up_is_held_and_explained_no_longer(desk: Desk) -> None:
    faults = CandleFaults(left_out=frozenset(range(100, 160)))
    account = "SELECT sum(expected)::int, sum(held)::int, sum(explained)::int FROM series_days"
    plant(desk.simulator, {BITCOIN: faults}, MONDAY)
    desk.backfill(BITCOIN, TWO_DAYS)
    desk.check(TWO_DAYS)
    desk.repair()
    assert desk.rows(account) == [(2_880, 2_820, 60)]
    desk.assert_proven()
    desk.simulator.clear_faults()
    desk.backfill(BITCOIN, TWO_DAYS)
    assert desk.rows(account) == [(2_880, 2_880, 0)]
    desk.assert_candles_are_true(BITCOIN, TWO_DAYS)
    assert found(desk.check(TWO_DAYS)) == {}
    assert desk.rows("SELECT state FROM data_gaps") == [("permanent",)], "what was decided then stays told"


def test_the_example_of_the_page_on_completeness(desk: Desk) -> None:
    """docs/completeness.md tells these figures."""
    tuesday = Window(MONDAY + DAY, MONDAY + 2 * DAY)
    faults = CandleFaults(left_out=frozenset(range(250, 280)), lost=frozenset(range(1_020, 1_033)))
    days = "SELECT expected, held, explained, state FROM series_days"
    plant(desk.simulator, {ETHER: faults}, tuesday.start)
    desk.backfill(ETHER, tuesday)
    assert desk.rows(days) == [(1_440, 1_397, 0, "red")]
    summary = desk.check(tuesday)
    assert (summary.gaps_opened, desk.rows(days)) == (2, [(1_440, 1_397, 0, "red")])
    assert desk.check(tuesday).gaps_opened == 0, "what is recorded is not recorded again"
    plant(desk.simulator, {ETHER: faults.healed()}, tuesday.start)
    desk.repair()
    assert desk.rows(days) == [(1_440, 1_427, 13, "explained")]
    receipts = """
        SELECT state, missing, requests, rows_found, rows_missing, digest_before <> digest_after
        FROM data_gaps JOIN repair_receipts USING (gap_id) ORDER BY window_start
    """
    assert desk.rows(receipts) == [("repaired", 30, 1, 30, 0, True), ("permanent", 13, 2, 0, 13, False)]


_LEDGER: Final = """
    SELECT gap_id, state, attempts, closed_at, (SELECT count(*) FROM data_gap_events) FROM data_gaps ORDER BY gap_id
"""
