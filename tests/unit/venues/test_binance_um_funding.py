"""Funding of Binance: what is asked, when it was due, and what can be believed."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import orjson
import pytest

from tapekeeper.errors import BadData, InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
)
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.decisions import Reply
from tapekeeper.venues.binance_um.funding_history import FundingHistory
from tapekeeper.venues.binance_um.funding_rates import parse_funding_rates
from tapekeeper.venues.binance_um.funding_schedule import schedule_of
from tapekeeper.venues.binance_um.limits import FUNDING_LIMIT, FUNDING_RATES_PER_REQUEST
from tests.support.binance_answers import LONG_AFTER
from tests.support.granting import Budget
from tests.support.payloads import recorded
from tests.unit.simulator.binance import Binance
from tests.unit.simulator.venue import NOW
from tests.unit.venues.test_binance_um_rest import venue

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL: Final = Resolution(28_800)
STEP_MS: Final = 28_800_000
START_MS: Final = 1_718_409_600_000
"""2024-06-15 00:00 UTC."""
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR


def window(rates: int) -> Window:
    return Window(START_MS * 1_000, (START_MS + rates * STEP_MS) * 1_000)


def told(rates: int) -> list[dict[str, Any]]:
    """Return rates, each paid so many milliseconds late as there were before it."""
    return [
        {
            "symbol": "BTCUSDT",
            "fundingRate": f"{(rate - 1) / 10_000:.8f}",
            "fundingTime": START_MS + rate * STEP_MS + rate,
            "markPrice": f"{65_000 + rate}.50000000",
        }
        for rate in range(rates)
    ]


def parsed(rows: object, rates: int = 4, now: int = LONG_AFTER) -> Any:
    return parse_funding_rates(rows, "BTCUSDT", window(rates), INTERVAL, now)


def test_they_are_asked_for_in_a_pool_of_their_own_and_are_due_on_the_grid() -> None:
    pool = Budget()
    with venue(told(3), funding_budget=pool) as (rest, budget, server):
        rows = rest.funding_rates("BTCUSDT", window(3), INTERVAL).rows
        target = urlsplit(server.requests[0].split()[1])
        assert target.path == "/fapi/v1/fundingRate"
        assert dict(parse_qsl(target.query)) == {
            "symbol": "BTCUSDT",
            "startTime": str(START_MS),
            "endTime": str(START_MS + 2 * STEP_MS + 60_000),
            "limit": "1000",
        }
        assert (budget.taken, pool.taken) == (0.0, 1.0)
    assert rows.due_at.tolist() == [(START_MS + rate * STEP_MS) * 1_000 for rate in range(3)]
    assert rows.paid_at.tolist() == [(START_MS + rate * STEP_MS + rate) * 1_000 for rate in range(3)]
    assert rows.funding_rate.tolist() == [-0.0001, 0.0, 0.0001]
    assert rows.mark_price.tolist() == [65_000.5, 65_001.5, 65_002.5]


def test_the_pool_is_never_overrun() -> None:
    assert FUNDING_LIMIT.permits_per_second * 300 + FUNDING_LIMIT.burst <= 500
    assert FUNDING_LIMIT.permits_per_second * 300 >= 450


def test_a_window_without_a_payment_asks_nothing_and_one_too_long_is_refused() -> None:
    with venue([]) as (rest, _, server):
        inside = Window(window(1).start + 1, window(1).start + 1_000)
        assert len(rest.funding_rates("BTCUSDT", inside, INTERVAL).rows) == 0
        with pytest.raises(ValueError, match="1001 rates of 8h in one request: at most 1000"):
            rest.funding_rates("BTCUSDT", window(FUNDING_RATES_PER_REQUEST + 1), INTERVAL)
        assert server.requests == []


def test_each_dataset_is_asked_for_by_its_own_method() -> None:
    methods = {
        BINANCE_UM_CANDLES: "/fapi/v1/klines",
        BINANCE_UM_OPEN_INTEREST: "/futures/data/openInterestHist",
        BINANCE_UM_FUNDING_RATES: "/fapi/v1/fundingRate",
    }
    with venue([]) as (rest, _, server):
        for dataset in methods:
            rest.rows(dataset, "BTCUSDT", window(1), Resolution(3_600))
        with pytest.raises(ValueError, match="aggregate trades"):
            rest.rows(BINANCE_UM_AGG_TRADES, "BTCUSDT", window(1), Resolution(0))
        assert [urlsplit(request.split()[1]).path for request in server.requests] == [*methods.values()]


def test_a_mark_price_that_is_not_told_is_none() -> None:
    rows = told(3)
    rows[0]["markPrice"] = ""
    del rows[1]["markPrice"]
    answer = parsed(rows)
    assert (np.isnan(answer.rows.mark_price).tolist(), answer.rejected) == ([True, True, False], ())


def test_what_is_not_due_yet_is_left_out() -> None:
    assert len(parsed(told(4), now=(START_MS + 2 * STEP_MS) * 1_000).rows) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fundingRate": "high"}, "fundingRate 'high' is no finite number"),
        ({"markPrice": "nan"}, "markPrice 'nan' is no finite number"),
        ({"markPrice": "0"}, "mark_price 0.0 is not above zero"),
        ({"fundingTime": "soon"}, "fundingTime 'soon' is no finite number"),
        (
            {"fundingTime": START_MS + STEP_MS + 90_000},
            "paid at 2024-06-15T08:01:30Z, which is not near to a multiple of 8h",
        ),
    ],
)
def test_a_row_that_contradicts_itself_is_put_aside_alone(changes: dict[str, Any], reason: str) -> None:
    rows = told(3)
    rows[1] |= changes
    answer = parsed(rows)
    assert len(answer.rows) == 2
    (rejected,) = answer.rejected
    assert rejected.reason == reason
    time = rows[1]["fundingTime"]
    assert rejected.event_time == (time * 1_000 if isinstance(time, int) else None)


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ({"code": 0}, ParseFailure, "should come as a list"),
        ([5], ParseFailure, "should be about BTCUSDT"),
        ([{**told(1)[0], "symbol": "ETHUSDT"}], ParseFailure, "should be about BTCUSDT"),
        (told(4)[::-1], InvariantBroken, "do not ascend"),
        ([told(1)[0], {**told(1)[0], "fundingTime": START_MS + 12}], InvariantBroken, "do not ascend"),
        (told(9)[5:], WindowMismatch, "outside the asked window"),
        (
            [{**told(1)[0], "fundingTime": START_MS + STEP_MS // 2 + 7}],
            WindowMismatch,
            "no multiple of 8h: its interval seems to have changed",
        ),
    ],
)
def test_an_answer_that_cannot_be_believed_as_a_whole_is_bad_data(
    rows: object, error: type[BadData], words: str
) -> None:
    with pytest.raises(error, match=words):
        parsed(rows)


def test_what_was_recorded_is_understood() -> None:
    rows = orjson.loads(recorded("binance_nautilus/http_futures_market_funding_rate.json").read_bytes())
    first, last = rows[0]["fundingTime"] * 1_000, rows[-1]["fundingTime"] * 1_000
    answer = parse_funding_rates(rows, "BTCUSDT", Window(first, last + 1), INTERVAL, LONG_AFTER)
    assert (answer.rows.funding_rate.tolist(), answer.rejected) == ([-0.0375, 0.0001], ())
    assert (answer.rows.due_at == answer.rows.paid_at).all()
    assert np.isnan(answer.rows.mark_price).all()


def test_a_month_that_was_recorded_with_its_jitter_lies_on_the_grid() -> None:
    feather = pytest.importorskip("pyarrow.feather")
    table = feather.read_table(recorded("binance_freqtrade/XRP_USDT_USDT-8h-funding_rate.feather"))
    times = [int(time.value) // 1_000_000 for time in table["date"].to_pylist()]
    rates = [f"{rate:.8f}" for rate in table["open"].to_pylist()]
    rows = [
        {"symbol": "XRPUSDT", "fundingTime": time, "fundingRate": rate} for time, rate in zip(times, rates, strict=True)
    ]
    asked = Window(times[0] // STEP_MS * STEP_MS * 1_000, times[-1] * 1_000 + 1)
    answer = parse_funding_rates(rows, "XRPUSDT", asked, INTERVAL, LONG_AFTER)
    assert (len(answer.rows), answer.rejected) == (len(rows), ())
    assert set(np.diff(answer.rows.due_at).tolist()) == {INTERVAL.microseconds}
    assert 0 < (answer.rows.paid_at - answer.rows.due_at).max() < 1_000_000
    assert schedule_of(answer.rows.due_at, asked, Resolution(3_600)) == ((asked, INTERVAL),)


class Venue:
    """Asks a simulated Binance, and counts."""

    def __init__(self, binance: Binance, *faults: dict[str, Any], now: int = NOW) -> None:
        self._binance = binance
        self._faults = list(faults)
        self._now = now
        self.asked: list[str] = []

    def __call__(self, method: str, asked: Mapping[str, str | int]) -> Reply:
        self.asked.append(method)
        return Reply(self._binance.ask(f"fapi/v1/{method}", now=self._now, faults=self._faults, **asked), None)

    def instrument(self, symbol: str) -> Instrument:
        listed_at = self._binance.contract(symbol).onboard_at * 1_000
        return Instrument("binance_um", symbol, "perpetual", symbol.removesuffix("USDT"), listed_at, None, None)


@pytest.fixture(scope="module")
def binance() -> Binance:
    return Binance()


CHANGED_AT: Final = 1_697_529_600_000_000
"""2023-10-17 08:00 UTC: the simulated TRBUSDT pays every 4 hours from then on."""
LEFT_OUT: Final = {"kind": "left_out_rows", "fraction": 0.01}
OMITTED: Final = {"kind": "omitted_periods", "dataset": "funding_rates", "fraction": 0.05}


@pytest.mark.parametrize("symbol", ["BTCUSDT", "TRBUSDT", "LPTUSDT", "MYXUSDT"])
def test_the_rates_of_a_schedule_are_all_that_were_paid(binance: Binance, symbol: str) -> None:
    venue = Venue(binance)
    instrument, history = venue.instrument(symbol), FundingHistory(venue)
    life = Window(instrument.listed_at, NOW * 1_000)
    truth = binance.data.funding.between(binance.contract(symbol), 0, NOW, NOW)
    due, paid, points = [], [], 0
    for stretch, interval in history.schedule(instrument, life):
        points += stretch.grid_points(interval.microseconds)
        chunk = FUNDING_RATES_PER_REQUEST * interval.microseconds
        for start in range(stretch.start, stretch.end, chunk):
            rates = history.rates(symbol, Window(start, min(start + chunk, stretch.end)), interval).rows
            due += rates.due_at.tolist()
            paid += rates.paid_at.tolist()
    assert due == (truth.due * 1_000).tolist()
    assert paid == (truth.time * 1_000).tolist()
    assert points == len(due), "nothing is expected that was not paid"


def test_a_change_is_found_between_two_requests(binance: Binance) -> None:
    venue = Venue(binance)
    instrument = venue.instrument("TRBUSDT")
    around = Window(CHANGED_AT - 400 * DAY, CHANGED_AT + 100 * DAY)
    change = CHANGED_AT + 4 * HOUR
    assert FundingHistory(venue).schedule(instrument, around) == (
        (Window(around.start, change), INTERVAL),
        (Window(change, around.end), Resolution(14_400)),
    )
    assert venue.asked == ["fundingInfo", "fundingRate", "fundingRate"]
    history = FundingHistory(venue)
    with pytest.raises(WindowMismatch, match="its interval seems to have changed"):
        history.rates("TRBUSDT", Window(CHANGED_AT, CHANGED_AT + DAY), INTERVAL)


def test_one_empty_answer_is_not_believed(binance: Binance) -> None:
    whole, silent, empty = Venue(binance), Venue(binance, {"kind": "no_data"}), cycle([True, False])
    instrument = whole.instrument("TRBUSDT")
    life = Window(instrument.listed_at, CHANGED_AT + 30 * DAY)

    def ask(method: str, asked: Mapping[str, str | int]) -> Reply:
        return (silent if method == "fundingRate" and next(empty) else whole)(method, asked)

    assert FundingHistory(ask).schedule(instrument, life) == FundingHistory(whole).schedule(instrument, life)
    assert FundingHistory(silent).schedule(instrument, life) == ((life, Resolution(14_400)),)


@pytest.mark.parametrize("fault", [LEFT_OUT, OMITTED])
def test_a_schedule_is_the_same_with_holes(binance: Binance, fault: dict[str, Any]) -> None:
    whole, holed = Venue(binance), Venue(binance, fault)
    for symbol in ("BTCUSDT", "TRBUSDT", "MYXUSDT"):
        instrument = whole.instrument(symbol)
        life = Window(instrument.listed_at + 5 * DAY, NOW * 1_000)
        assert FundingHistory(holed).schedule(instrument, life) == FundingHistory(whole).schedule(instrument, life)


def test_nothing_is_told_of_the_time_before_the_first_payment_of_all(binance: Binance) -> None:
    venue = Venue(binance)
    instrument = venue.instrument("BTCUSDT")
    (stretch, interval), *others = FundingHistory(venue).schedule(
        instrument, Window(instrument.listed_at - DAY, instrument.listed_at + 30 * DAY)
    )
    first = -(-instrument.listed_at // INTERVAL.microseconds) * INTERVAL.microseconds
    assert (stretch, interval, others) == (Window(first, instrument.listed_at + 30 * DAY), INTERVAL, [])
    before = Window(instrument.listed_at, instrument.listed_at + HOUR)
    assert before.end < first
    assert FundingHistory(venue).schedule(instrument, before) == ()


def test_an_instrument_that_has_ended_and_one_that_has_not_paid_yet_have_an_interval(binance: Binance) -> None:
    venue = Venue(binance)
    ended = venue.instrument("SRMUSDT")
    last_month = Window(1_667_260_800_000_000, 1_669_629_600_000_000)
    assert FundingHistory(venue).schedule(ended, last_month) == ((last_month, INTERVAL),)
    new = venue.instrument("MYXUSDT")
    early = Venue(binance, now=new.listed_at // 1_000 + 60_000)
    first_hour = Window(new.listed_at, new.listed_at + HOUR)
    assert FundingHistory(early).schedule(new, first_hour) == ((first_hour, Resolution(3_600)),)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({}, "should come as a list"),
        ([5], "should have a symbol and a number of hours"),
        ([{"symbol": "BTCUSDT", "fundingIntervalHours": "8"}], "should have a symbol and a number of hours"),
        (
            [{"symbol": "BTCUSDT", "fundingIntervalHours": 3}],
            "pays funding every 3h, and only 1h, 2h, 4h, 8h are known",
        ),
    ],
)
def test_intervals_that_cannot_be_understood_are_bad_data(binance: Binance, info: object, words: str) -> None:
    instrument = Venue(binance).instrument("BTCUSDT")
    with pytest.raises(ParseFailure, match=words):
        FundingHistory(lambda method, asked: Reply(info, None)).schedule(instrument, window(3))


def test_payments_of_another_time_are_bad_data(binance: Binance) -> None:
    shifted = Venue(binance, {"kind": "wrong_window"})
    with pytest.raises(WindowMismatch, match="answered with other times"):
        FundingHistory(shifted).schedule(shifted.instrument("BTCUSDT"), window(30))
