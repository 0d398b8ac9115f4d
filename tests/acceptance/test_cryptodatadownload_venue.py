"""CryptoDataDownload against the simulator process: what comes back is the truth, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MILLISECOND, day_start
from tapekeeper.errors import AuthRejected, RateLimited, RequestRejected
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.option_candle import OptionCandles
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.store.rate_budgets import LocalRateBudget
from tapekeeper.venues.cryptodatadownload import rest as rest_module
from tapekeeper.venues.cryptodatadownload.rest import CryptoDataDownloadRest
from tests.support.granting import NoLog
from tests.support.simulator import Simulator

KEY: Final = "simulated-key"
FIRST: Final = date(2023, 3, 30)
QUARTER_DAY: Final = date(2024, 3, 28)
"""Many options live on the day before their quarter ends."""
LAST: Final = date(2024, 6, 16)
STORM: Final[list[dict[str, Any]]] = [
    {"kind": kind, "probability": 0.15, "service": "cryptodatadownload"}
    for kind in ("server_error", "cut", "truncated", "malformed", "number_forms", "duplicated_rows")
]
VALUES: Final = ("open", "high", "low", "close", "volume")
Row = tuple[str, int, float, float, float, float, float]


@contextmanager
def asking(simulator: Simulator, *, key: str | None = KEY, tries: int = 20) -> Iterator[CryptoDataDownloadRest]:
    budget = LocalRateBudget(RateLimit("cryptodatadownload.calls", permits_per_second=1_000, burst=1_000))
    settings = HttpSettings(timeout_seconds=20, attempts_maximum=tries, backoff_first_seconds=0.01)
    with HttpClient(settings, "cryptodatadownload", simulator.base_url, budget, NoLog(), Priority.BACKFILL) as client:
        yield CryptoDataDownloadRest(client, key)


def window(day: date, days: int = 1) -> Window:
    start = day_start(day)
    return Window(start, start + days * MICROSECONDS_PER_DAY)


def day_of_chain(rest: CryptoDataDownloadRest, currency: str, day: date) -> list[Row]:
    answer = rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, currency, window(day), Resolution(0))
    assert answer.rejected == ()
    return told(answer.rows)


def told(candles: OptionCandles) -> list[Row]:
    names = [candles.options[place].name for place in candles.option.tolist()]
    columns = [getattr(candles, name).tolist() for name in VALUES]
    times = (candles.open_time // MICROSECONDS_PER_MILLISECOND).tolist()
    return list(zip(names, times, *columns, strict=True))


def truth(simulator: Simulator, asked: Window, **which: str) -> list[Row]:
    start, end = (moment // MICROSECONDS_PER_MILLISECOND for moment in (asked.start, asked.end))
    columns = simulator.truth("cryptodatadownload/option_candles", start=start, end=end, **which)
    return list(zip(*(columns[name] for name in ("symbol", "time", *VALUES)), strict=True))


@pytest.mark.parametrize(
    ("currency", "day"), [("ETH", FIRST), ("BTC", QUARTER_DAY), ("XRP_USDC", date(2024, 5, 9)), ("ETH", LAST)]
)
def test_a_day_equals_the_truth_row_by_row(simulator: Simulator, currency: str, day: date) -> None:
    with asking(simulator) as rest:
        found = day_of_chain(rest, currency, day)
    assert found == truth(simulator, window(day), currency=currency)
    assert len(found) > 10


def test_a_day_of_many_pages_equals_the_truth(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "OPTION_ROWS_PER_PAGE", 50)
    before = simulator.state()["requests_total"]
    with asking(simulator) as rest:
        found = day_of_chain(rest, "ETH", QUARTER_DAY)
    assert found == truth(simulator, window(QUARTER_DAY), currency="ETH")
    assert len(found) > 100
    assert simulator.state()["requests_total"] - before == -(-len(found) // 50)


def test_through_a_storm_the_days_equal_the_truth(simulator: Simulator) -> None:
    simulator.set_faults(STORM)
    days = [QUARTER_DAY - timedelta(days=back) for back in range(8)]
    with asking(simulator) as rest:
        found = {day: day_of_chain(rest, "BTC", day) for day in days}
    simulator.clear_faults()
    assert found == {day: truth(simulator, window(day), currency="BTC") for day in days}


def test_beyond_the_history_there_is_nothing(simulator: Simulator) -> None:
    with asking(simulator) as rest:
        assert day_of_chain(rest, "ETH", LAST + timedelta(days=1)) == []


def test_the_list_becomes_chains_and_one_option_has_its_days(simulator: Simulator) -> None:
    with asking(simulator) as rest:
        names = rest.available("ETH")
        symbols = simulator.truth("cryptodatadownload/symbols", currency="ETH")
        assert names == set(symbols["symbol"])
        assert [chain.name for chain in rest.listing().instruments] == ["BTC", "ETH", "XRP_USDC"]
        with pytest.raises(RequestRejected, match="no options of 'DOGE': type a currency as it writes it, BTC or ETH"):
            rest.instrument("DOGE")
        pairs = zip(symbols["symbol"], symbols["has_data"], strict=True)
        name = next(name for name, has_data in pairs if has_data and "-28JUN24-" in name)
        asked = window(date(2024, 6, 3), days=4)
        found = told(rest.option_rows(name, asked).rows)
        assert found == truth(simulator, asked, symbol=name)
        assert found
        empty = next(name for name, data in zip(symbols["symbol"], symbols["has_data"], strict=True) if not data)
        assert told(rest.option_rows(empty, window(FIRST, days=500)).rows) == []


def test_a_wrong_key_is_refused_with_what_to_set(simulator: Simulator) -> None:
    with (
        asking(simulator, key="another-key") as rest,
        pytest.raises(AuthRejected, match=r"Invalid token\.; set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY") as caught,
    ):
        rest.instrument("ETH")
    assert "another-key" not in str(caught.value)


def test_the_hourly_window_gives_the_place_back_until_it_is_over(simulator: Simulator) -> None:
    simulator.set_cryptodatadownload_limits(calls=2, window_seconds=3_600)
    try:
        with asking(simulator, tries=1) as rest:
            for day in (FIRST, LAST):
                day_of_chain(rest, "XRP_USDC", day)
            with pytest.raises(RateLimited) as caught:
                day_of_chain(rest, "XRP_USDC", QUARTER_DAY)
    finally:
        simulator.set_cryptodatadownload_limits(calls=600, window_seconds=3_600)
    assert 3_000 < caught.value.after_seconds <= 3_600
