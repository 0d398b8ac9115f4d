from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from collector.buffer import Buffer
from collector.counters import Counters, Histogram
from collector.health import HealthServer
from collector.metrics import CollectorMetrics, Levels
from tapekeeper.model.gap import Cause
from tests.unit.collector.rows import quote

EXPECTED = {
    "tapekeeper_collector_messages_total": {"venue", "channel"},
    "tapekeeper_collector_decode_errors_total": {"venue", "channel"},
    "tapekeeper_collector_rows_written_total": {"table"},
    "tapekeeper_collector_rows_dropped_total": {"table"},
    "tapekeeper_collector_reconnects_total": {"reason"},
    "tapekeeper_collector_connected": set(),
    "tapekeeper_collector_subscriptions": set(),
    "tapekeeper_collector_channels_not_accepted": set(),
    "tapekeeper_collector_queue_depth": {"queue"},
    "tapekeeper_collector_queue_capacity": {"queue"},
    "tapekeeper_collector_spool_bytes": set(),
    "tapekeeper_collector_spool_capacity_bytes": set(),
    "tapekeeper_collector_sequence_breaks_total": set(),
    "tapekeeper_collector_gaps_recorded_total": {"cause"},
    "tapekeeper_collector_repaired_trades_total": set(),
    "tapekeeper_ingest_latency_seconds_bucket": {"le"},
    "tapekeeper_db_write_duration_seconds_count": set(),
    "tapekeeper_last_tick_timestamp_seconds": set(),
    "tapekeeper_last_commit_timestamp_seconds": set(),
    "tapekeeper_instruments_expected": set(),
    "tapekeeper_instruments_fresh": set(),
    "tapekeeper_disk_free_bytes": set(),
    "tapekeeper_build_info": {"version", "python"},
}


class Served:
    def __init__(self, tmp_path: Path) -> None:
        self.counters, self.buffer, self.conditions = Counters(), Buffer(10, 20), {"writing": True, "fresh": True}
        metrics = CollectorMetrics(
            self.counters, self.buffer, lambda: Levels(1, 150, 3, 50, 49, 7, 1_000), tmp_path, "0.1.0"
        )
        self.server = HealthServer(
            "127.0.0.1", 0, metrics, lambda: {"turning": True}, lambda: self.conditions, port_variable="PORT"
        )

    def get(self, path: str) -> requests.Response:
        return requests.get(self.server.url + path, timeout=10)

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {
            (sample.name, tuple(sorted(sample.labels.values()))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.server.close()


def test_every_metric_has_its_name_and_its_labels_from_the_start(served: Served) -> None:
    families = list(text_string_to_metric_families(served.get("/metrics").text))
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    assert {name: labels.get(name) for name in EXPECTED} == EXPECTED
    assert all(family.documentation for family in families)


def test_prometheus_finds_nothing_to_improve(served: Served) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    served.counters.ingest_latency.observe(0.2)
    exposition = served.get("/metrics").content
    checked = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_label_set_starts_at_nought(served: Served) -> None:
    samples = served.samples()
    for cause in Cause:
        assert samples["tapekeeper_collector_gaps_recorded_total", (cause.value,)] == 0
    assert samples["tapekeeper_collector_rows_written_total", ("option_trades",)] == 0
    assert samples["tapekeeper_collector_messages_total", ("book", "deribit")] == 0


def test_what_is_counted_is_published(served: Served) -> None:
    served.counters.messages["book"] += 3
    served.counters.gaps_recorded[Cause.DISCONNECT] += 2
    served.counters.last_tick_at = 1_500_000
    served.counters.ingest_latency.observe_all(np.array([0.01, 0.07, 500.0]))
    served.buffer.add_quotes([quote()])
    samples = served.samples()
    assert samples["tapekeeper_collector_messages_total", ("book", "deribit")] == 3
    assert samples["tapekeeper_collector_gaps_recorded_total", ("disconnect",)] == 2
    assert samples["tapekeeper_last_tick_timestamp_seconds", ()] == 1.5
    assert samples["tapekeeper_collector_queue_depth", ("quotes",)] == 1
    assert samples["tapekeeper_collector_queue_capacity", ("trades",)] == 20
    assert samples["tapekeeper_ingest_latency_seconds_bucket", ("0.05",)] == 1
    assert samples["tapekeeper_ingest_latency_seconds_bucket", ("+Inf",)] == 3
    assert samples["tapekeeper_ingest_latency_seconds_count", ()] == 3
    assert samples["tapekeeper_instruments_fresh", ()] == 49


def test_readiness_tells_each_condition(served: Served) -> None:
    assert served.get("/livez").json() == {"turning": True}
    assert served.get("/readyz").status_code == 200
    served.conditions["writing"] = False
    answer = served.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"writing": False, "fresh": True})
    assert served.get("/nothing").status_code == 404


def test_a_scrape_is_quick(served: Served) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        served.get("/metrics")
        return time.perf_counter() - started

    assert min(seconds() for _ in range(20)) < 0.02


def test_a_histogram_counts_one_value_as_it_counts_many() -> None:
    one, many = Histogram((0.1, 1.0)), Histogram((0.1, 1.0))
    values = [0.05, 0.1, 0.5, 1.0, 2.0]
    for value in values:
        one.observe(value)
    many.observe_all(np.array(values))
    assert one.counts == many.counts == [2, 2, 1]
    assert one.quantile(0.5) == 1.0
    assert one.sum == pytest.approx(many.sum)
