"""Trades over REST against the simulator process: every trade of the truth once, or an error that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests

from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.errors import RequestRejected, WindowMismatch
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.store.rate_budgets import LocalRateBudget
from tapekeeper.venues.deribit.rest import DeribitRest
from tapekeeper.venues.deribit.trades import TradeAnswer, VenueTrade
from tests.support.granting import NoLog
from tests.support.simulator import Simulator

NAME: Final = "ETH-PERPETUAL"
HOUR: Final = 3_600_000_000


@pytest.fixture
def rest(simulator: Simulator) -> Iterator[DeribitRest]:
    budget = LocalRateBudget(RateLimit("deribit.rest", permits_per_second=15, burst=30))
    settings = HttpSettings(timeout_seconds=10, attempts_maximum=2, backoff_first_seconds=0.01)
    with HttpClient(settings, "deribit", simulator.base_url, budget, NoLog(), Priority.LIVE) as client:
        yield DeribitRest(client, LocalRateBudget(RateLimit("deribit.get_instruments", 1, 20)))


Key = tuple[str, int, str, int, float, float, str]


def truth(simulator: Simulator, name: str, window: Window) -> list[Key]:
    """Return the trades that an instrument has in a window."""
    asked: dict[str, Any] = {"instrument": name, "start": window.start // 1_000, "end": window.end // 1_000}
    answer = requests.get(f"{simulator.base_url}/truth/trades", params=asked, timeout=30)
    answer.raise_for_status()
    told = answer.json()
    columns = ("trade_seq", "trade_id", "timestamp", "price", "amount", "direction")
    return [(name, *row) for row in zip(*(told[column] for column in columns), strict=True)]


def keys(answers: list[TradeAnswer]) -> list[Key]:
    assert all(answer.rejected == () for answer in answers)
    return [key(trade) for answer in answers for trade in answer.trades]


def key(trade: VenueTrade) -> Key:
    return (
        trade.instrument_name,
        trade.trade_seq,
        str(trade.trade_id),
        trade.timestamp,
        trade.price,
        trade.amount,
        trade.direction,
    )


def recent(hours: float) -> Window:
    """Return a window that ended a minute ago, on milliseconds."""
    end = (now_microseconds() - 60_000_000) // 1_000 * 1_000
    return Window(end - int(hours * HOUR), end)


@pytest.mark.parametrize("faults", [[], [{"kind": "number_forms"}]])
def test_trades_by_number_are_the_truth_over_several_pages(
    faults: list[dict[str, Any]], simulator: Simulator, rest: DeribitRest
) -> None:
    expected = truth(simulator, NAME, recent(22))
    assert len(expected) > 2_000
    simulator.set_faults(faults)
    answers = list(rest.trades_by_instrument(NAME, expected[0][1], expected[-1][1]))
    assert len(answers) == -(-len(expected) // 1_000)
    assert keys(answers) == expected


def test_trades_of_a_currency_are_the_truth_of_all_its_options(simulator: Simulator, rest: DeribitRest) -> None:
    # The currency with the fewest options, as each is asked for the truth by itself.
    window = recent(20)
    names = {option.name for expired in (False, True) for option in rest.instruments("USDC", "option", expired)}
    expected = [trade for name in names for trade in truth(simulator, name, window)]
    answers = list(rest.trades_by_currency("USDC", "option", window))
    assert len(answers) > 1
    assert sorted(keys(answers)) == sorted(expected)
    trade = answers[0].trades[0]
    row = trade.as_trade(3, 4)
    assert (row.instrument_id, row.received_at, row.event_time) == (3, 4, trade.timestamp * 1_000)
    assert row.trade_id.startswith("USDC-")
    rows = [trade.as_trade(3, 4) for answer in answers for trade in answer.trades]
    # What an option that nobody needs is worth may be nothing.
    for column in ("iv", "index_price", "mark_price"):
        told = [getattr(row, column) for row in rows]
        assert None not in told
        assert any(value > 0 for value in told)


def test_trades_of_perpetuals_share_milliseconds_at_the_edges_of_pages(simulator: Simulator, rest: DeribitRest) -> None:
    window = recent(3)
    names = [future.name for future in rest.instruments("ETH", "future")]
    expected = [trade for name in names for trade in truth(simulator, name, window)]
    times = sorted(trade[3] for trade in expected)
    assert len(set(times)) < len(times)
    assert sorted(keys(list(rest.trades_by_currency("ETH", "future", window)))) == sorted(expected)


def test_more_than_a_day_back_is_refused_before_the_venue_is_silent(simulator: Simulator, rest: DeribitRest) -> None:
    before = simulator.state()
    window = Window(now_microseconds() - MICROSECONDS_PER_DAY - HOUR, now_microseconds())
    with pytest.raises(ValueError, match="ask by instrument"):
        rest.trades_by_currency("ETH", "option", window)
    assert simulator.state()["requests"] == before["requests"]


def test_the_newest_trade_is_the_last_of_the_truth(simulator: Simulator, rest: DeribitRest) -> None:
    start = now_microseconds() // 1_000 * 1_000
    newest = rest.last_trade(NAME)
    assert newest is not None
    until_asked = truth(simulator, NAME, Window(start - HOUR, start))
    until_told = truth(simulator, NAME, Window(start - HOUR, now_microseconds() + 1_000))
    assert key(newest) in until_told[len(until_asked) - 1 :]


def test_trades_of_an_expired_option(simulator: Simulator, rest: DeribitRest) -> None:
    expired = rest.instruments("ETH", "option", expired=True)
    newest = next(trade for trade in (rest.last_trade(option.name) for option in expired) if trade is not None)
    found = keys(list(rest.trades_by_instrument(newest.instrument_name, 1, newest.trade_seq)))
    assert [trade[1] for trade in found] == list(range(1, newest.trade_seq + 1))
    life = next(option for option in expired if option.name == newest.instrument_name)
    assert found == truth(simulator, life.name, Window(life.listed_at, now_microseconds()))


def test_trades_of_another_window_are_not_believed(simulator: Simulator, rest: DeribitRest) -> None:
    simulator.set_faults([{"kind": "wrong_window", "shift": -2 * HOUR // 1_000}])
    with pytest.raises(WindowMismatch, match="were answered with trade"):
        list(rest.trades_by_currency("ETH", "option", recent(1)))


def test_an_unknown_instrument(rest: DeribitRest) -> None:
    with pytest.raises(RequestRejected, match="deribit refuses public/get_last_trades_by_instrument with HTTP 400"):
        rest.last_trade("ETH-PERP")
