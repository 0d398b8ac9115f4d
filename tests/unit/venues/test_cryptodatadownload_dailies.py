"""Names of options, and their daily candles: what is read, and what can be believed."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, parse_moment
from tapekeeper.errors import ParseFailure, WindowMismatch
from tapekeeper.model.window import Window
from tapekeeper.venues.cryptodatadownload.dailies import FIELDS, parse_day, parse_days_of
from tapekeeper.venues.cryptodatadownload.listings import AvailableOptions
from tapekeeper.venues.cryptodatadownload.names import parse_option
from tests.support.cryptodatadownload_answers import CALL, DAY, MIDNIGHT, PUT, UNIX, row
from tests.support.payloads import recorded

DAY_BEFORE: dict[str, Any] = {"unix": UNIX - 86_400_000, "date": "2024-06-14"}


def moment(text: str) -> int:
    return parse_moment(text, now=0)


@pytest.mark.parametrize(
    ("name", "currency", "expiry", "strike", "option_type"),
    [
        ("ETH-7APR23-1800-C", "ETH", "2023-04-07T08:00Z", 1800.0, "call"),
        ("BTC-28MAR25-100000-P", "BTC", "2025-03-28T08:00Z", 100_000.0, "put"),
        ("XRP_USDC-10MAY24-0d45-P", "XRP_USDC", "2024-05-10T08:00Z", 0.45, "put"),
        ("MATIC_USDC-29FEB24-1d02-C", "MATIC_USDC", "2024-02-29T08:00Z", 1.02, "call"),
    ],
)
def test_a_name_tells_what_the_option_is(
    name: str, currency: str, expiry: str, strike: float, option_type: str
) -> None:
    option = parse_option(name, 17)
    assert option is not None
    assert (option.venue, option.name, option.kind, option.listed_at) == ("cryptodatadownload", name, "option", 17)
    assert (option.currency, option.expires_at, option.strike) == (currency, moment(expiry), strike)
    assert option.option_type == option_type


@pytest.mark.parametrize(
    "name",
    [
        "", "ETH-PERPETUAL", "ETH-7APR23-1800", "ETH-7APR23-1800-X", "ETH-07APR23-1800-C", "ETH-31APR23-1800-C",
        "ETH-29FEB23-1800-C", "ETH-7Apr23-1800-C", "ETH-7APR2023-1800-C", "ETH-7APR23-1.5-C", "ETH-7APR23-d5-C",
        "ETH-7APR23-5d-C", "-7APR23-1800-C", "ETH-7APR23-1800-C\n", "ETH-7APR23-٣-C",
    ],
)  # fmt: skip
def test_what_is_no_name_of_an_option_is_not_taken_for_one(name: str) -> None:
    assert parse_option(name, 0) is None


@given(st.text(max_size=30))
def test_no_name_breaks_the_reader(name: str) -> None:
    parse_option(name, 0)


def test_a_list_becomes_chains_and_what_cannot_be_understood_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    names = [CALL, PUT, PUT, "BTC-7APR23-20000-C", "ETH-99XXX24-1-C", 5]
    options = AvailableOptions({"result": names})
    assert options.names == {CALL, PUT, "BTC-7APR23-20000-C", "ETH-99XXX24-1-C"}
    assert options.names_of("ETH") == {CALL, PUT}
    assert not options.names_of("SOL")
    assert options.living_names(moment("2024-07-07T08:00Z")) == {CALL, "ETH-99XXX24-1-C"}
    assert options.left_out == 2
    assert caplog.messages == ["2 of 6 options of CryptoDataDownload cannot be understood"]
    bitcoin, ether = options.chains()["BTC"], options.chains()["ETH"]
    assert (ether.venue, ether.kind, ether.currency) == ("cryptodatadownload", "option_chain", "ETH")
    assert ether.listed_at == moment("2023-03-30")
    assert (bitcoin.expires_at, ether.expires_at) == (moment("2023-04-08"), moment("2024-12-28"))


@pytest.mark.parametrize("listed", [[], {}, {"result": 5}, {"result": []}])
def test_a_list_of_another_shape_is_bad_data(listed: object) -> None:
    with pytest.raises(ParseFailure, match="names in 'result'"):
        AvailableOptions(listed)


def test_a_day_comes_in_its_units_by_option() -> None:
    answer = parse_day([row(PUT, volume=2, close="0.4400"), row(CALL)], "ETH", DAY)
    candles = answer.rows
    assert answer.rejected == ()
    assert [option.name for option in candles.options] == [CALL, PUT]
    assert [option.listed_at for option in candles.options] == [MIDNIGHT, MIDNIGHT]
    assert candles.option.tolist() == [0, 1]
    assert candles.day.tolist() == candles.moments.tolist() == [MIDNIGHT, MIDNIGHT]
    assert candles.open_time.tolist() == [UNIX * 1_000, UNIX * 1_000]
    assert (candles.open.tolist(), candles.high.tolist()) == ([0.4425, 0.4425], [0.45, 0.45])
    assert (candles.low.tolist(), candles.close.tolist()) == ([0.44, 0.44], [0.4475, 0.44])
    assert candles.volume.tolist() == [1.5, 2.0]


def test_an_option_can_be_worth_nothing() -> None:
    worthless = row(open="0", high="0.0", low="0", close="0E-8", volume=0)
    assert parse_day([worthless], "ETH", DAY).rows.close.tolist() == [0.0]


def test_an_option_can_have_a_row_of_the_day_of_its_expiry() -> None:
    assert len(parse_day([row("ETH-15JUN24-1800-C")], "ETH", DAY).rows) == 1


def test_nothing_told_is_nothing() -> None:
    assert len(parse_day([], "ETH", DAY).rows) == 0
    assert len(parse_days_of([], CALL, DAY).rows) == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unix": str(UNIX)}, f"unix '{UNIX}' is no finite number"),
        ({"unix": UNIX - 86_400_000}, "unix 2024-06-14T08:00:00Z is not on the date 2024-06-15T00:00:00Z"),
        ({"date": "2024-6-15"}, "date '2024-6-15' is no date"),
        ({"date": "2024-W24-6"}, "date '2024-W24-6' is no date"),
        ({"date": 20240615}, "date 20240615 is no date"),
        ({"symbol": "ETH-PERPETUAL"}, "symbol 'ETH-PERPETUAL' is no name of an option"),
        (
            {"symbol": "ETH-14JUN24-1800-C"},
            "the option expired at 2024-06-14T08:00:00Z, before the day began",
        ),
        ({"symbol": None}, "symbol None is no name of an option"),
        ({"open": 0.4425}, "open 0.4425 is no finite number"),
        ({"high": "nan"}, "high 'nan' is no finite number"),
        ({"high": "0.4390"}, "high 0.439 is below low 0.44"),
        ({"close": "0.46"}, "close 0.46 is outside low 0.44 and high 0.45"),
        ({"low": "-0.1"}, "low -0.1 is below zero"),
        ({"volume": "1.5"}, "volume '1.5' is no finite number"),
        ({"volume": -1}, "volume -1.0 is below zero"),
        ({"volume": {"a": 1}}, "volume \"{'a': 1}\" is no finite number"),
    ],
)
def test_a_row_that_contradicts_itself_is_put_aside_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    answer = parse_day([row(PUT), {**row(CALL), **changes}], "ETH", DAY)
    assert [option.name for option in answer.rows.options] == [PUT]
    assert [rejected.reason for rejected in answer.rejected] == [reason]
    assert answer.rejected[0].row.keys() == set(FIELDS)
    assert answer.rejected[0].event_time == (None if "date" in changes else MIDNIGHT)


def test_equal_rows_are_one_and_a_second_that_differs_is_put_aside() -> None:
    answer = parse_day([row(), row(), row(volume=3), row(PUT)], "ETH", DAY)
    assert answer.rows.volume.tolist() == [1.5, 1.5]
    assert [rejected.row["volume"] for rejected in answer.rejected] == [3]
    assert answer.rejected[0].reason == "another row tells the same day of the same option differently"


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        (row(**DAY_BEFORE), "1 of 2 rows are of another day than 2024-06-15T00:00:00Z, such as 2024-06-14T00:00:00Z"),
        (row("BTC-7APR23-20000-C"), "1 of 2 rows are not of ETH, such as 'BTC-7APR23-20000-C'"),
        (row("ETH_USDC-7APR23-2000-C"), "not of ETH, such as 'ETH_USDC-7APR23-2000-C'"),
    ],
)
def test_rows_of_another_day_or_currency_answer_another_question(stray: dict[str, Any], words: str) -> None:
    with pytest.raises(WindowMismatch, match=re.escape(words)):
        parse_day([row(PUT), stray], "ETH", DAY)


@pytest.mark.parametrize("bad", [5, [], {}, {name: 0 for name in FIELDS if name != "volume"}])
def test_an_answer_of_another_shape_is_bad_data(bad: object) -> None:
    with pytest.raises(ParseFailure, match="a row should have unix, date, symbol"):
        parse_day([row(), bad], "ETH", DAY)


def test_of_one_option_the_days_of_the_window_are_returned_oldest_first() -> None:
    after: dict[str, Any] = {"unix": UNIX + 86_400_000, "date": "2024-06-16"}
    told = [row(**after), row(), row(**DAY_BEFORE), row(**DAY_BEFORE, volume=-1)]
    answer = parse_days_of(told, CALL, Window(DAY.start - MICROSECONDS_PER_DAY, DAY.end))
    assert answer.rows.day.tolist() == [MIDNIGHT - MICROSECONDS_PER_DAY, MIDNIGHT]
    assert len(answer.rejected) == 1
    assert [option.listed_at for option in answer.rows.options] == [MIDNIGHT - MICROSECONDS_PER_DAY]
    assert len(parse_days_of(told, CALL, DAY).rejected) == 0, "what is wrong with another day was not asked"
    with pytest.raises(WindowMismatch, match="1 of 2 rows are not of"):
        parse_days_of([row(), row(PUT)], CALL, DAY)


def test_a_recorded_row_is_understood() -> None:
    told = orjson.loads(recorded("cdd/ohlc_row_2024-06-16.json").read_bytes())
    day = Window(DAY.end, DAY.end + MICROSECONDS_PER_DAY)
    answer = parse_day([told], "ETH", day)
    assert answer.rejected == ()
    assert [option.name for option in answer.rows.options] == [CALL]
    assert (answer.rows.open_time.tolist(), answer.rows.day.tolist()) == ([(UNIX + 86_400_000) * 1_000], [day.start])
    assert (answer.rows.close.tolist(), answer.rows.volume.tolist()) == ([0.4425], [0.0])
