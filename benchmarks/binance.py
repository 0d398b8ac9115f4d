"""The case `binance`: the command `tapekeeper backfill binance`, with the venue's weight as the bottleneck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import requests

from benchmarks.command import run_module
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.server import only_value
from benchmarks.venue import running_venue
from tapekeeper.model.series import BINANCE_UM_CANDLES
from tapekeeper.venues.binance_um.limits import CANDLES_PER_REQUEST, CANDLES_WEIGHT

if TYPE_CHECKING:
    from benchmarks.server import Server

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
WEIGHT_PER_MINUTE: Final = 2_400
LEAST_SHARE: Final = 0.9
_ANSWER_SECONDS: Final = 30.0
_WEIGHT: Final = "SELECT sum(weight) FROM api_requests WHERE run_id IS NOT NULL"
_LACKING: Final = """
    SELECT count(*) FROM coverage JOIN series USING (series_id)
    WHERE dataset = 'binance_um.candles' AND held <> expected
"""


def measure_binance(server: Server, *, days: int, seed: int, say: Say) -> Report:
    """Return how much of the weight that the venue grants is used, and what comes of it."""
    with running_venue(seed) as venue, server.database() as url:
        say(f"binance: {days} days of {' and '.join(SYMBOLS)} at {WEIGHT_PER_MINUTE} of weight a minute")
        settings = {
            "TAPEKEEPER_DATABASE_URL": url,
            "TAPEKEEPER_BINANCE_UM_REST_URL": venue.url,
            "TAPEKEEPER_BINANCE_ARCHIVE_URL": "",
            "TAPEKEEPER_BINANCE_UM_WEIGHT_PER_MINUTE": str(WEIGHT_PER_MINUTE),
        }
        arguments = ["backfill", "binance", "--symbol", ",".join(SYMBOLS), "--window-days", str(days), "--skip-trades"]
        finished = run_module("tapekeeper", arguments, settings)
        refused = requests.get(f"{venue.url}/control/state", timeout=_ANSWER_SECONDS).json()["binance_um"]["refused"]
        weight = float(only_value(url, _WEIGHT))
        if only_value(url, _LACKING):
            raise AssertionError("there are candles missing")
    totals = finished.result["totals"]
    # Open interest and funding rates lie outside of the weights, and are fetched after the candles.
    granted = totals[BINANCE_UM_CANDLES.name]["seconds"] * WEIGHT_PER_MINUTE / 60
    report = Report(
        "binance",
        f"One-minute candles and funding rates of {' and '.join(SYMBOLS)} over {days} days, and the month of open "
        "interest that the venue keeps, all over REST from the simulated venue with its limits; the whole process. "
        f"On {server.description()}.",
        ("dataset", "rows", "requests"),
    )
    for name, total in totals.items():
        report.lines.append((name, thousands(total["fetched"]), str(total["requests"])))
    report.notes.append(
        f"{finished.seconds:.1f} s, {finished.result['records_per_second']:,.0f} rows/s; the dearer request of 1,000 "
        f"candles would bring 20 % fewer rows for the same weight than {CANDLES_PER_REQUEST} for {CANDLES_WEIGHT:g}"
    )
    report.figures |= {"seconds": finished.seconds, "weight": weight, "granted": granted, "totals": totals}
    report.bounds.append(
        Bound(
            "binance: share of the weight that was granted while candles were fetched",
            weight / granted,
            LEAST_SHARE,
            True,
        )
    )
    report.bounds.append(Bound("binance: requests refused", sum(refused.values()), 0, at_least=False))
    return report
