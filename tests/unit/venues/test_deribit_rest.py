"""What is sent to Deribit, and what a user is told, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import ConfigInvalid, ParseFailure, RequestRejected, WindowMismatch
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.venues.deribit.rest import DeribitRest
from tests.support.deribit_answers import LONG_AFTER, MINUTE, OPTION, PERPETUAL, START_MS, STEP_MS, good, window
from tests.support.granting import Budget, NoLog
from tests.support.scripted_server import ScriptedServer, http_answer

NOT_FOUND = http_answer(
    400,
    b'{"error":{"code":-32602,"message":"Invalid params",'
    b'"data":{"reason":"instrument not found","param":"instrument_name"}}}',
)


class Venue:
    """The venue's methods against a scripted server, and what the server was asked."""

    def __init__(self, server: ScriptedServer, rest: DeribitRest, budget: Budget, instruments_budget: Budget) -> None:
        self.rest = rest
        self.budget = budget
        self.instruments_budget = instruments_budget
        self._server = server

    def asked(self) -> list[tuple[str, dict[str, str]]]:
        targets = [urlsplit(head.split()[1]) for head in self._server.requests]
        return [(target.path, dict(parse_qsl(target.query))) for target in targets]


@contextmanager
def venue(*script: bytes) -> Iterator[Venue]:
    budget, instruments_budget = Budget(), Budget()
    settings = HttpSettings(attempts_maximum=1)
    with (
        ScriptedServer(*script) as server,
        HttpClient(settings, "deribit", server.base_url, budget, NoLog(), Priority.BACKFILL) as client,
    ):
        yield Venue(server, DeribitRest(client, instruments_budget), budget, instruments_budget)


def result(value: Any, now: int | None = LONG_AFTER) -> bytes:
    envelope = {"jsonrpc": "2.0", "result": value} | ({} if now is None else {"usOut": now})
    return http_answer(200, orjson.dumps(envelope))


def test_candles_are_asked_for_so_that_both_ends_are_certain() -> None:
    with venue(result(good(4))) as deribit:
        answer = deribit.rest.candles("BTC-PERPETUAL", window(4), MINUTE)
        assert len(answer.rows) == 4
        assert deribit.asked() == [
            (
                "/api/v2/public/get_tradingview_chart_data",
                {
                    "instrument_name": "BTC-PERPETUAL",
                    "start_timestamp": str(START_MS - 1),
                    "end_timestamp": str(START_MS + 4 * STEP_MS - 1),
                    "resolution": "1",
                },
            )
        ]
        assert (deribit.budget.taken, deribit.instruments_budget.taken) == (1.0, 0.0)


def test_a_window_off_the_grid_holds_the_open_times_inside_it() -> None:
    odd = Window(window(4).start - 59_999_999, window(4).end - 1)
    with venue(result(good(4))) as deribit:
        assert len(deribit.rest.candles("BTC-PERPETUAL", odd, MINUTE).rows) == 4
        assert deribit.asked()[0][1]["start_timestamp"] == str(START_MS - 1)


def test_a_window_without_an_open_time_is_empty_and_asks_nothing() -> None:
    inside = Window(window(1).start + 1, window(1).start + 1_000)
    with venue(result(good(4))) as deribit:
        assert len(deribit.rest.candles("BTC-PERPETUAL", inside, MINUTE).rows) == 0
        assert deribit.asked() == []


def test_more_than_the_venue_would_answer_is_a_mistake_of_the_caller() -> None:
    with venue(result(good(4))) as deribit:
        with pytest.raises(ValueError, match="5001 candles of 1m in one request: at most 5000"):
            deribit.rest.candles("BTC-PERPETUAL", window(5001), MINUTE)
        assert deribit.asked() == []


def test_a_resolution_that_the_venue_lacks_is_refused_before_asking() -> None:
    with venue(result(good(4))) as deribit:
        with pytest.raises(ConfigInvalid, match="Deribit has no candles of 4h"):
            deribit.rest.candles("BTC-PERPETUAL", window(1000), Resolution(4 * 3600))
        assert deribit.asked() == []


def test_the_clock_of_the_venue_tells_which_candle_is_open() -> None:
    with venue(result(good(4), now=(START_MS + 3 * STEP_MS) * 1_000)) as deribit:
        assert len(deribit.rest.candles("BTC-PERPETUAL", window(4), MINUTE).rows) == 3


