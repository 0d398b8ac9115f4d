"""The command `backfill options`."""

from __future__ import annotations

import sys
import time

import click

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.option_symbols import available_symbols, compare_symbols
from tapekeeper.cli.backfill import run_with_bar
from tapekeeper.cli.group import EXIT_FAILED, current_settings, examples
from tapekeeper.cli.output import print_json
from tapekeeper.cli.venue_backfill import plan_with_notes, resume_option, summary_json, venue_request
from tapekeeper.clock import now_microseconds
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.venues.cryptodatadownload.limits import FIRST_DAY


@click.command(
    "options",
    epilog=examples(
        "tapekeeper backfill options --currency ETH",
        "tapekeeper backfill options --currency BTC,ETH --start 2024-03-01 --end 2024-04-01 --full-refresh",
    ),
)
@click.option(
    "--currency", "currencies", required=True, help="Whose options, as the venue writes it, with commas between: ETH."
)
@click.option(
    "--start", default=FIRST_DAY.isoformat(), show_default=True, help="First day in UTC; the venue has none before it."
)
@click.option("--end", default="now", show_default=True, help="Last moment in UTC, itself left out.")
@resume_option("Ask only for days that were never told, or for all of them again, and correct what differs.")
def backfill_options(*, currencies: str, start: str, end: str, is_resumed: bool) -> None:
    """Backfill daily candles of options from CryptoDataDownload, and print the summary as one line of JSON.

    Each day of a currency is one call, of which the venue grants some hundred an hour: what is over that waits. Stop it
    whenever you like; the same command goes on where it was, and asks for no day twice.
    """
    started, settings, dataset = time.monotonic(), current_settings(), CRYPTODATADOWNLOAD_OPTION_CANDLES
    request = venue_request(
        dataset, names=currencies, start=start, end=end, is_resumed=is_resumed, now=now_microseconds()
    )
    with BackfillJob(settings) as job:
        planned = plan_with_notes(job, request)
        # Before the days are asked for: after them there may be no call left in this hour.
        names = available_symbols(settings, request.instruments)
        summary = run_with_bar(job, planned)
    told = summary_json(request.window, {dataset.name: summary}, time.monotonic() - started)
    print_json({**told, "symbols": compare_symbols(settings, names).as_json()})
    if summary.state != "done":
        sys.exit(EXIT_FAILED)
