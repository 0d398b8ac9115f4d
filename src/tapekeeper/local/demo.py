"""`tapekeeper demo` and `tapekeeper up`: everything on one machine, and a first backfill through Airflow."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import requests
from rich.table import Table

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, format_moment, now_microseconds
from tapekeeper.errors import RetryLater, Stop, TapekeeperError
from tapekeeper.local.airflow import COMPONENTS
from tapekeeper.local.closing import closing_table
from tapekeeper.local.collector import COLLECTOR, STREAMS
from tapekeeper.local.console import Console
from tapekeeper.local.installation import Installation, running
from tapekeeper.local.landed import Landed, count_rows, read_landed
from tapekeeper.local.proof import QUALITY_DAG, REPAIR_DAG, check_quality, proof_table
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.quality.report import PAGE
from tapekeeper.status import get_all_statuses

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tapekeeper.local.airflow_client import AirflowClient

INSTRUMENTS: Final = ("BTC-PERPETUAL", "ETH-PERPETUAL")
BACKFILL_DAG: Final = "deribit_perpetual_candles"
LIVE_DAG: Final = "deribit_perpetual_candles_live"
_BY_THEMSELVES: Final = (LIVE_DAG, QUALITY_DAG, REPAIR_DAG)
"""DAGs that have a schedule."""
DAGS_SECONDS: Final = 120.0
STALLED_SECONDS: Final = 900.0
"""Without a new row and without an end for this long, the run is given up."""
_MICROSECONDS_PER_MINUTE: Final = 60 * MICROSECONDS_PER_SECOND
_CLONE: Final = Path(__file__).parents[3]
TICKS: Final = (DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES)
TICKS_SECONDS: Final = 180.0
"""Options are quiet: between two trades of the fifty that are followed there may be minutes."""
TARGETS_SECONDS: Final = 120.0
"""Prometheus scrapes every 15 seconds."""
_POLL_SECONDS: Final = 0.5
_RUN_PREFIX: Final = "local__"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a person can choose."""

    live: bool = False
    """Ask the live venue (`up`) instead of the simulator (`demo`)."""
    days: int = 7
    """How far back the backfill goes."""
    exit_when_done: bool = False
    """End after the backfill instead of staying until Ctrl-C."""
    as_json: bool = False
    """Print the result as one line of JSON, the last one of standard output; all else goes to standard error."""
    clone: Path = field(default=_CLONE)
    """The project's folder with dags/, plugins/ and simulator/."""


@dataclass(slots=True)
class _Outcome:
    ok: bool = False
    rows: int = 0
    expected: int = 0
    seconds: float = 0.0
    datasets: list[dict[str, Any]] = field(default_factory=list)
    completeness: dict[str, float] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    monitoring: dict[str, Any] = field(default_factory=dict)
    """Empty without a Prometheus on this machine."""
    error: str | None = None

    def as_json(self) -> str:
        found = {
            "ok": self.ok,
            "rows": self.rows,
            "expected": self.expected,
            "seconds": round(self.seconds, 1),
            "status": {"datasets": self.datasets},
            "completeness": self.completeness,
            "quality": self.quality,
            "monitoring": self.monitoring,
        }
        return json.dumps(found | ({"error": self.error} if self.error else {}))


