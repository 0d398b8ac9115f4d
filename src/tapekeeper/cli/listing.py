"""Lists that end after so many lines, and say whether there are more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click

from tapekeeper.cli.output import print_json, print_line, results
from tapekeeper.model.series import DATASETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

Item = TypeVar("Item")

dataset_option: Final = click.option("--dataset", type=click.Choice(list(DATASETS)), help="Only this one.")
limit_option: Final = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many."
)


def tell_list(
    find: Callable[[int], Sequence[Item]],
    limit: int,
    *,
    name: str,
    nothing: str,
    as_object: Callable[[Item], object],
    as_table: Callable[[Sequence[Item]], Table],
    as_json: bool,
) -> None:
    """Tell the first items of a list.

    Args:
        find: returns at most so many items.
        limit: so many are shown.
        name: of the list in JSON.
        nothing: what is said where there is no item.
        as_object: an item for scripts.
        as_table: all that is shown for people.
        as_json: told as one JSON object.
    """
    # One more than is shown tells whether that is all of them.
    found = find(limit + 1)
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({name: [as_object(item) for item in shown], "more": more})
    elif not shown:
        print_line(nothing)
    else:
        results.print(as_table(shown))
        if more:
            print_line(f"There are more: --limit {10 * limit} shows further ones.")
