"""The command `backfill binance`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.request import check_request
from tapekeeper.cli.backfill import run_with_bar
from tapekeeper.cli.group import EXIT_FAILED, current_settings, examples
from tapekeeper.cli.output import print_json, print_message
from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment, now_microseconds
from tapekeeper.model.backfill import Direction, Mode
from tapekeeper.model.series import BINANCE_UM_CANDLES

if TYPE_CHECKING:
    from tapekeeper.model.backfill import BackfillRequest, RunSummary


@click.command(
    "binance",
    epilog=examples(
        "tapekeeper backfill binance --symbol BTCUSDT --window-days 60",
        "tapekeeper backfill binance --symbol BTCUSDT,ETHUSDT --window-days 365 --interval 5m --full-refresh",
    ),
)
@click.option(
    "--symbol", "symbols", required=True, help="Names as the venue writes them, with commas between: BTCUSDT."
)
@click.option(
    "--window-days",
    default=60,
    show_default=True,
    type=click.IntRange(min=1, max=10_000),
    help="How many days back from now.",
)
@click.option(
    "--resume/--full-refresh",
    "is_resumed",
    default=True,
    show_default=True,
    help="Fetch only what is missing, or ask again for what is held and correct what differs.",
)
@click.option("--interval", default="1m", show_default=True, help="Of the candles, as Binance writes it: 1m, 4h, 1d.")
def backfill_binance(*, symbols: str, window_days: int, is_resumed: bool, interval: str) -> None:
    """Backfill Binance USD-M futures, and print the summary as one line of JSON.

    Stop it whenever you like; the same command goes on where it was.
    """
    started, now = time.monotonic(), now_microseconds()
    request = check_request(
        BINANCE_UM_CANDLES,
        instruments=symbols.split(","),
        start=format_moment(now - window_days * MICROSECONDS_PER_DAY),
        end="now",
        resolution=interval,
        direction=Direction.NEWEST_FIRST.value,
        mode=(Mode.MISSING_ONLY if is_resumed else Mode.FULL_REFRESH).value,
        keep_fresh=False,
        now=now,
    )
    with BackfillJob(current_settings()) as job:
        planned = job.plan(request)
        for each in planned.instruments:
            if each.note:
                print_message(f"note: {each.note}")
        summary = run_with_bar(job, planned)
    print_json(_summary_json(request, summary, time.monotonic() - started))
    if summary.state != "done":
        sys.exit(EXIT_FAILED)


def _summary_json(request: BackfillRequest, summary: RunSummary, seconds: float) -> dict[str, object]:
    return {
        "start": format_moment(request.window.start),
        "end": format_moment(request.window.end),
        "totals": {"candles": summary.as_json()},
        "seconds": round(seconds, 3),
        "records_per_second": round(summary.rows.fetched / seconds, 1),
    }