def run_demo(options: DemoOptions) -> int:
    """Run the demo, or `up`, and return the exit code: 0 when every row that is expected has landed."""
    console = Console(to_standard_error=options.as_json)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    started = time.monotonic()
    outcome = _Outcome()
    try:
        _run(options, console, outcome, started)
    except KeyboardInterrupt:
        outcome.error = None if outcome.ok else "interrupted"
    except (TapekeeperError, requests.RequestException) as error:
        outcome.ok, outcome.error = False, str(error)
    outcome.seconds = outcome.seconds or time.monotonic() - started
    if outcome.error:
        console.say(f"error: {outcome.error}")
    if options.as_json:
        print(outcome.as_json(), flush=True)  # noqa: T201 - the result of the command
    return 0 if outcome.ok else 1


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run(options: DemoOptions, console: Console, outcome: _Outcome, started: float) -> None:
    name = "up" if options.live else "demo"
    if not all((options.clone / part).is_dir() for part in ("collector", "dags", "plugins", "prometheus", "simulator")):
        raise Stop(f"{options.clone} is no clone of the project: run `make {name}` in one")
    window = _last_days(options.days)
    outcome.expected = len(INSTRUMENTS) * (window.end - window.start) // _MICROSECONDS_PER_MINUTE
    folder = options.clone / ".tapekeeper" / name
    with running(folder, options.clone, os.environ, console, simulated=not options.live) as installation:
        with closing(installation.client()) as client:
            keep_fresh = not options.exit_when_done
            _backfill(installation, client, console, window, expected=outcome.expected, keep_fresh=keep_fresh)
            if not options.live:
                # How soon somebody trades an option at the live venue is nobody's promise.
                with console.step("quotes and trades of options"):
                    _wait_for_ticks(installation)
            with console.step("checks"):
                # A day more than was fetched, so that the first one is looked at whole.
                summary = check_quality(installation, client, days=options.days + 1)
            outcome.quality = {name: summary[name] for name in ("state", "run_id", "report", "completeness")}
            if installation.monitoring.prometheus:
                with console.step("targets of Prometheus"):
                    _wait_for_targets(installation, outcome)
            _account(installation, console, window, outcome)
            outcome.seconds = time.monotonic() - started
            if not outcome.ok:
                landed = f"{outcome.rows:,} rows of {outcome.expected:,} landed as they should"
                raise Stop(f"{landed}; the logs are in {installation.supervisor.logs}")
            if keep_fresh:
                # Only now: its runs would show up in the account as work under way.
                for dag_id in (LIVE_DAG, REPAIR_DAG):
                    client.pause(dag_id, paused=False)
        if not options.exit_when_done:
            _stay(installation, console, name, outcome.quality["run_id"])


def _last_days(days: int) -> Window:
    end = now_microseconds() // _MICROSECONDS_PER_MINUTE * _MICROSECONDS_PER_MINUTE
    return Window(end - days * MICROSECONDS_PER_DAY, end)


def _backfill(
    installation: Installation,
    client: AirflowClient,
    console: Console,
    window: Window,
    *,
    expected: int,
    keep_fresh: bool,
) -> None:
    with console.step("DAGs"):
        _wait_for_dags(installation, client)
    for dag_id in _BY_THEMSELVES:
        client.pause(dag_id, paused=True)
    for dag_id, prefix in ((BACKFILL_DAG, _RUN_PREFIX), *((dag_id, "") for dag_id in _BY_THEMSELVES)):
        for run_id in client.active_runs(dag_id, prefix):
            # Its processes are gone with the last start; the new run takes over what it left undone.
            client.fail_run(dag_id, run_id)
    client.pause(BACKFILL_DAG, paused=False)
    run_id = f"{_RUN_PREFIX}{format_moment(now_microseconds())}"
    conf = {
        "instruments": list(INSTRUMENTS),
        "start": format_moment(window.start),
        "end": format_moment(window.end),
        "resolution": "1",
        "direction": "newest first",
        "mode": "missing only",
        "keep_fresh": keep_fresh,
    }
    client.trigger(BACKFILL_DAG, run_id, conf)
    with console.progress("candles", expected) as update:
        _watch(installation, client, run_id, window, update)


def _wait_for_dags(installation: Installation, client: AirflowClient) -> None:
    def read() -> bool:
        return {BACKFILL_DAG, *_BY_THEMSELVES} <= client.dag_ids()

    try:
        installation.supervisor.wait_until(COMPONENTS, read, seconds=DAGS_SECONDS)
    except Stop as error:
        broken = client.import_errors()
        raise Stop("\n".join([f"Airflow has not read the DAGs: {error}", *broken])) from None


