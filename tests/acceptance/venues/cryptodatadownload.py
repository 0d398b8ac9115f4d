"""CryptoDataDownload: daily candles of options, by the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tests.acceptance.venues.subject import (
    Followed,
    Lack,
    Refusal,
    Subject,
    Venue,
    WrongQuestion,
    held_in,
    milliseconds,
    rows_of,
)
from tests.support.truth import Row

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

OHLC: Final = "v1/data/ohlc/deribit/options"
WINDOW: Final = ("--start", "2024-03-01", "--end", "2024-03-11")
COMMAND: Final = ("backfill", "options", "--currency", "ETH", *WINDOW)
VALUES: Final = ("open", "high", "low", "close", "volume")
GENEROUS: Final = {"calls": 100_000, "window_seconds": 3_600}


def settings(simulator: Simulator) -> dict[str, str]:
    simulator.set_cryptodatadownload_limits(**GENEROUS)
    return {
        "TAPEKEEPER_CRYPTODATADOWNLOAD_URL": simulator.base_url,
        "TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY": "simulated-key",
        "TAPEKEEPER_CRYPTODATADOWNLOAD_CALLS_PER_HOUR": "100000",
    }


def truth(simulator: Simulator, followed: Followed) -> list[Row]:
    asked = {"currency": followed.instrument_name, **milliseconds(followed.window)}
    told = simulator.truth("cryptodatadownload/option_candles", **asked)
    return sorted(rows_of(told, ("time",), ("symbol", *VALUES)))


def lack(_: Simulator) -> Lack:
    # The same rows in the answer about a day and in the one about an option; how many of them lie between the first and
    # the last day of their options is the world's affair.
    fault = {"kind": "left_out_rows", "service": "cryptodatadownload", "method": OHLC, "fraction": 0.004}
    return Lack([fault], missing=1, command=COMMAND, is_all_that_is_missing=False)


def used_up(simulator: Simulator) -> None:
    simulator.set_cryptodatadownload_limits(calls=1, window_seconds=3_600)


def new_window(simulator: Simulator) -> None:
    simulator.set_cryptodatadownload_limits(**GENEROUS)


VENUE: Final = Venue(
    folder="cryptodatadownload",
    settings=settings,
    subjects=(
        Subject(
            dataset=CRYPTODATADOWNLOAD_OPTION_CANDLES,
            command=COMMAND,
            full_refresh=("--full-refresh",),
            held=held_in(
                """
                SELECT open_time, option.name, open, high, low, close, volume
                FROM option_candles
                JOIN series USING (series_id)
                JOIN instruments AS option USING (instrument_id)
                WHERE option.currency = (
                        SELECT currency FROM instruments JOIN series USING (instrument_id) WHERE series_id = %s
                    )
                    AND day >= %s AND day < %s
                ORDER BY open_time, option.name COLLATE "C"
                """
            ),
            truth=truth,
            method=OHLC,
            service="cryptodatadownload",
            storm=(
                "server_error",
                "cut",
                "truncated",
                "malformed",
                "wrong_window",
                "duplicated_rows",
                "number_forms",
            ),
            lack=lack,
        ),
    ),
    wrong_questions=(
        WrongQuestion(
            ("backfill", "options", "--currency", "DOGE"),
            "has no options of 'DOGE': type a currency as it writes it, BTC or ETH",
        ),
        WrongQuestion(
            ("backfill", "options", "--currency", ","), "no instrument is chosen: choose at least one, such as ETH"
        ),
        WrongQuestion(("backfill", "options", "--currency", "ETH", "--start", "soon"), "type a UTC time such as"),
        WrongQuestion(
            ("backfill", "options", "--currency", "ETH"),
            "Invalid token.; set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY",
            {"TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY": "another-key"},
        ),
    ),
    refusal=Refusal(
        inflict=used_up,
        recover=new_window,
        status=429,
        long_command=("backfill", "options", "--currency", "ETH"),
        other_command=("backfill", "options", "--currency", "BTC"),
    ),
)
