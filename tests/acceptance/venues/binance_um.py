"""Binance USD-M futures: candles, open interest, aggregate trades, funding rates, all over REST."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
)
from tests.acceptance.venues.subject import (
    Fault,
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
    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
SKIPS: Final = {
    BINANCE_UM_CANDLES: "--skip-candles",
    BINANCE_UM_OPEN_INTEREST: "--skip-open-interest",
    BINANCE_UM_AGG_TRADES: "--skip-trades",
    BINANCE_UM_FUNDING_RATES: "--skip-funding",
}
CANDLE_VALUES: Final = ("open", "high", "low", "close", "volume", "quote_volume", "count")
TRADE_VALUES: Final = ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "is_buyer_maker")
BROKEN: Final = ("server_error", "cut", "truncated", "malformed", "wrong_window")


def settings(simulator: Simulator) -> dict[str, str]:
    simulator.set_binance_limits(weight=100_000, data_requests=100_000, funding_requests=100_000)
    return {
        "TAPEKEEPER_BINANCE_UM_REST_URL": simulator.base_url,
        "TAPEKEEPER_BINANCE_UM_WEIGHT_PER_MINUTE": "1000000",
        "TAPEKEEPER_BINANCE_ARCHIVE_URL": "",
    }


def command(dataset: Dataset, symbols: str, days: int) -> tuple[str, ...]:
    """Return what is typed to ask for one dataset alone."""
    skips = [skip for each, skip in SKIPS.items() if each != dataset]
    return ("backfill", "binance", "--symbol", symbols, "--window-days", str(days), *skips)


def yesterday() -> int:
    """Return when the last day began that is over, in milliseconds."""
    return int(time.time() * 1_000) // DAY * DAY - DAY


def true_candles(simulator: Simulator, followed: Followed) -> list[Row]:
    asked = {"symbol": followed.instrument_name, "interval": "1m", **milliseconds(followed.window)}
    return rows_of(simulator.truth("binance_um/klines", **asked), ("open_time",), CANDLE_VALUES)


def true_open_interest(simulator: Simulator, followed: Followed) -> list[Row]:
    asked = {"symbol": followed.instrument_name, "period": "5m", **milliseconds(followed.window)}
    told = simulator.truth("binance_um/open_interest", **asked)
    return rows_of(told, ("time",), ("open_interest", "open_interest_value"))


def true_agg_trades(simulator: Simulator, followed: Followed) -> list[Row]:
    asked = {"symbol": followed.instrument_name, **milliseconds(followed.window)}
    return rows_of(simulator.truth("binance_um/agg_trades", **asked), ("time",), TRADE_VALUES)


def true_funding_rates(simulator: Simulator, followed: Followed) -> list[Row]:
    asked = {"symbol": followed.instrument_name, **milliseconds(followed.window)}
    told = simulator.truth("binance_um/funding_rates", **asked)
    return rows_of(told, ("due", "time"), ("funding_rate", "mark_price"))


HELD_CANDLES: Final = held_in(
    """
    SELECT open_time, open, high, low, close, volume, cost, trade_count FROM candles
    WHERE series_id = %s AND open_time >= %s AND open_time < %s ORDER BY open_time
    """
)
HELD_OPEN_INTEREST: Final = held_in(
    """
    SELECT event_time, open_interest, open_interest_value FROM open_interest
    WHERE series_id = %s AND event_time >= %s AND event_time < %s ORDER BY event_time
    """
)
HELD_AGG_TRADES: Final = held_in(
    """
    SELECT event_time, agg_trade_id, price, quantity, first_trade_id, last_trade_id, is_buyer_maker FROM agg_trades
    WHERE instrument_id = (SELECT instrument_id FROM series WHERE series_id = %s) AND event_time >= %s
        AND event_time < %s
    ORDER BY agg_trade_id
    """
)
HELD_FUNDING_RATES: Final = held_in(
    """
    SELECT due_at, paid_at, funding_rate, mark_price FROM funding_rates
    WHERE series_id = %s AND due_at >= %s AND due_at < %s ORDER BY due_at
    """
)


def lacking_candles(_: Simulator) -> Lack:
    gone = [yesterday() + minute * 60_000 for minute in (700, 701, 900)]
    fault = {"kind": "missing_minutes", "instrument": "SOLUSDT", "open_times": gone}
    return Lack([fault], missing=3, command=command(BINANCE_UM_CANDLES, "SOLUSDT", 3))


def lacking_open_interest(_: Simulator) -> Lack:
    gone = [yesterday() + 300_000 * period for period in (100, 101, 102)]
    fault = {"kind": "omitted_periods", "dataset": "open_interest", "instrument": "BTCUSDT", "times": gone}
    # So busy that no period is left out because it was quiet.
    return Lack([fault], missing=3, command=command(BINANCE_UM_OPEN_INTEREST, "BTCUSDT", 3))


def lacking_agg_trades(simulator: Simulator) -> Lack:
    start = yesterday() + 12 * HOUR
    truth = simulator.truth("binance_um/agg_trades", symbol="SOLUSDT", start=start, end=start + 4 * HOUR)
    ids = truth["agg_trade_id"]
    fault = {"kind": "missing_trades", "instrument": "SOLUSDT", "trade_seqs": [*ids[3:6], ids[20]]}
    return Lack([fault], missing=4, command=command(BINANCE_UM_AGG_TRADES, "SOLUSDT", 2))


def lacking_funding_rates(_: Simulator) -> Lack:
    gone = [yesterday() - 2 * DAY, yesterday() - 5 * DAY + 16 * HOUR]
    fault = {"kind": "omitted_periods", "dataset": "funding_rates", "instrument": "SOLUSDT", "times": gone}
    return Lack([fault], missing=2, command=command(BINANCE_UM_FUNDING_RATES, "SOLUSDT", 20))


def subject(dataset: Dataset, symbols: str, days: int, rows_per_chunk: int, **parts: Any) -> Subject:
    return Subject(
        dataset=dataset,
        command=command(dataset, symbols, days),
        longer_command=command(dataset, symbols, days + 1),
        full_refresh=("--full-refresh",),
        service="binance_um",
        settings={"TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": str(rows_per_chunk)},
        **parts,
    )


def banned(simulator: Simulator) -> None:
    fault: Fault = {"kind": "too_many_requests", "service": "binance_um", "status": 418, "retry_after": 600}
    simulator.set_faults([fault])


def pardoned(simulator: Simulator) -> None:
    simulator.clear_faults()
    simulator.set_binance_limits(weight=100_000)


def wrong(answer: str, *arguments: str) -> WrongQuestion:
    return WrongQuestion(("backfill", "binance", *arguments), answer)


VENUE: Final = Venue(
    folder="binance_um",
    settings=settings,
    subjects=(
        subject(
            BINANCE_UM_CANDLES,
            "BTCUSDT,ETHUSDT",
            2,
            499,
            held=HELD_CANDLES,
            lag_seconds=120,
            truth=true_candles,
            method="fapi/v1/klines",
            storm=(*BROKEN, "bad_candle"),
            lack=lacking_candles,
        ),
        subject(
            BINANCE_UM_OPEN_INTEREST,
            "BTCUSDT,ETHUSDT",
            2,
            100,
            held=HELD_OPEN_INTEREST,
            lag_seconds=600,
            truth=true_open_interest,
            method="futures/data/openInterestHist",
            storm=BROKEN,
            lack=lacking_open_interest,
        ),
        subject(
            BINANCE_UM_AGG_TRADES,
            "BTCUSDT",
            1,
            120,
            held=HELD_AGG_TRADES,
            lag_seconds=180,
            truth=true_agg_trades,
            method="fapi/v1/aggTrades",
            storm=(*BROKEN, "duplicated_rows"),
            lack=lacking_agg_trades,
        ),
        subject(
            BINANCE_UM_FUNDING_RATES,
            "BTCUSDT",
            40,
            15,
            held=HELD_FUNDING_RATES,
            lag_seconds=60,
            truth=true_funding_rates,
            method="fapi/v1/fundingRate",
            storm=(*BROKEN, "duplicated_rows"),
            lack=lacking_funding_rates,
        ),
    ),
    wrong_questions=(
        wrong("knows no instrument 'BTCUSD': did you mean BTCUSDT", "--symbol", "BTCUSD"),
        wrong("'1w' is not an interval of Binance: type one of 1m, 3m", "--symbol", "BTCUSDT", "--interval", "1w"),
        wrong("no instrument is chosen: choose at least one, such as BTCUSDT", "--symbol", " "),
        wrong("is not in the range", "--symbol", "BTCUSDT", "--window-days", "0"),
        wrong("leave out one of the --skip options", "--symbol", "BTCUSDT", *SKIPS.values()),
    ),
    refusal=Refusal(
        inflict=banned,
        recover=pardoned,
        status=418,
        long_command=command(BINANCE_UM_CANDLES, "BTCUSDT", 365),
        other_command=command(BINANCE_UM_AGG_TRADES, "ETHUSDT", 1),
    ),
)
