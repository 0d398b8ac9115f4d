"""What the collector recorded is played by the simulator, and another collector makes the same rows of it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tapekeeper.clock import now_microseconds
from tests.support.collector import BUSY, QUIET, make_small, rows, running_collector, wait_until_accounted
from tests.support.processes import wait_for
from tests.support.simulator import running_simulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Databases

NAMES = (*BUSY, *QUIET)
QUOTES = """
    SELECT name, event_time, change_id, bid_price, bid_size, ask_price, ask_size, mark_price, mark_iv, open_interest
    FROM option_quotes JOIN instruments USING (instrument_id) ORDER BY name, event_time, change_id
"""
TRADES = """
    SELECT name, trade_seq, trade_id, event_time, price, size, side, iv, combo_id, block_trade_id
    FROM option_trades JOIN instruments USING (instrument_id) ORDER BY name, trade_seq
"""


def test_what_was_recorded_can_be_played_again_to_the_same_rows(databases: Databases, tmp_path: Path) -> None:
    frames, recording = tmp_path / "frames", tmp_path / "frames.jsonl"
    with databases.migrated() as first, databases.migrated() as second:
        with running_simulator("--quote-changes-per-second", "4") as simulator:
            make_small(simulator)
            record = {"TAPEKEEPER_COLLECTOR_RECORD_DIRECTORY": str(frames)}
            with running_collector(first, simulator, tmp_path, **record) as collector:
                collector.wait_until_fresh(len(NAMES))
                wait_until_accounted(first, NAMES, now_microseconds() + 2_000_000)
                assert collector.terminate() == 0
        recording.write_bytes(b"".join(gzip.decompress(file.read_bytes()) for file in sorted(frames.iterdir())))
        with running_simulator("--replay", str(recording)) as simulator:
            # A world without trades of its own: what it told of the past would be another world's.
            make_small(simulator, trades_per_day=0.001)
            elsewhere = {"TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY": str(tmp_path / "elsewhere")}
            with running_collector(second, simulator, tmp_path, **elsewhere) as collector:
                wait_for(lambda: rows(second, QUOTES) == rows(first, QUOTES) != [])
                wait_for(lambda: rows(second, TRADES) == rows(first, TRADES) != [])
                assert collector.terminate() == 0
            told = simulator.state()["replay"]
        assert told["frames_sent"] == told["frames"] == len(recording.read_bytes().splitlines())
