"""What the collector recorded is played by the simulator, and another collector makes the same rows of it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tests.support.collector import NAMES, let_it_stream, rows, running_collector, small_world
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Databases

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
        with small_world() as simulator:
            record = {"TAPEKEEPER_COLLECTOR_RECORD_DIRECTORY": str(frames)}
            with running_collector(first, simulator, tmp_path, **record) as collector:
                collector.wait_until_fresh(len(NAMES))
                let_it_stream(first)
                assert collector.terminate() == 0
        recording.write_bytes(b"".join(gzip.decompress(file.read_bytes()) for file in sorted(frames.iterdir())))
        # A world without trades of its own: what it told of the past would be another world's.
        with small_world("--replay", str(recording), trades_per_day=0.001) as simulator:
            elsewhere = {"TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY": str(tmp_path / "elsewhere")}
            with running_collector(second, simulator, tmp_path, **elsewhere) as collector:
                wait_for(lambda: rows(second, QUOTES) == rows(first, QUOTES) != [])
                wait_for(lambda: rows(second, TRADES) == rows(first, TRADES) != [])
                assert collector.terminate() == 0
            told = simulator.state()["replay"]
        assert told["frames_sent"] == told["frames"] == len(recording.read_bytes().splitlines())