def _watch(
    installation: Installation, client: AirflowClient, run_id: str, window: Window, update: Callable[[int], None]
) -> None:
    """Follow a run to its end.

    Raises:
        Stop: the run failed, a component of Airflow ended, or nothing has moved for long.
    """
    rows, state, moved_at = -1, "", time.monotonic()
    while state not in {"success", "failed"}:
        time.sleep(_POLL_SECONDS)
        installation.supervisor.check(COMPONENTS)
        try:
            state = client.run_state(BACKFILL_DAG, run_id)
            found = count_rows(installation.settings, INSTRUMENTS, window)
        except (requests.RequestException, RetryLater):
            # Something that died is being started again; the clock below runs on.
            found = rows
        if found != rows:
            rows, moved_at = found, time.monotonic()
            update(rows)
        if time.monotonic() - moved_at > STALLED_SECONDS:
            raise Stop(f"the run {run_id} has not moved for {STALLED_SECONDS:.0f} seconds")
    if state == "failed":
        states = client.task_states(BACKFILL_DAG, run_id)
        tasks = ", ".join(f"{task} {ended}" for task, ended in sorted(states.items()))
        raise Stop(f"the run {run_id} failed ({tasks}); the logs of its tasks are in {installation.airflow.task_logs}")


def _wait_for_ticks(installation: Installation) -> None:
    def committed() -> bool:
        statuses = {status.dataset: status.intraday for status in get_all_statuses(installation.settings)}
        return all(statuses[dataset.name].rows_total > 0 for dataset in TICKS)

    installation.supervisor.wait_until([COLLECTOR], committed, seconds=TICKS_SECONDS)


def _wait_for_targets(installation: Installation, outcome: _Outcome) -> None:
    monitoring = installation.monitoring
    targets: dict[str, str] = {}

    def up() -> bool:
        try:
            targets.update(monitoring.targets())
        except requests.RequestException:
            return False
        outcome.monitoring = {"targets": targets}
        return {*STREAMS, *monitoring.jobs} <= targets.keys() and set(targets.values()) == {"up"}

    try:
        installation.supervisor.wait_until([*monitoring.names, *STREAMS], up, seconds=TARGETS_SECONDS)
    except Stop as error:
        told = ", ".join(f"{job} is {state}" for job, state in targets.items())
        raise Stop(f"Prometheus does not read all that it watches ({told}): {error}") from None


def _account(installation: Installation, console: Console, window: Window, outcome: _Outcome) -> None:
    """Write into the outcome what has landed, and show it."""
    landed = read_landed(installation.settings, INSTRUMENTS, window, simulator_url=installation.simulator_url)
    statuses = get_all_statuses(installation.settings)
    outcome.rows = sum(each.rows for each in landed)
    outcome.datasets = [{"dataset": status.dataset, **status.intraday.as_json()} for status in statuses]
    outcome.completeness = {s.dataset: s.completeness for s in statuses if s.completeness is not None}
    outcome.ok = outcome.rows == outcome.expected and not any(each.differing for each in landed)
    console.show(_table(landed))
    console.show(proof_table(statuses))
    console.say(f"The checks are {outcome.quality['state']}: {Path(outcome.quality['report']) / PAGE}")
    streamed = {status.dataset: status.intraday.rows_total for status in statuses}
    console.say("  ".join(f"{dataset.source}: {streamed[dataset.name]:,} rows." for dataset in TICKS))


def _table(landed: list[Landed]) -> Table:
    table = Table(title="What has landed")
    for column in ("instrument", "rows", "first (UTC)", "last (UTC)", "differing from the venue's truth"):
        table.add_column(column)
    for each in landed:
        differing = "not known of a live venue" if each.differing is None else f"{each.differing:,}"
        table.add_row(each.instrument, f"{each.rows:,}", each.first, each.last, differing)
    return table


def _stay(installation: Installation, console: Console, name: str, quality_run_id: int) -> None:
    console.say(closing_table(installation, name, quality_run_id))
    installation.supervisor.wait()
