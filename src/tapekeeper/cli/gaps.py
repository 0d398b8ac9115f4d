"""The commands `gaps`: the ledger of holes, and the one decision in it that only a person can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from tapekeeper.cli.database import read, write
from tapekeeper.cli.gap_words import words_of_gap
from tapekeeper.cli.group import Commands, current_settings, examples, json_option
from tapekeeper.cli.listing import dataset_option, limit_option, tell_list
from tapekeeper.cli.output import print_json, print_line
from tapekeeper.model.gap import GapState
from tapekeeper.model.resolution import Resolution
from tapekeeper.store import gaps as ledger
from tapekeeper.store.explanation import gap_json
from tapekeeper.store.lineage import gap_story

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekeeper.model.gap_record import ListedGap
    from tapekeeper.store.explanation import GapStory


@click.group(cls=Commands)
def gaps() -> None:
    """Tell which rows are missing, why, and what became of it."""


@gaps.command(
    "list",
    epilog=examples(
        "tapekeeper gaps list",
        "tapekeeper gaps list --state permanent --state accepted",
        "tapekeeper gaps list --all --dataset deribit.option_trades --limit 1000 --json",
    ),
)
@dataset_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in GapState]),
    help="Only gaps in this state; may be repeated.  [default: those that are not closed]",
)
@click.option("--all", "in_all_states", is_flag=True, help="Closed gaps too.")
@limit_option
@json_option
def list_gaps(*, dataset: str | None, states: tuple[str, ...], in_all_states: bool, limit: int, as_json: bool) -> None:
    """Tell the gaps that are not closed, newest first."""
    wanted = [GapState(state) for state in states] or [state for state in GapState if not state.is_closed]
    asked = None if in_all_states else wanted
    tell_list(
        lambda count: read(
            current_settings(),
            lambda cursor: ledger.list_gaps(cursor, dataset=dataset, states=asked, limit=count),
        ),
        limit,
        name="gaps",
        nothing="There is no such gap.",
        as_object=gap_json,
        as_table=_table,
        as_json=as_json,
    )


@gaps.command("show", epilog=examples("tapekeeper gaps show 12", "tapekeeper gaps show 12 --json"))
@click.argument("gap", type=int)
@json_option
def show(*, gap: int, as_json: bool) -> None:
    """Tell everything about a GAP: cause, evidence, every step, and the receipt of its repair."""
    _tell(read(current_settings(), lambda cursor: gap_story(cursor, gap)), as_json=as_json)


@gaps.command(
    "accept",
    epilog=examples("tapekeeper gaps accept 12 --by 'Ada Lovelace' --note 'the venue answered: those trades are gone'"),
)
@click.argument("gap", type=int)
@click.option("--by", required=True, help="Who decides it: a person.")
@click.option("--note", required=True, help="Why it is all right to live with it.")
@json_option
def accept(*, gap: int, by: str, note: str, as_json: bool) -> None:
    """Live with a GAP: what is still missing of it counts as explained, by you and for the reason that you give.

    A gap of which nothing is missing any more is closed as repaired instead.
    """
    settings = current_settings()
    write(settings, lambda cursor: ledger.accept(cursor, gap, by=by, note=note))
    _tell(read(settings, lambda cursor: gap_story(cursor, gap)), as_json=as_json)


def _tell(story: GapStory, *, as_json: bool) -> None:
    if as_json:
        print_json(story.as_json())
        return
    print_line(f"{_instrument(story.listed)} in {story.listed.dataset}")
    for line in words_of_gap(story):
        print_line(line, indent=2)


def _table(shown: Sequence[ListedGap]) -> Table:
    """Return a table of two lines a gap, so that a terminal of 80 columns cuts nothing off."""
    table = Table(title="Gaps", show_lines=True, pad_edge=False)
    table.add_column("gap", justify="right")
    table.add_column("series", overflow="fold")
    table.add_column("from, to", no_wrap=True)
    table.add_column("missing", justify="right")
    table.add_column("cause, state", overflow="fold")
    for listed in shown:
        gap, (start, end) = listed.gap, listed.gap.window.as_datetimes()
        numbers = "" if gap.sequences is None else f"\n{gap.sequences.first} to {gap.sequences.last}"
        table.add_row(
            str(gap.gap_id),
            escape(f"{_instrument(listed)}\n{listed.dataset}"),
            f"{start:%Y-%m-%d %H:%M:%S}\n{end:%Y-%m-%d %H:%M:%S}",
            f"{gap.missing:,}{numbers}",
            f"{gap.cause}\n{gap.state}{_next_try(listed)}",
        )
    return table


def _instrument(listed: ListedGap) -> str:
    return (
        f"{listed.instrument} {Resolution(listed.resolution_seconds)}"
        if listed.resolution_seconds
        else listed.instrument
    )


def _next_try(listed: ListedGap) -> str:
    return "" if listed.next_attempt_at is None else f" until {listed.next_attempt_at:%m-%d %H:%M}"
