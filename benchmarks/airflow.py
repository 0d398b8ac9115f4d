"""The case `airflow`: the same backfill through the DAG, and what Airflow adds to it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Final

from benchmarks.backfill import CEILING, FIRST_YEAR, INSTRUMENT, REQUESTS_PER_SECOND
from benchmarks.report import Report, Say, thousands
from benchmarks.server import CLONE, only_value, query
from tapekeeper.local import lock
from tapekeeper.local.airflow import COMPONENTS
from tapekeeper.local.console import Console
from tapekeeper.local.demo import BACKFILL_DAG, DAGS_SECONDS
from tapekeeper.local.installation import Installation, running
from tapekeeper.local.postgresql import remove_data
from tapekeeper.local.private_files import private_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekeeper.local.airflow_client import AirflowClient

MANY: Final = ("ETH-PERPETUAL", "BTC_USDC-PERPETUAL", "SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL")
_LONGEST_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 0.2
_MOMENTS: Final = """
    SELECT extract(epoch FROM created_at), extract(epoch FROM min(chunk.finished_at)),
        extract(epoch FROM max(chunk.finished_at)), extract(epoch FROM run.finished_at),
        sum(rows_inserted), count(*), run.run_id
    FROM backfill_runs AS run JOIN backfill_chunks AS chunk USING (run_id)
    WHERE run_key = %s GROUP BY run.run_id
"""
_FIRST_REQUESTS: Final = """
    SELECT extract(epoch FROM min(requested_at)) FROM api_requests WHERE run_id = %s GROUP BY series_id ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """The moments of a run of the DAG, in seconds since 1970."""

    triggered: float
    planned: float
    first_chunk: float
    last_chunk: float
    summed_up: float
    ended: float
    rows: int
    requests: int
    first_requests: tuple[float, ...]
    """Of each mapped task."""

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage, in their order."""
        return {
            "from the trigger to the written plan": self.planned - self.triggered,
            "to the first committed chunk": self.first_chunk - self.planned,
            "to the last committed chunk": self.last_chunk - self.first_chunk,
            "to the written summary": self.summed_up - self.last_chunk,
            "to the end of the DAG run": self.ended - self.summed_up,
        }

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.ended - self.triggered

    @property
    def overhead(self) -> float:
        """What is not between the first and the last chunk."""
        return self.seconds - (self.last_chunk - self.first_chunk)

    def task_starts(self) -> list[float]:
        """Return how long after the plan each mapped task sent its first request."""
        return [moment - self.planned for moment in self.first_requests]


def measure_airflow(*, years: int, say: Say) -> Report:
    """Return where the seconds of a run of the DAG go."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
    environment["TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND"] = str(REQUESTS_PER_SECOND)
    folder = CLONE / ".tapekeeper" / "benchmarks-airflow"
    say("airflow: starting")
    _forget(folder)
    try:
        with (
            running(folder, CLONE, environment, Console(to_standard_error=True), simulated=True) as installation,
            closing(installation.client()) as client,
        ):
            installation.supervisor.wait_until(
                COMPONENTS, lambda: BACKFILL_DAG in client.dag_ids(), seconds=DAGS_SECONDS
            )
            client.pause(BACKFILL_DAG, paused=False)
            say(f"airflow: {years} year(s) through the DAG")
            one = _run(installation, client, "one", [INSTRUMENT], f"{FIRST_YEAR + years}-08-15")
            say(f"airflow: {len(MANY)} mapped tasks")
            many = _run(installation, client, "many", MANY, None)
            server_version = only_value(_url(installation), "SHOW server_version")
    finally:
        _forget(folder)
    return _report(one, many, years, server_version)


def _forget(folder: Path) -> None:
    """Delete the databases, also those of a run that was killed; the logs stay."""
    with lock.held(private_folder(folder) / "lock", waiting=lambda: None):
        remove_data(folder / "postgresql")


def _run(
    installation: Installation, client: AirflowClient, run_id: str, instruments: Sequence[str], end: str | None
) -> _Run:
    """Run the DAG; without an end over one day."""
    window = {"start": f"{FIRST_YEAR}-08-15", "end": end} if end else {"start": "2024-03-01", "end": "2024-03-02"}
    triggered = time.time()
    client.trigger(BACKFILL_DAG, run_id, {"instruments": list(instruments), **window, "resolution": "1"})
    deadline = time.monotonic() + _LONGEST_SECONDS
    while (state := client.run_state(BACKFILL_DAG, run_id)) != "success":
        installation.supervisor.check(COMPONENTS)
        if state == "failed" or time.monotonic() > deadline:
            raise RuntimeError(f"the run {run_id} is {state}: {client.task_states(BACKFILL_DAG, run_id)}")
        time.sleep(_POLL_SECONDS)
    ended = time.time()
    url = _url(installation)
    row = query(url, _MOMENTS, f"airflow/{BACKFILL_DAG}/{run_id}")[0]
    planned, first_chunk, last_chunk, summed_up = (float(moment) for moment in row[:4])
    first_requests = tuple(float(moment) for (moment,) in query(url, _FIRST_REQUESTS, row[6]))
    return _Run(triggered, planned, first_chunk, last_chunk, summed_up, ended, int(row[4]), int(row[5]), first_requests)


def _url(installation: Installation) -> str:
    return installation.settings.database.url.get_secret_value()


def _report(one: _Run, many: _Run, years: int, server_version: str) -> Report:
    report = Report(
        "airflow",
        f"The same through the DAG {BACKFILL_DAG} at {REQUESTS_PER_SECOND} requests/s: {years} year(s) of "
        f"{INSTRUMENT}, {one.rows:,} rows with {one.requests} requests, the first run of a new Airflow; then one day "
        f"of {len(MANY)} instruments, a mapped task each. "
        "Airflow with a LocalExecutor, the simulated venue and the database on this machine. "
        f"On PostgreSQL {server_version}, fsync on.",
        ("stage", f"{years} year(s), seconds", f"{len(MANY)} x 1 day, seconds"),
    )
    for (stage, seconds), other in zip(one.stages().items(), many.stages().values(), strict=True):
        report.lines.append((stage, f"{seconds:.1f}", f"{other:.1f}"))
    report.lines.append(("all", f"{one.seconds:.1f}", f"{many.seconds:.1f}"))
    report.lines.append(
        ("of these not between the first and the last chunk", f"{one.overhead:.1f}", f"{many.overhead:.1f}")
    )
    starts = many.task_starts()
    report.notes = [
        f"rows/s between the first and the last chunk: {thousands(one.rows / (one.last_chunk - one.first_chunk))} "
        f"of {CEILING:,}; from the trigger to the end: {thousands(one.rows / one.seconds)}",
        f"a mapped task sends its first request {mean(starts):.1f} s after the plan, the last of {len(starts)} "
        f"{max(starts):.1f} s",
    ]
    for name, run in (("one", one), ("many", many)):
        stages = {stage: round(seconds, 3) for stage, seconds in run.stages().items()}
        report.figures[name] = {**stages, "rows": run.rows, "seconds": run.seconds, "overhead": run.overhead}
    report.figures["first_request_of_mapped_tasks_after_plan"] = starts
    return report
