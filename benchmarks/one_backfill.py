"""One backfill of one window as a process of its own: `python -m benchmarks.one_backfill DATASET INSTRUMENT START END`.

Its last line tells what was written, how long the work took, and the most memory that the process ever held.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

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
    result = {"state": summary.state, "rows": summary.rows.inserted, "seconds": seconds, "megabytes": _most_megabytes()}
    click.echo(json.dumps(result))
    sys.exit(0 if summary.state == "done" else 1)


def _most_megabytes() -> float:
    """Return the most memory that this process held: rusage would tell that of whoever started it, if that is more."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_024
    raise RuntimeError("the kernel does not tell how much memory the process held")


if __name__ == "__main__":
    main()
