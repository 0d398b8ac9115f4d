"""The collector against the simulator and PostgreSQL, all of them real: what is not in a gap is in the database."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tapekeeper.clock import now_microseconds
from tapekeeper.local.postgresql import EmbeddedPostgres
from tests.support.collector import (
    NAMES,
    RunningCollector,
    assert_gaps_are_short,
    assert_true,
    control,
    followed_from,
    gaps,
    let_it_stream,
    list_option,
    missing_quotes,
    rows,
    running_collector,
    settings_for,
    settle,
    wait_until_accounted,
    wait_until_swept,
)
from tests.support.command_line import environment
from tests.support.locked import locked
from tests.support.processes import wait_for
from tests.support.simulator import PROJECT

if TYPE_CHECKING:
    from tests.support.databases import Databases
    from tests.support.simulator import Simulator

TRADES = "deribit.option_trades"
RECORDED = "SELECT sum((evidence->>'quotes')::int), min(cause), max(cause) FROM data_gaps"


def test_everything_arrives_and_the_end_is_clean(database_url: str, simulator: Simulator, tmp_path: Path) -> None:
    record = {"TAPEKEEPER_COLLECTOR_RECORD_DIRECTORY": tmp_path / "frames"}
    with running_collector(database_url, simulator, tmp_path, **record) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url, 2)
        end = wait_until_accounted(database_url, NAMES)
        metrics = collector.metrics()
        assert collector.terminate() == 0
    assert_true(database_url, simulator, NAMES, end)
    for name in NAMES:
        assert gaps(database_url, name) == gaps(database_url, name, TRADES) == []
        assert missing_quotes(database_url, simulator, name, end) == []
    assert metrics["tapekeeper_collector_connected", ()] == 1
    assert metrics["tapekeeper_collector_subscriptions", ()] == 3 * len(NAMES) + 3
    assert metrics["tapekeeper_instruments_fresh", ()] == metrics["tapekeeper_instruments_expected", ()] == len(NAMES)
    assert metrics["tapekeeper_collector_rows_written_total", ("option_trades",)] > 0
    assert rows(database_url, "SELECT sum(held) = sum(expected) FROM series_totals") == [(True,)]
    ((code, messages),) = rows(database_url, "SELECT close_code, messages FROM collector_sessions")
    frames = [
        line for file in (tmp_path / "frames").iterdir() for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    assert (code, messages) == (1000, len(frames))
    assert all(json.loads(frame)["jsonrpc"] == "2.0" for frame in frames)


def test_interruptions_of_every_kind_cost_quotes_in_gaps_and_no_trade(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    interruptions = []
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        for ending, path, body in (
            ("closed", "/control/cut", {"how": "clean"}),
            ("reset", "/control/cut", {"how": "reset"}),
            ("silence", "/control/cut", {"how": "half_open"}),
            ("silence", "/control/faults", {"faults": [{"kind": "ws_stall", "seconds": 4, "to_frame": 1}]}),
            ("reset", "/control/restart", {"seconds": 1, "how": "reset"}),
        ):
            before = collector.metric("tapekeeper_collector_reconnects_total", ending)
            began = now_microseconds()
            control(simulator, path, body)
            wait_for(lambda: collector.metric("tapekeeper_collector_reconnects_total", ending) > before)  # noqa: B023
            simulator.clear_faults()
            collector.wait_until_fresh(len(NAMES))
            interruptions.append((began, now_microseconds()))
            # So the next gap cannot be one with this.
            wait_until_accounted(database_url, NAMES)
        end = wait_until_accounted(database_url, NAMES)
    assert_true(database_url, simulator, NAMES, end)
    assert_gaps_are_short(database_url, NAMES, interruptions)
    for name in NAMES:
        assert [cause for *_, cause, _ in gaps(database_url, name)] == ["disconnect"] * len(interruptions)
    assert rows(database_url, "SELECT count(*) > 0 FROM repair_receipts") == [(True,)]


def test_a_kill_in_the_middle_of_a_flush_costs_nothing_but_a_gap(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        committed = now_microseconds()
        with locked(database_url, "option_trades"):
            collector.kill()
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_fresh(len(NAMES))
        recovered = now_microseconds()
        end = wait_until_accounted(database_url, NAMES)
    assert_true(database_url, simulator, NAMES, end)
    assert_gaps_are_short(database_url, NAMES, [(committed, recovered)])
    for name in NAMES:
        assert [cause for *_, cause, _ in gaps(database_url, name)] == ["restart"]
    assert rows(database_url, "SELECT count(*) FROM collector_sessions WHERE close_reason LIKE '%%killed'") == [(1,)]


def test_without_the_database_everything_waits_on_disk_even_through_a_kill(
    server: EmbeddedPostgres, simulator: Simulator, tmp_path: Path
) -> None:
    url = server.url()
    with running_collector(url, simulator, tmp_path) as collector:
        collector.wait_until_ready()
        let_it_stream(url)
        server.stop()
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") > 20_000)
        assert collector.readiness() == (503, {"subscribed": True, "writing": False, "fresh": True})
        server.start()
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") == 0)
        end = wait_until_accounted(url, NAMES)
        assert_true(url, simulator, NAMES, end)
        assert [gaps(url, name) for name in NAMES] == [[]] * len(NAMES)
        server.stop()
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") > 20_000)
        on_disk_until = now_microseconds()
        # Rows go to disk in their order: when there are so many more, those before that moment are there.
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") > 60_000)
        killed = now_microseconds()
        collector.kill()
    server.start()
    with running_collector(url, simulator, tmp_path) as collector:
        collector.wait_until_fresh(len(NAMES))
        recovered = now_microseconds()
        end = wait_until_accounted(url, NAMES)
        assert collector.terminate() == 0
    assert_true(url, simulator, NAMES, end)
    assert_gaps_are_short(url, NAMES, [(killed, recovered)])
    missing = [moment for name in NAMES for moment in missing_quotes(url, simulator, name, end)]
    assert min(missing, default=killed) >= on_disk_until


def test_a_full_spool_drops_quotes_that_are_counted_exactly_and_no_trade(
    server: EmbeddedPostgres, simulator: Simulator, tmp_path: Path
) -> None:
    url = server.url()
    small = {"TAPEKEEPER_COLLECTOR_SPOOL_BYTES_MAXIMUM": 65_536}
    with running_collector(url, simulator, tmp_path, **small) as collector:
        collector.wait_until_ready()
        let_it_stream(url)
        server.stop()
        wait_for(lambda: collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes") > 50)
        dropped = collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes")
        assert collector.metric("tapekeeper_collector_rows_dropped_total", "option_trades") == 0
        server.start()
        collector.wait_until_ready()
        dropped = collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes")
        end = wait_until_accounted(url, NAMES)
        server.stop()
        assert collector.terminate() == 0
    server.start()
    assert_true(url, simulator, NAMES, end)
    missing = [moment for name in NAMES for moment in missing_quotes(url, simulator, name, end)]
    assert len(missing) == dropped
    assert rows(url, RECORDED) == [(dropped, "spool_full", "spool_full")]


def test_frames_that_are_lost_doubled_late_or_broken_are_noticed(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        simulator.set_faults(
            [
                {"kind": "ws_sequence_break", "channel": "book", "probability": 0.03},
                {"kind": "ws_drop", "channel": "book", "probability": 0.02},
                {"kind": "ws_drop", "channel": "trades", "probability": 0.1},
                {"kind": "ws_duplicate", "probability": 0.05},
                {"kind": "ws_reorder", "probability": 0.05},
                {"kind": "ws_delay", "channel": "trades", "probability": 0.05, "seconds": 0.5},
            ]
        )
        wait_for(lambda: collector.metric("tapekeeper_collector_sequence_breaks_total") >= 10)
        # The next trade tells that one was lost before it.
        wait_for(lambda: any(gaps(database_url, name, TRADES) for name in NAMES))
        simulator.clear_faults()
        collector.wait_until_fresh(len(NAMES))
        end = wait_until_accounted(database_url, NAMES)
        wait_until_swept(database_url, simulator, NAMES, end)
    assert_true(database_url, simulator, NAMES, end)
    causes = {cause for name in NAMES for *_, cause, _ in gaps(database_url, name)}
    assert causes == {"sequence_break"}
    assert any(gaps(database_url, name, TRADES) for name in NAMES)
    assert rows(database_url, "SELECT count(*) > 0 FROM option_quotes WHERE from_ticker AND change_id = 0") == [(True,)]


def test_listings_and_expiries_are_followed_without_a_restart(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    new, old = "ETH-27DEC30-9300-C", "ETH-27DEC30-9400-C"
    list_option(simulator, old)
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_fresh(len(NAMES) + 1)
        let_it_stream(database_url)
        list_option(simulator, new)
        collector.wait_until_fresh(len(NAMES) + 2)
        wait_until_accounted(database_url, (new,))
        settle(simulator, [old])
        collector.wait_until_fresh(len(NAMES) + 1)
        ended = "SELECT count(*) FROM followed WHERE window_end IS NOT NULL"
        wait_for(lambda: rows(database_url, ended) == [(2,)])
        end = wait_until_accounted(database_url, (*NAMES, new))
        assert collector.process.poll() is None
    settle(simulator, [new])
    assert_true(database_url, simulator, (*NAMES, old), end)
    assert followed_from(database_url, new) > followed_from(database_url, old)
    assert [gaps(database_url, name) for name in (*NAMES, new)] == [[]] * (len(NAMES) + 1)


def test_quotes_that_find_no_room_are_counted_exactly(database_url: str, simulator: Simulator, tmp_path: Path) -> None:
    def dropped() -> float:
        return collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes")

    with running_collector(database_url, simulator, tmp_path, BUFFER_SIZE_QUOTES=100) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        with locked(database_url, "option_quotes"):
            # Nobody can see the drops while the writer waits: they are told with the batch that follows.
            wait_for(lambda: collector.metric("tapekeeper_collector_queue_depth", "quotes") == 100)
            time.sleep(1)
        told = -1.0
        # On a busy machine such a small buffer may overflow again: nothing may be dropped between two looks.
        while told != (told := dropped()):
            end = wait_until_accounted(database_url, NAMES)
            recorded = rows(database_url, RECORDED)
    assert_true(database_url, simulator, NAMES, end)
    missing = [moment for name in NAMES for moment in missing_quotes(database_url, simulator, name, end)]
    assert len(missing) == told > 0
    assert recorded == [(told, "buffer_overflow", "buffer_overflow")]


def test_malformed_and_huge_frames_are_survived(database_url: str, simulator: Simulator, tmp_path: Path) -> None:
    with running_collector(database_url, simulator, tmp_path) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        simulator.set_faults([{"kind": "ws_malformed", "probability": 0.03}])
        wait_for(lambda: decode_errors(collector) >= 10)
        simulator.set_faults([{"kind": "ws_huge", "megabytes": 2, "to_frame": 2}])
        let_it_stream(database_url)
        before = collector.metric("tapekeeper_collector_reconnects_total", "oversized")
        simulator.set_faults([{"kind": "ws_huge", "megabytes": 12, "to_frame": 1}])
        wait_for(lambda: collector.metric("tapekeeper_collector_reconnects_total", "oversized") > before)
        simulator.clear_faults()
        collector.wait_until_fresh(len(NAMES))
        end = wait_until_accounted(database_url, NAMES)
        wait_until_swept(database_url, simulator, NAMES, end)
    assert_true(database_url, simulator, NAMES, end)
    assert 10 <= len(list((tmp_path / "spool" / "malformed").iterdir())) <= 100


def test_check_says_what_is_wrong_and_ends(
    database_url: str, databases: Databases, simulator: Simulator, tmp_path: Path
) -> None:
    settings = settings_for(database_url, simulator, tmp_path)
    well = check(settings)
    assert (well.returncode, well.stdout.count(": ok")) == (0, 4)
    wrong = check(
        {
            **settings,
            "TAPEKEEPER_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing",
            "TAPEKEEPER_DERIBIT_WEBSOCKET_URL": "ws://127.0.0.1:1/",
        }
    )
    assert wrong.returncode == 1
    assert "database: PostgreSQL cannot be reached" in wrong.stderr
    assert "venue, WebSocket: no connection to ws://127.0.0.1:1/" in wrong.stderr
    assert "secret" not in wrong.stderr + wrong.stdout
    misspelt = check({**settings, "TAPEKEEPER_COLLECTOR_CURENCY": "ETH"})
    assert (misspelt.returncode, "did you mean TAPEKEEPER_COLLECTOR_CURRENCY" in misspelt.stderr) == (2, True)
    with databases.empty() as empty:
        behind = check({**settings, "TAPEKEEPER_DATABASE_URL": empty})
    assert (behind.returncode, "run tapekeeper migrate" in behind.stderr) == (1, True)


def check(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "check"]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(settings), capture_output=True, text=True, timeout=60, check=False
    )


def decode_errors(collector: RunningCollector) -> float:
    return sum(
        value for (name, _), value in collector.metrics().items() if name == "tapekeeper_collector_decode_errors_total"
    )
