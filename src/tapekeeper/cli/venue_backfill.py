"""What the backfills of a whole venue have in common: notes along the way, and one JSON object at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tapekeeper.backfill.request import check_request
from tapekeeper.cli.output import print_message
from tapekeeper.clock import format_moment
from tapekeeper.model.backfill import Direction, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekeeper.backfill.job import BackfillJob
    from tapekeeper.model.backfill import BackfillPlan, BackfillRequest, RunSummary
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window

    Command = Callable[..., Any]


def resume_option(help_text: str) -> Callable[[Command], Command]:
    """Return the option whether what is held is asked for again."""
    return click.option("--resume/--full-refresh", "is_resumed", default=True, show_default=True, help=help_text)


def venue_request(
    dataset: Dataset, *, names: str, start: str, end: str, resolution: str = "", is_resumed: bool, now: int
) -> BackfillRequest:
    """Return the request for one dataset; `names` are of instruments, with commas between, the rest is as typed.

    Raises:
        ConfigInvalid: something was typed that cannot be done.
    """
    return check_request(
        dataset,
        instruments=names.split(","),
        start=start,
        end=end,
        resolution=resolution,
        direction=Direction.NEWEST_FIRST.value,
        mode=(Mode.MISSING_ONLY if is_resumed else Mode.FULL_REFRESH).value,
        keep_fresh=False,
        now=now,
    )


def plan_with_notes(job: BackfillJob, request: BackfillRequest) -> BackfillPlan:
    """Return what the backfill would do, and tell where it cannot do all that was asked for."""
    planned = job.plan(request)
    for each in planned.instruments:
        if each.note:
            print_message(f"note: {each.note}")
    return planned


def summary_json(window: Window, summaries: Mapping[str, RunSummary], seconds: float) -> dict[str, object]:
    """Return the summary of runs by dataset, with plain names.

    Args:
        window: that was asked for.
        summaries: by the name of the dataset.
        seconds: that all of it took.
    """
    fetched = sum(summary.rows.fetched for summary in summaries.values())
    return {
        "start": format_moment(window.start),
        "end": format_moment(window.end),
        "totals": {name: summary.as_json() for name, summary in summaries.items()},
        "seconds": round(seconds, 3),
        "records_per_second": round(fetched / seconds, 1),
    }
