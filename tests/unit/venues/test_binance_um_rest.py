"""Binance's methods: what is asked, what comes of it, and what can be believed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import orjson
import pytest

from tapekeeper.errors import BadData, ConfigInvalid, InvariantBroken, ParseFailure, RequestRejected, WindowMismatch
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.settings import BinanceUmSettings, HttpSettings
from tapekeeper.venues.binance_um.klines import parse_klines
from tapekeeper.venues.binance_um.limits import CANDLES_PER_REQUEST, INTERVALS, parse_interval, weight_limit
from tapekeeper.venues.binance_um.rest import BinanceUmRest
from tests.support.binance_answers import LONG_AFTER, MINUTE, START_MS, STEP_MS, klines, symbol, window
from tests.support.granting import Budget, NoLog
from tests.support.payloads import recorded
from tests.support.scripted_server import ScriptedServer, http_answer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def venue(
    *script: Any, data_budget: Budget | None = None, funding_budget: Budget | None = None
) -> Iterator[tuple[BinanceUmRest, Budget, ScriptedServer]]:
    budget, answers = Budget(), [http_answer(200, orjson.dumps(body)) for body in script]
    with (
        ScriptedServer(*answers) as server,
        HttpClient(
            HttpSettings(attempts_maximum=1), "binance_um", server.base_url, budget, NoLog(), Priority.BACKFILL
        ) as client,
    ):
        yield BinanceUmRest(client, 2400, data_budget or Budget(), funding_budget or Budget()), budget, server


def test_candles_are_asked_for_at_the_best_price_and_come_in_their_units() -> None:
    with venue(klines(4)) as (rest, budget, server):
        candles = rest.candles("BTCUSDT", window(4), MINUTE).rows
        target = urlsplit(server.requests[0].split()[1])
        assert target.path == "/fapi/v1/klines"
        assert dict(parse_qsl(target.query)) == {
            "symbol": "BTCUSDT",
            "interval": "1m",
            "startTime": str(START_MS),
            "endTime": str(START_MS + 4 * STEP_MS - 1),
            "limit": "499",
        }
        assert budget.taken == 2.0
    assert candles.open_time.tolist() == [(START_MS + STEP_MS * minute) * 1_000 for minute in range(4)]
    assert candles.open.tolist() == [100.0, 101.0, 102.0, 103.0]
    assert candles.high.tolist() == [100.5, 101.5, 102.5, 103.5]
    assert candles.low.tolist() == [99.5, 100.5, 101.5, 102.5]
    assert candles.close.tolist() == [100.25, 101.25, 102.25, 103.25]
    assert candles.volume.tolist() == [0.0, 0.125, 0.25, 0.375]
    assert candles.cost.tolist() == [0.0, 10.0, 20.0, 30.0]
    assert candles.trade_count is not None
    assert candles.trade_count.tolist() == [0, 1, 2, 3]


def test_a_window_without_an_open_time_asks_nothing_and_one_too_long_is_refused() -> None:
    with venue([]) as (rest, budget, _):
        inside = Window(window(1).start + 1, window(1).start + 1_000)
        assert len(rest.candles("BTCUSDT", inside, MINUTE).rows) == 0
        with pytest.raises(ValueError, match="500 candles of 1m in one request: at most 499"):
            rest.candles("BTCUSDT", window(CANDLES_PER_REQUEST + 1), MINUTE)
        assert budget.taken == 0.0


def test_an_instrument_is_described_and_the_list_is_asked_for_once(caplog: pytest.LogCaptureFixture) -> None:
    delisted = symbol("LUNAUSDT", deliveryDate=1_652_428_800_000, status="SETTLING", filters=[])
    quarterly = symbol("BTCUSDT_241227", contractType="CURRENT_QUARTER", deliveryDate=1_735_286_400_000)
    dateless = symbol("SOONUSDT", onboardDate=0)
    listed = {"symbols": [symbol(), delisted, quarterly, dateless, "nonsense"]}
    with venue(listed) as (rest, budget, _):
        bitcoin, luna, future = (rest.instrument(name) for name in ("BTCUSDT", "LUNAUSDT", "BTCUSDT_241227"))
        assert budget.taken == 1.0
        assert rest.listing_parser.left_out == 2
    assert caplog.messages == ["2 of 5 instruments of Binance were left out: not dated, or not understood"]
    assert (bitcoin.venue, bitcoin.kind, bitcoin.currency, bitcoin.tick_size) == ("binance_um", "perpetual", "BTC", 0.1)
    assert (bitcoin.listed_at, bitcoin.expires_at) == (1_567_965_420_000_000, None)
    assert (luna.kind, luna.expires_at, luna.tick_size) == ("perpetual", 1_652_428_800_000_000, None)
    assert future.kind == "future"


def test_an_unknown_instrument_is_refused_with_those_that_are_written_alike() -> None:
    with (
        venue({"symbols": [symbol(), symbol("ETHUSDT")]}) as (rest, _, _server),
        pytest.raises(RequestRejected, match="no instrument 'btcusd': did you mean BTCUSDT"),
    ):
        rest.instrument("btcusd")


@pytest.mark.parametrize("listed", [[], {}, {"symbols": 5}])
def test_a_list_of_another_shape_is_bad_data(listed: object) -> None:
    with venue(listed) as (rest, _, _server), pytest.raises(ParseFailure, match="lacks 'symbols'"):
        rest.instruments()


def test_the_candle_that_is_still_open_is_left_out() -> None:
    now = (START_MS + 3 * STEP_MS + 1) * 1_000
    assert len(parse_klines(klines(4), window(4), MINUTE, now).rows) == 3


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (0, "1718452860000", "open_time '1718452860000' is no finite number"),
        (0, 1.5, "open_time 1.5 is no time in milliseconds"),
        (1, "nan", "open 'nan' is no finite number"),
        (2, "1e999", "high '1e999' is no finite number"),
        (2, "1_000", "high '1_000' is no finite number"),
        (2, 101.5, "high 101.5 is no finite number"),
        (2, "1.0", "high 1.0 is below low 100.5"),
        (4, "200", "close 200.0 is outside low 100.5 and high 101.5"),
        (5, "-1", "volume -1.0 is below zero"),
        (8, -1, "trades -1 is no count"),
        (8, 1.5, "trades 1.5 is no count"),
        (8, True, "trades True is no finite number"),
    ],
)
def test_a_row_that_contradicts_itself_is_put_aside_alone(field: int, value: object, reason: str) -> None:
    rows = klines(3)
    rows[1][field] = value
    answer = parse_klines(rows, window(3), MINUTE, LONG_AFTER)
    assert np.array_equal(answer.rows.open_time, np.array([START_MS, START_MS + 2 * STEP_MS]) * 1_000)
    (rejected,) = answer.rejected
    assert reason in rejected.reason
    assert list(rejected.row.values()) == rows[1]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ({"code": 0}, ParseFailure),
        ([[1, 2, 3]], ParseFailure),
        (klines(4)[::-1], InvariantBroken),
        (klines(9)[5:], WindowMismatch),
    ],
)
def test_an_answer_that_cannot_be_believed_as_a_whole_is_bad_data(rows: object, error: type[BadData]) -> None:
    with pytest.raises(error):
        parse_klines(rows, window(4), MINUTE, LONG_AFTER)


def test_no_candles_are_an_empty_answer() -> None:
    answer = parse_klines([], window(4), MINUTE, LONG_AFTER)
    assert (len(answer.rows), answer.rejected) == (0, ())


def test_what_was_recorded_is_understood() -> None:
    rows = orjson.loads(recorded("binance_nautilus/http_futures_market_klines.json").read_bytes())
    opened = rows[0][0] * 1_000
    week = Resolution(7 * 86_400)
    grid = Window(opened // week.microseconds * week.microseconds, opened + week.microseconds)
    with pytest.raises(WindowMismatch, match="multiple of 7d"):
        parse_klines(rows, grid, week, LONG_AFTER)  # weeks begin on Mondays there, which is no multiple of a week
    candles = parse_klines(rows, grid, MINUTE, LONG_AFTER).rows
    assert (candles.open[0], candles.volume[0], candles.cost[0]) == (0.0163479, 148976.11427815, 2434.19055334)


def test_intervals_are_typed_as_the_venue_writes_them() -> None:
    assert parse_interval(" 4h ") == Resolution(14_400)
    assert all(86_400 % each.seconds == 0 for each in INTERVALS.values())
    with pytest.raises(ConfigInvalid, match="'1w' is not an interval of Binance: type one of 1m, 3m"):
        parse_interval("1w")


@pytest.mark.parametrize("weight", [20, 2400, 6000])
def test_no_minute_can_take_more_than_the_venue_grants(weight: int) -> None:
    limit = weight_limit(BinanceUmSettings(weight_per_minute=weight))
    assert limit.permits_per_second * 60 + limit.burst <= weight * 1.001 + 1
    assert limit.permits_per_second * 60 >= 0.9 * weight
