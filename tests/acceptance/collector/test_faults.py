"""The collector with many connections, in shards, with a slow database, a full disk, a wrong clock: all real parts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.local.postgresql import EmbeddedPostgres
from tests.support.collector import (
    NAMES,
    assert_gaps_are_short,
    assert_true,
    control,
    gaps,
    let_it_stream,
    list_option,
    missing_quotes,
    rows,
    running_collector,
    settle,
    wait_until_accounted,
)
from tests.support.full_disk import small_disk
from tests.support.locked import locked
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulator import Simulator

CONNECTED = "tapekeeper_collector_connected"
SUBSCRIPTIONS = "tapekeeper_collector_subscriptions"
SLOW = "full: the database is slower than the venue"
PATIENT = {"TAPEKEEPER_COLLECTOR_SILENCE_CLOSE_SECONDS": 15}
"""On a busy machine both sides may be silent for seconds, and here no connection is to end but those that are cut."""
ENDED = "SELECT count(*) FROM followed WHERE window_end IS NOT NULL"


def test_a_connection_that_cannot_be_made_again_costs_its_instruments_alone(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    opened = simulator.state()["connections_opened"]
    two_each = {"TAPEKEEPER_COLLECTOR_CHANNELS_PER_CONNECTION": 10, "TAPEKEEPER_COLLECTOR_CONNECTIONS_MAXIMUM": 4}
    with running_collector(database_url, simulator, tmp_path, **two_each, **PATIENT) as collector:
        collector.wait_until_ready()
        collector.wait_until_fresh(len(NAMES))
        assert (collector.metric(CONNECTED), collector.metric(SUBSCRIPTIONS)) == (3, 3 * len(NAMES) + 3)
        let_it_stream(database_url)
        control(simulator, "/control/streams", {"refuse_connections": 3})
        began = now_microseconds()
        control(simulator, "/control/cut", {"how": "reset", "connections": [opened + 2]})
        wait_for(lambda: collector.metric("tapekeeper_collector_reconnects_total", "refused") == 3)
        collector.wait_until_fresh(len(NAMES))
        ended = now_microseconds()
        assert (collector.metric(CONNECTED), collector.metric(SUBSCRIPTIONS)) == (3, 3 * len(NAMES) + 3)
        end = wait_until_accounted(database_url, NAMES)
        assert collector.terminate() == 0
    assert_true(database_url, simulator, NAMES, end)
    assert_gaps_are_short(database_url, NAMES, [(began, ended)])
    assert sorted(len(gaps(database_url, name)) for name in NAMES) == [0, 0, 0, 0, 1, 1]
    assert "its instruments move to others; 0 find no room" in collector.log.read_text(encoding="utf-8")
    # Four connections were made again or anew, and every one that was opened was closed.
    assert rows(database_url, "SELECT count(*), count(closed_at) FROM collector_sessions") == [(4, 4)]


def test_two_shards_hold_everything_once_by_one_trades_channel_through_a_listing_and_a_settlement(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    short_lived = "ETH-27DEC30-9500-C"
    with ExitStack() as stack:
        shards = [
            stack.enter_context(
                running_collector(
                    database_url,
                    simulator,
                    tmp_path,
                    SHARD=f"{number}/2",
                    TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY=tmp_path / f"spool-{number}",
                    TAPEKEEPER_COLLECTOR_TRADES_CHANNEL="currency",
                    **PATIENT,
                )
            )
            for number in (1, 2)
        ]
        for shard in shards:
            shard.wait_until_ready()
        wait_for(lambda: sum(shard.metric("tapekeeper_instruments_fresh") for shard in shards) == len(NAMES))
        list_option(simulator, short_lived)
        wait_for(lambda: sum(shard.metric("tapekeeper_instruments_fresh") for shard in shards) == len(NAMES) + 1)
        wait_until_accounted(database_url, (*NAMES, short_lived), now_microseconds() + 2_500_000)
        began = now_microseconds()
        control(simulator, "/control/cut", {"how": "clean"})
        wait_for(lambda: all(shard.metric("tapekeeper_collector_reconnects_total", "closed") == 1 for shard in shards))
        wait_for(lambda: sum(shard.metric("tapekeeper_instruments_fresh") for shard in shards) == len(NAMES) + 1)
        ended = now_microseconds()
        # While it settles, the venue refuses to be asked, as every day at 08:00.
        control(simulator, "/control/settle", {"instrument_names": [short_lived], "seconds": 2})
        wait_for(lambda: rows(database_url, ENDED) == [(2,)])
        end = wait_until_accounted(database_url, NAMES)
        held = [shard.metric("tapekeeper_instruments_expected") for shard in shards]
        assert [shard.metric(SUBSCRIPTIONS) for shard in shards] == [2 * number + 4 for number in held]
        assert [shard.terminate() for shard in shards] == [0, 0]
    assert min(held) > 0
    assert sum(held) == len(NAMES)
    assert_true(database_url, simulator, (*NAMES, short_lived), end)
    assert_gaps_are_short(database_url, (*NAMES, short_lived), [(began, ended)])
    followed = "SELECT count(*), count(DISTINCT series_id) FROM followed"
    assert rows(database_url, followed) == [(2 * len(NAMES) + 2, 2 * len(NAMES) + 2)]


def test_a_slow_database_costs_nothing_but_time_and_one_warning(
    database_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    with running_collector(database_url, simulator, tmp_path, BUFFER_SIZE_TRADES=20, **PATIENT) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        began = time.monotonic()
        for _ in range(2):
            with locked(database_url, "option_trades"):
                wait_for(lambda: collector.metric("tapekeeper_collector_queue_depth", "trades") >= 20)
                wait_for(lambda: SLOW in collector.log.read_text(encoding="utf-8"))
            end = wait_until_accounted(database_url, NAMES)
        minutes = (time.monotonic() - began) / 60
        assert collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes") == 0
    assert_true(database_url, simulator, NAMES, end)
    assert [missing_quotes(database_url, simulator, name, end) for name in NAMES] == [[]] * len(NAMES)
    # At most one a minute, and the second time comes sooner on any machine that is not very slow.
    assert 1 <= collector.log.read_text(encoding="utf-8").count(SLOW) <= 1 + minutes


def test_a_disk_without_room_drops_quotes_that_are_counted_exactly_and_no_trade(
    server: EmbeddedPostgres, simulator: Simulator, tmp_path: Path
) -> None:
    url = server.url()
    with (
        small_disk(tmp_path / "spool", 200_000) as begin_to_limit,
        running_collector(url, simulator, tmp_path, **PATIENT) as collector,
    ):
        begin_to_limit(collector.process.pid)
        collector.wait_until_ready()
        let_it_stream(url)
        server.stop()
        wait_for(lambda: collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes") > 50)
        server.start()
        collector.wait_until_ready()
        dropped = collector.metric("tapekeeper_collector_rows_dropped_total", "option_quotes")
        end = wait_until_accounted(url, NAMES)
        assert collector.metric("tapekeeper_collector_rows_dropped_total", "option_trades") == 0
        assert collector.terminate() == 0
    assert "takes nothing more" in collector.log.read_text(encoding="utf-8")
    assert_true(url, simulator, NAMES, end)
    missing = [moment for name in NAMES for moment in missing_quotes(url, simulator, name, end)]
    told = "SELECT sum((evidence->>'quotes')::int), min(cause), max(cause) FROM data_gaps"
    assert len(missing) == dropped
    assert rows(url, told) == [(dropped, "spool_full", "spool_full")]


def test_it_begins_without_the_database_and_finds_its_place_when_that_is_back(
    server: EmbeddedPostgres, simulator: Simulator, tmp_path: Path
) -> None:
    url = server.url()
    with running_collector(url, simulator, tmp_path, **PATIENT) as collector:
        collector.wait_until_ready()
        let_it_stream(url)
        server.stop()
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") > 5_000)
        began = now_microseconds()
        collector.kill()
    with running_collector(url, simulator, tmp_path, **PATIENT) as collector:
        collector.wait_until_fresh(len(NAMES))
        ended = now_microseconds()
        assert collector.readiness() == (503, {"subscribed": True, "writing": False, "fresh": True})
        spooled = collector.metric("tapekeeper_collector_spool_bytes")
        wait_for(lambda: collector.metric("tapekeeper_collector_spool_bytes") > spooled + 20_000)
        before = now_microseconds()
        control(simulator, "/control/cut", {"how": "clean"})
        wait_for(lambda: collector.metric("tapekeeper_collector_reconnects_total", "closed") == 1)
        collector.wait_until_fresh(len(NAMES))
        after = now_microseconds()
        new = "ETH-27DEC30-9600-C"
        list_option(simulator, new)
        server.start()
        collector.wait_until_ready()
        collector.wait_until_fresh(len(NAMES) + 1)
        end = wait_until_accounted(url, (*NAMES, new), now_microseconds() + 2_500_000)
        assert collector.terminate() == 0
    settle(simulator, [new])
    assert_true(url, simulator, (*NAMES, new), end)
    for name in NAMES:
        assert [cause for *_, cause, _ in gaps(url, name)] == ["restart", "disconnect"]
    assert_gaps_are_short(url, NAMES, [(began, ended), (before, after)])
    killed = "SELECT count(*) FILTER (WHERE close_reason LIKE '%%killed'), count(*) FROM collector_sessions"
    assert rows(url, killed) == [(1, 3)]


def test_a_clock_that_jumps_moves_no_row_and_no_gap(database_url: str, simulator: Simulator, tmp_path: Path) -> None:
    wrong_by = tmp_path / "wrong-by"
    wrong_by.write_text("0")
    command = ("tests.support.jumping_clock", str(wrong_by))
    interruptions = []
    with running_collector(database_url, simulator, tmp_path, command, **PATIENT) as collector:
        collector.wait_until_ready()
        let_it_stream(database_url)
        for seconds, how in ((7_200, "clean"), (-7_200, "reset")):
            before = collector.metric("tapekeeper_collector_repaired_trades_total")
            wrong_by.write_text(str(seconds))
            let_it_stream(database_url)
            began = now_microseconds()
            # Long enough that trades are missed: the busy ones have fourteen a second.
            control(simulator, "/control/streams", {"refuse_connections": 3})
            control(simulator, "/control/cut", {"how": how})
            wait_for(lambda: collector.metric("tapekeeper_collector_repaired_trades_total") > before)  # noqa: B023
            collector.wait_until_fresh(len(NAMES))
            interruptions.append((began, now_microseconds()))
        end = wait_until_accounted(database_url, NAMES)
        assert collector.terminate() == 0
    assert_true(database_url, simulator, NAMES, end)
    for name in NAMES:
        recorded = gaps(database_url, name)
        assert [cause for *_, cause, _ in recorded] == ["disconnect"] * 2
        for (start, stop, *_), (began, ended) in zip(recorded, interruptions, strict=True):
            assert began - 2 * MICROSECONDS_PER_SECOND < start < stop < ended + 2 * MICROSECONDS_PER_SECOND
    wrong = "SELECT count(*) FILTER (WHERE abs(extract(epoch FROM received_at - event_time)) > 3600) > 0"
    assert rows(database_url, f"{wrong} FROM option_quotes") == [(True,)]
