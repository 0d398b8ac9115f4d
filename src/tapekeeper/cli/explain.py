"""The command `explain`: where a row comes from, or why there is none."""

from __future__ import annotations

import click

from tapekeeper.cli.database import read
from tapekeeper.cli.explain_words import words_of_lineage
from tapekeeper.cli.group import current_settings, examples, json_option
from tapekeeper.cli.output import print_json, print_line
from tapekeeper.clock import now_microseconds, parse_moment
from tapekeeper.model.series import DATASETS
from tapekeeper.store.lineage import explain as explain_moment


@click.command(
    epilog=examples(
        "tapekeeper explain BTC-PERPETUAL 2024-03-05T10:01Z",
        "tapekeeper explain BTCUSDT 2026-11-20T10:00:00Z --dataset binance_um.agg_trades",
        "tapekeeper explain ETH-27DEC24-3000-C 2024-11-21T09:30:00.5Z --dataset deribit.option_trades --json",
    )
)
@click.argument("instrument")
@click.argument("time")
@click.option("--dataset", type=click.Choice(list(DATASETS)), help="Only this one.")
@json_option
def explain(*, instrument: str, time: str, dataset: str | None, as_json: bool) -> None:
    """Tell where the row of INSTRUMENT at TIME comes from, or why there is none.

    Of candles the one that holds the moment is meant, of quotes and trades the last up to it. From the row it goes to
    the chunk of the backfill, the file of an archive and the requests that it took, those that changed the row first,
    and to what the row was before; from a hole to its cause, every step of it, and the receipt of its repair.
    """
    moment = parse_moment(time, now=now_microseconds())
    wanted = DATASETS[dataset] if dataset else None
    explanation = read(current_settings(), lambda cursor: explain_moment(cursor, instrument, moment, dataset=wanted))
    if as_json:
        print_json(explanation.as_json())
        return
    for known in explanation.series:
        for indent, line in words_of_lineage(known):
            print_line(line, indent=indent)
