"""Daily candles of options: names, pages, carried prices, and a throttle whose window slides."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest

from simulator.conditions import Conditions
from simulator.cryptodatadownload.answers import DailiesError, DailiesRequest, available, ohlc
from simulator.cryptodatadownload.dailies import OptionDailies
from simulator.cryptodatadownload.throttle import Throttle, refusal
from simulator.faults import parse_faults
from simulator.market import Market
from simulator.moments import DAY
from tests.unit.simulator.venue import SEED


@pytest.fixture(scope="module")
def dailies() -> OptionDailies:
    return OptionDailies(Market(SEED))


def asked(dailies: OptionDailies, *, faults: list[dict[str, Any]] | None = None, **query: Any) -> Any:
    parsed = parse_faults(orjson.dumps({"faults": faults or []}))
    text = {name: str(value) for name, value in query.items()}
    answer = asyncio.run(ohlc(DailiesRequest(dailies, text, Conditions(SEED, parsed))))
    return orjson.loads(orjson.dumps(answer))


def refused(dailies: OptionDailies, **query: Any) -> int:
    with pytest.raises(DailiesError) as caught:
        asked(dailies, **query)
    return caught.value.status


def test_a_row_has_prices_as_text_and_the_volume_as_a_number(dailies: OptionDailies) -> None:
    row = asked(dailies, currency="ETH", date="2024-03-05")["result"][0]
    assert row["unix"] == 1_709_625_600_000, "a day begins at 08:00"
    assert row["date"] == "2024-03-05"
    assert {type(row[name]) for name in ("open", "high", "low", "close")} == {str}
    assert isinstance(row["volume"], float)


def test_a_day_and_an_expiry_and_an_option_tell_the_same(dailies: OptionDailies) -> None:
    of_day = asked(dailies, currency="ETH", date="2024-03-05", limit=5_000)["result"]
    of_expiry = asked(dailies, currency="ETH", expiry="26APR24", limit=5_000)["result"]
    expected = [row for row in of_day if "-26APR24-" in row["symbol"]]
    assert expected
    assert [row for row in of_expiry if row["date"] == "2024-03-05"] == expected
    symbol = expected[0]["symbol"]
    assert asked(dailies, symbol=symbol)["result"] == [row for row in of_expiry if row["symbol"] == symbol]


def test_an_option_has_its_days_newest_first_and_prices_that_carry(dailies: OptionDailies) -> None:
    rows = asked(dailies, currency="BTC", expiry="31MAY24", limit=5_000)["result"]
    quiet = 0
    for newer, older in pairwise(rows):
        if newer["symbol"] != older["symbol"]:
            continue
        assert newer["unix"] == older["unix"] + DAY
        low, high = float(newer["low"]), float(newer["high"])
        assert (
            low
            <= min(float(newer["open"]), float(newer["close"]))
            <= max(float(newer["open"]), float(newer["close"]))
            <= high
        )
        if newer["volume"] == 0.0:
            quiet += 1
            assert {newer[name] for name in ("open", "high", "low", "close")} == {older["close"]}
    assert quiet > 20


def test_pages_join_to_the_whole(dailies: OptionDailies) -> None:
    whole = asked(dailies, currency="ETH", date="2024-03-05", limit=5_000)
    assert whole["pagination"]["has_more"] is False
    assert whole["pagination"]["next_offset"] is None
    rows: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page = asked(dailies, currency="ETH", date="2024-03-05", limit=50, offset=offset)
        assert len(page["result"]) <= 50
        rows += page["result"]
        offset = page["pagination"]["next_offset"]
        assert page["pagination"]["has_more"] == (offset is not None)
    assert rows == whole["result"]
    assert len(rows) > 100


def test_the_list_names_options_without_data(dailies: OptionDailies) -> None:
    names = asyncio.run(available(DailiesRequest(dailies, {}, Conditions(SEED))))["result"]
    assert isinstance(names, list)
    assert len(names) == len(set(names)) > 20_000
    assert any(name.startswith("XRP_USDC-") and "d" in name.split("-")[2] for name in names)
    assert any(name.split("-")[1] == "5APR24" for name in names)
    year = asyncio.run(available(DailiesRequest(dailies, {"year": "2025"}, Conditions(SEED))))["result"]
    assert isinstance(year, list)
    assert set(year) == {name for name in names if name.split("-")[1].endswith("25")}
    some = [name for name in names if "-5APR24-" in name and name.startswith("ETH-")]
    held = {row["symbol"] for row in asked(dailies, currency="ETH", expiry="5APR24", limit=5_000)["result"]}
    assert held < set(some)
    empty = next(name for name in some if name not in held)
    assert refused(dailies, symbol=empty) == 404


def test_what_is_not_held_is_404_and_what_makes_no_sense_400(dailies: OptionDailies) -> None:
    assert refused(dailies, currency="ETH", date="2023-03-29") == 404
    assert refused(dailies, currency="ETH", date="2024-06-17") == 404
    assert asked(dailies, currency="ETH", date="2023-03-30")["result"]
    assert asked(dailies, currency="ETH", date="2024-06-16")["result"]
    assert refused(dailies, currency="DOGE", date="2024-03-05") == 404
    assert refused(dailies, currency="ETH", expiry="05APR24") == 404, "days are not padded"
    assert refused(dailies, symbol="ETH-NOTHING") == 404
    assert refused(dailies) == refused(dailies, currency="ETH") == 400
    assert refused(dailies, currency="ETH", date="5 March") == 400
    assert refused(dailies, currency="ETH", date="2024-03-05", limit=0) == 400
    assert refused(dailies, currency="ETH", date="2024-03-05", offset="x") == 400


def test_faults_befall_rows(dailies: OptionDailies) -> None:
    plain = asked(dailies, currency="ETH", date="2024-03-05")["result"]
    less = asked(dailies, currency="ETH", date="2024-03-05", faults=[{"kind": "left_out_rows"}])["result"]
    assert less == plain[: len(plain) // 2] + plain[len(plain) // 2 + 1 :]
    moved = asked(dailies, currency="ETH", date="2024-03-05", faults=[{"kind": "wrong_window"}])["result"]
    assert {row["date"] for row in moved} == {"2024-03-04"}


def test_the_same_seed_makes_the_same_rows(dailies: OptionDailies) -> None:
    other = OptionDailies(Market(SEED))
    assert asked(other, currency="BTC", date="2023-11-11") == asked(dailies, currency="BTC", date="2023-11-11")


def test_the_window_of_the_throttle_slides() -> None:
    moments = iter((100.0, 110.0, 120.0, 130.0, 159.5, 160.0, 160.0, 170.0, 170.0))
    throttle = Throttle(lambda: next(moments), calls=3, window_seconds=60)
    assert [throttle.wait("key") for _ in range(8)] == [None, None, None, 30, 1, None, 10, None]
    assert throttle.wait("another key") is None
    assert (throttle.allowed, throttle.throttled) == (6, 3)


def test_a_refusal_has_the_words_of_the_service() -> None:
    assert refusal(2_815) == "Request was throttled. Expected available in 2815 seconds."
    assert refusal(1) == "Request was throttled. Expected available in 1 second."
