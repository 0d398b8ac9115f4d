"""Open interest of Binance: what is asked, and what can be believed."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from tapekeeper.errors import BadData, ConfigInvalid, InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.limits import OPEN_INTEREST_PER_REQUEST, parse_period
from tapekeeper.venues.binance_um.open_interest import parse_open_interest
from tests.support.binance_answers import LONG_AFTER, START_MS
from tests.support.granting import Budget
from tests.support.payloads import recorded
from tests.unit.venues.test_binance_um_rest import venue

PERIOD = Resolution(300)
STEP_MS = 300_000


def window(points: int) -> Window:
    return Window(START_MS * 1_000, (START_MS + points * STEP_MS) * 1_000)


def told(points: int) -> list[dict[str, Any]]:
    return [
        {
            "symbol": "BTCUSDT",
            "sumOpenInterest": f"{20_000 + point}.50000000",
            "sumOpenInterestValue": f"{150_000_000 + point}.25000000",
            "timestamp": START_MS + point * STEP_MS,
        }
        for point in range(points)
    ]


def test_it_is_asked_for_outside_of_the_weights_and_comes_in_its_units() -> None:
    pool = Budget()
    with venue(told(3), data_budget=pool) as (rest, budget, server):
        rows = rest.open_interest("BTCUSDT", window(3), PERIOD).rows
        target = urlsplit(server.requests[0].split()[1])
        assert target.path == "/futures/data/openInterestHist"
        assert dict(parse_qsl(target.query)) == {
            "symbol": "BTCUSDT",
            "period": "5m",
            "startTime": str(START_MS),
            "endTime": str(START_MS + 3 * STEP_MS - 1),
            "limit": "500",
        }
        assert (budget.taken, pool.taken) == (0.0, 1.0)
    assert rows.event_time.tolist() == [(START_MS + point * STEP_MS) * 1_000 for point in range(3)]
    assert rows.open_interest.tolist() == [20_000.5, 20_001.5, 20_002.5]
    assert rows.open_interest_value.tolist() == [150_000_000.25, 150_000_001.25, 150_000_002.25]


def test_a_window_without_a_point_asks_nothing_and_one_too_long_is_refused() -> None:
    with venue([]) as (rest, _, server):
        inside = Window(window(1).start + 1, window(1).start + 1_000)
        assert len(rest.open_interest("BTCUSDT", inside, PERIOD).rows) == 0
        with pytest.raises(ValueError, match="501 points of 5m in one request: at most 500"):
            rest.open_interest("BTCUSDT", window(OPEN_INTEREST_PER_REQUEST + 1), PERIOD)
        assert server.requests == []


def test_a_period_that_the_venue_leaves_out_stays_missing_and_the_future_is_not_believed() -> None:
    rows = parse_open_interest(told(4)[:1] + told(4)[2:], "BTCUSDT", window(4), PERIOD, LONG_AFTER).rows
    assert len(rows) == 3
    now = (START_MS + STEP_MS) * 1_000
    assert len(parse_open_interest(told(4), "BTCUSDT", window(4), PERIOD, now).rows) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sumOpenInterest": "-1"}, "open_interest -1.0 is below zero"),
        ({"sumOpenInterestValue": "inf"}, "sumOpenInterestValue 'inf' is no finite number"),
        ({"sumOpenInterest": None}, "sumOpenInterest None is no finite number"),
        ({"timestamp": "soon"}, "timestamp 'soon' is no finite number"),
        ({"timestamp": "9" * 400}, "is no finite number"),
    ],
)
def test_a_row_that_contradicts_itself_is_put_aside_alone(changes: dict[str, Any], reason: str) -> None:
    rows = told(3)
    rows[1] |= changes
    answer = parse_open_interest(rows, "BTCUSDT", window(3), PERIOD, LONG_AFTER)
    assert len(answer.rows) == 2
    assert reason in answer.rejected[0].reason


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ({"code": 0}, ParseFailure),
        ([5], ParseFailure),
        ([{**told(1)[0], "symbol": "ETHUSDT"}], ParseFailure),
        (told(4)[::-1], InvariantBroken),
        (told(9)[5:], WindowMismatch),
        ([{**told(1)[0], "timestamp": START_MS + 1}], WindowMismatch),
    ],
)
def test_an_answer_that_cannot_be_believed_as_a_whole_is_bad_data(rows: object, error: type[BadData]) -> None:
    with pytest.raises(error):
        parse_open_interest(rows, "BTCUSDT", window(4), PERIOD, LONG_AFTER)


@pytest.mark.parametrize(
    "name",
    [
        "binance_nautilus/http_futures_market_open_interest_historical.json",
        "binance_vision/openInterestHist_BTCUSDT_5m_2021-03-22.json",
    ],
)
def test_what_was_recorded_is_understood(name: str) -> None:
    rows = orjson.loads(recorded(name).read_bytes())
    first, last = int(rows[0]["timestamp"]), int(rows[-1]["timestamp"])
    asked = Window(first * 1_000, (last + STEP_MS) * 1_000)
    answer = parse_open_interest(rows, rows[0]["symbol"], asked, PERIOD, LONG_AFTER)
    assert (len(answer.rows), answer.rejected) == (len(rows), ())
    assert answer.rows.open_interest[0] == float(rows[0]["sumOpenInterest"])


def test_periods_are_typed_as_the_venue_writes_them() -> None:
    assert parse_period("1h") == Resolution(3_600)
    with pytest.raises(ConfigInvalid, match="'1m' is not a period of Binance: type one of 5m, 15m"):
        parse_period("1m")
