"""One backfill of one window as a process of its own: `python -m benchmarks.one_backfill DATASET INSTRUMENT START END`.

Its last line tells what was written, how long the work took, and the most memory that the process ever held.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import click

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.request import check_request
from tapekeeper.clock import now_microseconds
from tapekeeper.model.backfill import Direction, Mode
from tapekeeper.model.series import dataset_named
from tapekeeper.settings import read_settings


@click.command()
@click.argument("dataset")
@click.argument("instrument")
@click.argument("start")
@click.argument("end")
@click.option("--resolution", default="")
def main(dataset: str, instrument: str, start: str, end: str, resolution: str) -> None:
    """Fetch what is missing of a window, and print one line of JSON."""
    request = check_request(
        dataset_named(dataset),
        instruments=[instrument],
        start=start,
        end=end,
        resolution=resolution,
        direction=Direction.OLDEST_FIRST.value,
        mode=Mode.MISSING_ONLY.value,
        keep_fresh=False,
        now=now_microseconds(),
    )
    with BackfillJob(read_settings(os.environ)) as job:
        run_id = job.start(job.plan(request), "benchmark")
        began = time.perf_counter()
        job.work(run_id)
        seconds = time.perf_counter() - began
        summary = job.finish(run_id)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    result = {"state": summary.state, "rows": summary.rows.inserted, "seconds": seconds, "megabytes": megabytes}
    click.echo(json.dumps(result))
    sys.exit(0 if summary.state == "done" else 1)


if __name__ == "__main__":
    main()
