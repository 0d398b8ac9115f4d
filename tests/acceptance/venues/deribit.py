"""Deribit: perpetual candles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import parse_moment
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tests.acceptance.venues.subject import Followed, Lack, Subject, Venue, WrongQuestion, held_in
from tests.support.truth import Row, true_candles

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

CHART: Final = "public/get_tradingview_chart_data"
WINDOW: Final = ("--start", "2024-03-01", "--end", "2024-03-05")
BITCOIN: Final = "BTC-PERPETUAL"
COMMAND: Final = ("backfill", "perpetuals", "--instruments", "BTC-PERPETUAL,ETH-PERPETUAL", *WINDOW, "--json")


def settings(simulator: Simulator) -> dict[str, str]:
    return {
        "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "18",
    }


def truth(simulator: Simulator, followed: Followed) -> list[Row]:
    return true_candles(simulator, followed.instrument_name, followed.window)


def lack(_: Simulator) -> Lack:
    gone = [parse_moment(f"2024-03-02T10:0{minute}Z", now=0) // 1_000 for minute in (0, 1, 5)]
    fault = {"kind": "missing_minutes", "instrument": "BTC-PERPETUAL", "open_times": gone}
    return Lack([fault], missing=3, command=COMMAND)


def wrong(answer: str, instruments: str, *more: str) -> WrongQuestion:
    return WrongQuestion(("backfill", "perpetuals", "--instruments", instruments, *more), answer)


VENUE: Final = Venue(
    folder="deribit",
    settings=settings,
    subjects=(
        Subject(
            dataset=DERIBIT_PERPETUAL_CANDLES,
            command=COMMAND,
            full_refresh=("--mode", "full refresh"),
            held=held_in(
                """
                SELECT open_time, open, high, low, close, volume, cost FROM candles
                WHERE series_id = %s AND open_time >= %s AND open_time < %s ORDER BY open_time
                """
            ),
            truth=truth,
            method=CHART,
            service="deribit",
            storm=(
                "server_error",
                "cut",
                "truncated",
                "malformed",
                "wrong_window",
                "bad_candle",
                "too_many_requests",
                "number_forms",
            ),
            lack=lack,
            settings={"TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "1000"},
        ),
    ),
    wrong_questions=(
        wrong("knows no instrument 'BTC-PERPETUL': did you mean BTC-PERPETUAL", "BTC-PERPETUL", *WINDOW),
        wrong("knows no instrument '[/]'", "[/]", *WINDOW),
        wrong("choose an earlier start or a later end", BITCOIN, "--start", "2024-03-02", "--end", "2024-03-01"),
        wrong("is in the future", BITCOIN, "--start", "2024-03-02", "--end", "2999-01-01"),
        wrong("has no time zone", BITCOIN, "--start", "2024-03-01T10:00", "--end", "2024-03-02"),
        wrong("'7' is not a resolution of Deribit: type one of", BITCOIN, *WINDOW, "--resolution", "7"),
    ),
    refusal=None,
)
