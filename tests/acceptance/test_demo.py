"""`make demo` as a user types it: it fills, resumes, refuses a second one, and leaves nothing behind.

A start of Airflow takes a quarter of a minute, so each one has to prove several things.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest

from tapekeeper.local.private_files import short_mark
from tests.support.processes import ended, wait_for
from tests.support.simulator import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = 2 * 7 * 24 * 60
START_SECONDS = 400.0
FOLDER = PROJECT / ".tapekeeper" / "demo"

pytestmark = pytest.mark.timeout(900)


class Demo:
    """One `make demo`, its output, and its processes."""

    def __init__(self, log: Path, arguments: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
        self._log = log
        with log.open("w") as errors:
            self.make = subprocess.Popen(
                ["make", "--no-print-directory", "demo", f"ARGS={arguments}"],
                cwd=PROJECT,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def told(self) -> str:
        return self._log.read_text()

    def wait_until_told(self, text: str) -> None:
        wait_for(lambda: text in self.told() or self.make.poll() is not None, seconds=START_SECONDS)
        assert text in self.told()

    def result(self) -> dict[str, Any]:
        """Wait for the end and return the last line of standard output."""
        output, _ = self.make.communicate(timeout=START_SECONDS)
        assert output, self.told()
        result = json.loads(output.splitlines()[-1])
        assert isinstance(result, dict)
        return result

    def processes(self) -> list[psutil.Process]:
        make = psutil.Process(self.make.pid)
        return [make, *make.children(recursive=True)]

    def itself(self) -> psutil.Process:
        """Return the process that is the demo: the child of the guard that make has started."""
        found = [
            process for process in self.processes() if "demo" in process.cmdline() and "--" not in process.cmdline()
        ]
        return next(process for process in found if process.pid != self.make.pid)


@contextmanager
def demo(folder: Path, arguments: str, *, log: str = "told") -> Iterator[Demo]:
    running = Demo(folder / log, arguments)
    try:
        yield running
    finally:
        if running.make.returncode is None:
            # With whatever a failed test has left: it would keep our pipe open.
            os.killpg(running.make.pid, signal.SIGKILL)
        running.make.communicate()


def left_over() -> list[psutil.Process]:
    """Return all processes that work in the demo's folders or were told of them."""
    places = (str(FOLDER), short_mark(FOLDER), short_mark(FOLDER / "postgresql"))
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        known = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(place in known for place in places):
            found.append(process)
    return found


def query(statement: str) -> Any:
    """Ask the database of the running demo as its reader."""
    lines = [shlex.split(line)[1] for line in (FOLDER / "environment").read_text().splitlines()]
    url = dict(line.split("=", 1) for line in lines)["TAPEKEEPER_READER_DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    assert row is not None
    return row[0]


def assert_filled(result: dict[str, Any]) -> None:
    assert result["ok"] is True, result
    assert result["rows"] == result["expected"] == EXPECTED
    [status] = [each for each in result["status"]["datasets"] if each["dataset"] == "deribit.perpetual_candles"]
    assert status["ok"] is True
    assert status["rows_total"] >= EXPECTED
    assert status["days_covered"] >= 7
    assert status["error"] is None
    assert 0.99 < result["completeness"]["deribit.perpetual_candles"] <= 1
    # Every day that is over is proven, whatever the running one still waits for.
    assert result["quality"]["completeness"]["deribit.perpetual_candles"]["7d"] == 1
    assert Path(result["quality"]["report"], "report.html").is_file()
    streamed = {each["dataset"]: each["rows_total"] for each in result["status"]["datasets"]}
    assert streamed["deribit.option_quotes"] > 0
    assert streamed["deribit.option_trades"] > 0
    if shutil.which("prometheus"):
        assert result["monitoring"]["targets"].items() >= {"collector": "up", "exporter": "up"}.items()
        assert set(result["monitoring"]["targets"].values()) == {"up"}
    else:
        assert result["monitoring"] == {}


def test_killed_while_it_starts_it_leaves_nothing_and_fills_the_last_seven_days_when_started_again(
    tmp_path: Path,
) -> None:
    with demo(tmp_path, "--json", log="told_by_killed") as killed:
        killed.wait_until_told("  DAGs (")
        processes = killed.processes()
        # What Airflow has started is among them.
        assert len(processes) > 10
        killed.itself().kill()
        ended(processes, seconds=START_SECONDS)
        assert left_over() == []
    with demo(tmp_path, "--exit --json") as first:
        result = first.result()
        assert_filled(result)
        assert first.make.returncode == 0
        assert "differing" in first.told()
        assert result["quality"]["state"] == "green", result["quality"]
        assert "What is proven" in first.told()
        assert left_over() == []


def test_started_again_it_resumes_stays_and_stops_what_it_started(tmp_path: Path, database_url: str) -> None:
    with demo(tmp_path, "--json") as second:
        second.wait_until_told("Ctrl-C stops everything")
        fetched = query(
            "SELECT sum(rows_fetched) FROM backfill_chunks"
            " JOIN backfill_runs USING (run_id) WHERE run_key LIKE '%/deribit_perpetual_candles/%'"
            " AND run_id = (SELECT max(run_id) FROM backfill_runs WHERE run_key LIKE '%/deribit_perpetual_candles/%')"
        )
        assert (fetched or 0) < EXPECTED / 2
        with demo(tmp_path, "--exit --json", log="told_by_third") as third:
            result = third.result()
            assert result["ok"] is False
            assert "runs already in this folder" in result["error"]
            assert third.make.returncode != 0
        processes = second.processes()
        names = {process.name() for process in processes}
        assert "postgres" in names
        assert len(processes) > 10
        assert left_over() != []
        os.killpg(second.make.pid, signal.SIGINT)
        assert_filled(second.result())
        ended(processes)
        assert left_over() == []
    # A server that the demo has not started runs on.
    with closing(psycopg2.connect(database_url)) as connection:
        assert connection.status == psycopg2.extensions.STATUS_READY


def test_when_make_is_killed_everything_ends(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as running:
        running.wait_until_told("  live collector")
        processes = running.processes()
        assert len(processes) > 5
        running.make.kill()
        ended(processes, seconds=START_SECONDS)
        assert left_over() == []
