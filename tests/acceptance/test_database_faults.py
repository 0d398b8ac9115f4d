"""The database goes away, comes back, or fills up, in the middle of a backfill: nothing that was committed is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tapekeeper.clock import parse_moment
from tapekeeper.local.postgresql import EmbeddedPostgres
from tapekeeper.model.window import Window
from tests.support.command_line import json_of, run_tapekeeper, start_tapekeeper
from tests.support.databases import own_server
from tests.support.processes import wait_for
from tests.support.truth import held_candles, one_value, true_candles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Databases
    from tests.support.simulator import Simulator

WINDOW = Window(parse_moment("2024-03-01", now=0), parse_moment("2024-03-11", now=0))
ROWS = 14_400
BACKFILL = [
    "backfill",
    "perpetuals",
    "--instruments",
    "BTC-PERPETUAL",
    "--start",
    "2024-03-01",
    "--end",
    "2024-03-11",
    "--json",
]
DONE = "SELECT count(*) FROM backfill_chunks WHERE state = 'done'"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may stop."""
    with own_server(tmp_path) as server:
        yield server


def settings_for(url: str, simulator: Simulator) -> dict[str, str]:
    return {
        "TAPEKEEPER_DATABASE_URL": url,
        "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "18",
        "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "500",
        "TAPEKEEPER_BACKFILL_LEASE_SECONDS": "2",
    }


SLOW = {"TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "6", "TAPEKEEPER_DERIBIT_BURST_REQUESTS": "2"}
"""So slow that a run is still under way when something happens to its database."""


def test_a_database_that_restarts_during_a_run_is_waited_for(server: EmbeddedPostgres, simulator: Simulator) -> None:
    url = server.url()
    process = start_tapekeeper(BACKFILL, settings_for(url, simulator) | SLOW)
    wait_for(lambda: one_value(url, DONE) >= 4)
    server.stop()
    server.start()
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json_of(output)["state"] == "done"
    assert held_candles(url, "BTC-PERPETUAL", WINDOW) == true_candles(simulator, "BTC-PERPETUAL", WINDOW)
    assert one_value(url, "SELECT sum(held) FROM coverage") == ROWS


def test_a_database_that_stays_away_ends_the_run_with_a_sentence(
    server: EmbeddedPostgres, simulator: Simulator
) -> None:
    url = server.url()
    impatient = SLOW | {"TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "1"}
    process = start_tapekeeper(BACKFILL, settings_for(url, simulator) | impatient)
    wait_for(lambda: one_value(url, DONE) >= 4)
    server.stop()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "PostgreSQL cannot be reached: check that it runs" in " ".join(errors.split())
    assert "Traceback" not in errors
    server.start()
    kept = one_value(url, "SELECT sum(held) FROM coverage")
    assert kept == one_value(url, "SELECT count(*) FROM candles") >= 4 * 400
    output, _ = run_tapekeeper(BACKFILL, settings_for(url, simulator))
    assert json_of(output)["inserted"] == ROWS - kept


@pytest.fixture
def small_disk(postgres_server: EmbeddedPostgres) -> Iterator[Path]:
    """A file system of one megabyte that the server may write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system: run the tests as root")
    folder = Path(tempfile.mkdtemp(prefix="tapekeeper-small-disk-", dir="/var/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        if postgres_server.user_name is not None:
            shutil.chown(folder, postgres_server.user_name)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(
    databases: Databases, small_disk: Path, simulator: Simulator
) -> None:
    with databases.migrated() as url:
        execute(url, f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        try:
            execute(url, "ALTER TABLE candles SET TABLESPACE small")
            _, errors = run_tapekeeper(BACKFILL, settings_for(url, simulator), exit_code=2)
            assert "PostgreSQL has no room left: free or add disk space, then run the same again" in errors
            assert "Traceback" not in errors
            kept = one_value(url, "SELECT coalesce(sum(held), 0)::bigint FROM coverage")
            assert kept == one_value(url, "SELECT count(*) FROM candles") < ROWS
        finally:
            execute(url, "ALTER TABLE candles SET TABLESPACE pg_default")
            execute(url, "DROP TABLESPACE small")
        output, _ = run_tapekeeper(BACKFILL, settings_for(url, simulator))
        assert json_of(output)["inserted"] == ROWS - kept
        assert held_candles(url, "BTC-PERPETUAL", WINDOW) == true_candles(simulator, "BTC-PERPETUAL", WINDOW)


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