@pytest.mark.parametrize("venue_now", [None, LONG_AFTER * 100])
def test_without_a_clock_of_the_venue_or_with_one_that_is_ahead_ours_tells(venue_now: int | None) -> None:
    minute = 60_000_000
    this_minute = now_microseconds() // minute * minute
    recent = {**good(3), "ticks": [(this_minute + offset * minute) // 1_000 for offset in (-1, 60, 61)]}
    with venue(result(recent, now=venue_now)) as deribit:
        window_around = Window(this_minute - minute, this_minute + 62 * minute)
        answer = deribit.rest.candles("BTC-PERPETUAL", window_around, MINUTE)
        assert answer.rows.open_time.tolist() == [this_minute - minute]


def test_an_answer_for_another_window_is_not_believed() -> None:
    with venue(result(good(4))) as deribit, pytest.raises(WindowMismatch):
        deribit.rest.candles("BTC-PERPETUAL", Window(LONG_AFTER, LONG_AFTER + 600_000_000), MINUTE)


def test_lists_of_instruments_draw_from_their_own_budget_too() -> None:
    with venue(result([PERPETUAL, OPTION])) as deribit:
        assert len(deribit.rest.instruments("any")) == 2
        assert len(deribit.rest.instruments("BTC", "future", expired=True)) == 2
        assert deribit.asked() == [
            ("/api/v2/public/get_instruments", {"currency": "any", "expired": "false"}),
            ("/api/v2/public/get_instruments", {"currency": "BTC", "expired": "true", "kind": "future"}),
        ]
        assert (deribit.budget.taken, deribit.instruments_budget.taken) == (2.0, 2.0)


def test_one_instrument() -> None:
    with venue(result(PERPETUAL)) as deribit:
        assert deribit.rest.instrument("BTC-PERPETUAL").kind == "perpetual"
        assert deribit.asked() == [("/api/v2/public/get_instrument", {"instrument_name": "BTC-PERPETUAL"})]


def test_one_instrument_of_an_unknown_kind() -> None:
    with (
        venue(result({**PERPETUAL, "kind": "prediction"})) as deribit,
        pytest.raises(ParseFailure, match="what Deribit tells about 'X' cannot be understood"),
    ):
        deribit.rest.instrument("X")


def test_an_unknown_instrument_is_answered_with_names_written_alike() -> None:
    eth = {**PERPETUAL, "instrument_name": "ETH-PERPETUAL"}
    future = {**PERPETUAL, "instrument_name": "BTC-PERPETUA", "settlement_period": "week"}
    with venue(NOT_FOUND, result([eth, PERPETUAL, future])) as deribit:
        with pytest.raises(RequestRejected) as raised:
            deribit.rest.instrument("btc-perpetua")
        assert str(raised.value) == (
            "Deribit knows no instrument 'btc-perpetua': did you mean BTC-PERPETUAL or ETH-PERPETUAL? If not,"
            " type the name as Deribit writes it, such as BTC-PERPETUAL or ETH_USDC-PERPETUAL"
        )


@pytest.mark.parametrize("listing", [result([PERPETUAL]), http_answer(503), http_answer(200, b"not json")])
def test_without_names_written_alike_the_message_still_says_what_to_type(listing: bytes) -> None:
    with venue(NOT_FOUND, listing) as deribit, pytest.raises(RequestRejected) as raised:
        deribit.rest.instrument("XYZ")
    assert str(raised.value) == (
        "Deribit knows no instrument 'XYZ': type the name as Deribit writes it,"
        " such as BTC-PERPETUAL or ETH_USDC-PERPETUAL"
    )


def test_book_summaries() -> None:
    line = {"instrument_name": "A", "creation_timestamp": 1, "open_interest": 2.5, "mark_price": 3}
    with venue(result([line])) as deribit:
        (summary,) = deribit.rest.book_summaries("ETH", "option")
        assert (summary.instrument_name, summary.open_interest) == ("A", 2.5)
        assert deribit.asked() == [
            ("/api/v2/public/get_book_summary_by_currency", {"currency": "ETH", "kind": "option"})
        ]


def test_the_time_of_the_venue_in_microseconds() -> None:
    with venue(result(1766487086141)) as deribit:
        assert deribit.rest.server_time() == 1766487086141_000


@pytest.mark.parametrize("time", [None, "1766487086141", True, 1.5])
def test_a_time_that_is_none(time: object) -> None:
    with (
        venue(result(time)) as deribit,
        pytest.raises(ParseFailure, match="the time of Deribit should be a whole number of milliseconds, not"),
    ):
        deribit.rest.server_time()
