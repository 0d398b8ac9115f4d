"""The command `backfill binance`."""

from __future__ import annotations

import sys
import time

import click

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.cli.backfill import run_with_bar
from tapekeeper.cli.group import EXIT_FAILED, current_settings, examples
from tapekeeper.cli.output import print_json
from tapekeeper.cli.venue_backfill import plan_with_notes, resume_option, summary_json, venue_request
from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment, now_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
)
from tapekeeper.model.window import Window


@click.command(
    "binance",
    epilog=examples(
        "tapekeeper backfill binance --symbol BTCUSDT --window-days 60",
        "tapekeeper backfill binance --symbol BTCUSDT,ETHUSDT --window-days 365 --interval 5m --skip-trades",
        "tapekeeper backfill binance --symbol BTCUSDT --window-days 7 --skip-candles --full-refresh",
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
@resume_option("Fetch only what is missing, or ask again for what is held and correct what differs.")
@click.option("--interval", default="1m", show_default=True, help="Of the candles, as Binance writes it: 1m, 4h, 1d.")
@click.option("--oi-period", default="5m", show_default=True, help="Of the open interest, in the same way: 5m, 1d.")
@click.option("--skip-candles", is_flag=True, help="Fetch no candles.")
@click.option("--skip-trades", is_flag=True, help="Fetch no aggregate trades, which are by far the most rows.")
@click.option("--skip-open-interest", is_flag=True, help="Fetch no open interest.")
@click.option("--skip-funding", is_flag=True, help="Fetch no funding rates.")
def backfill_binance(
    *,
    symbols: str,
    window_days: int,
    is_resumed: bool,
    interval: str,
    oi_period: str,
    skip_candles: bool,
    skip_trades: bool,
    skip_open_interest: bool,
    skip_funding: bool,
) -> None:
    """Backfill Binance USD-M futures, and print the summary as one line of JSON.

    Stop it whenever you like; the same command goes on where it was.
    """
    started, now = time.monotonic(), now_microseconds()
    window = Window(now - window_days * MICROSECONDS_PER_DAY, now)
    choices = [
        (skip_candles, BINANCE_UM_CANDLES, interval),
        (skip_open_interest, BINANCE_UM_OPEN_INTEREST, oi_period),
        (skip_funding, BINANCE_UM_FUNDING_RATES, ""),
        (skip_trades, BINANCE_UM_AGG_TRADES, ""),
    ]
    wanted = [(dataset, resolution) for is_skipped, dataset, resolution in choices if not is_skipped]
    if not wanted:
        raise ConfigInvalid("everything is skipped: leave out one of the --skip options")
    requests = [
        venue_request(
            dataset,
            names=symbols,
            start=format_moment(window.start),
            end="now",
            resolution=resolution,
            is_resumed=is_resumed,
            now=now,
        )
        for dataset, resolution in wanted
    ]
    with BackfillJob(current_settings()) as job:
        summaries = {request.dataset.name: run_with_bar(job, plan_with_notes(job, request)) for request in requests}
    print_json(summary_json(window, summaries, time.monotonic() - started))
    if any(summary.state != "done" for summary in summaries.values()):
        sys.exit(EXIT_FAILED)
