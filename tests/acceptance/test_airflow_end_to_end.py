"""Real Airflow processes, triggered over the REST API, in a storm, with a worker killed in the middle of it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest
import requests

from tapekeeper.clock import parse_moment
from tapekeeper.local.airflow import ADMIN
from tapekeeper.local.console import Console
from tapekeeper.local.installation import Installation, running
from tapekeeper.local.postgresql import remove_data
from tapekeeper.model.quality import Hole
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.ledger import record_holes
from tapekeeper.store.database import Database
from tests.support.processes import ended, wait_for
from tests.support.simulator import Simulator
from tests.support.truth import held_candles, one_value, query, true_candles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.local.airflow_client import AirflowClient

DAG = "deribit_perpetual_candles"
LIVE_DAG = "deribit_perpetual_candles_live"
QUALITY_DAG = "quality_daily"
REPAIR_DAG = "gap_repair"
BINANCE_DAG = "binance_um_candles"
OPTIONS_DAG = "cryptodatadownload_option_candles"
LISTING_DAG = "instrument_sync"
INSTRUMENTS = ("BTC-PERPETUAL", "ETH-PERPETUAL")
PROJECT = Path(__file__).parents[2]
START, END = "2024-03-01", "2024-03-11"
WINDOW = Window(parse_moment(START, now=0), parse_moment(END, now=0))
CHECKS = ["gap_detection", "ohlcv_sanity", "row_counts", "refetch", "exact_count"]
ROWS = 14_400
STORM: list[dict[str, Any]] = [
    {"kind": "too_many_requests", "probability": 0.06, "burst": 3},
    {"kind": "malformed", "probability": 0.1},
    {"kind": "truncated", "probability": 0.1},
    {"kind": "bad_candle", "probability": 0.1, "method": "public/get_tradingview_chart_data"},
]
SETTINGS = {
    "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "18",
    "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "500",
    "TAPEKEEPER_BACKFILL_LEASE_SECONDS": "5",
    "TAPEKEEPER_BACKFILL_PROGRESS_ROWS": "2000",
    "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "50",
    "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "50",
    "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.1",
    "TAPEKEEPER_HTTP_BACKOFF_LONGEST_SECONDS": "2",
    "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "3",
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
    with running(
        folder, PROJECT, {**inherited, **SETTINGS}, Console(to_standard_error=True), simulated=True
    ) as installation:
        yield installation
    remove_data(folder / "postgresql")


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[AirflowClient]:
    with closing(installation.client()) as client:
        wait_for(
            lambda: {DAG, LIVE_DAG, QUALITY_DAG, REPAIR_DAG, BINANCE_DAG, OPTIONS_DAG, LISTING_DAG} <= client.dag_ids()
        )
        client.pause(DAG, paused=False)
        yield client


@pytest.fixture
def url(installation: Installation) -> str:
    return installation.settings.database.url.get_secret_value()


@pytest.fixture
def venue(installation: Installation) -> Iterator[Simulator]:
    assert installation.simulator_url is not None
    simulator = Simulator(installation.simulator_url)
    yield simulator
    simulator.clear_faults()


def run(client: AirflowClient, run_id: str, **changes: object) -> None:
    conf = {
        "instruments": list(INSTRUMENTS),
        "start": START,
        "end": END,
        "resolution": "1",
        "direction": "oldest first",
        "mode": "missing only",
        "keep_fresh": False,
    }
    client.trigger(DAG, run_id, {**conf, **changes})


def finished(client: AirflowClient, run_id: str) -> str:
    wait_for(lambda: client.run_state(DAG, run_id) in {"success", "failed"}, seconds=300)
    return client.run_state(DAG, run_id)


def task_log(installation: Installation, run_id: str, task: str) -> str:
    files = sorted(installation.airflow.task_logs.glob(f"dag_id={DAG}/run_id={run_id}/task_id={task}/**/*.log"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def worker_of_a_chunk(url: str) -> psutil.Process | None:
    """Return a process that has a chunk under way, by its connection to the database."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT client_port FROM pg_stat_activity WHERE application_name = 'tapekeeper backfill'")
        ports = {row[0] for row in cursor.fetchall()}
    for found in psutil.net_connections("tcp"):
        if found.laddr and found.laddr.port in ports and found.pid:
            return psutil.Process(found.pid)
    return None


def test_a_killed_worker_in_a_storm_costs_no_row(
    installation: Installation, client: AirflowClient, url: str, venue: Simulator
) -> None:
    venue.set_faults(STORM)
    run(client, "storm")
    wait_for(lambda: one_value(url, "SELECT count(*) FROM backfill_chunks WHERE state = 'done'") >= 5)
    killed: list[psutil.Process] = []

    def found() -> bool:
        worker = worker_of_a_chunk(url)
        killed.extend([worker] if worker else [])
        return bool(killed)

    wait_for(found)
    assert one_value(url, "SELECT count(*) FROM backfill_chunks WHERE state IN ('pending', 'running')") > 0
    killed[0].kill()
    ended(killed)
    assert finished(client, "storm") == "success", task_log(installation, "storm", "*")
    for instrument in INSTRUMENTS:
        assert held_candles(url, instrument, WINDOW) == true_candles(venue, instrument, WINDOW)
    days = "FROM series_days WHERE dataset = 'deribit.perpetual_candles'"
    assert one_value(url, f"SELECT sum(held) {days}") == 2 * ROWS
    assert one_value(url, f"SELECT count(*) {days} AND state <> 'complete'") == 0
    limited = "SELECT count(*) FROM api_requests WHERE outcome = 'retry' AND reason LIKE '%10028%'"
    assert one_value(url, limited) > 0, "the storm was felt"
    assert " rows so far, now at " in task_log(installation, "storm", "backfill")
    log = task_log(installation, "storm", "summary")
    assert '"event": "backfill_summary"' in log.replace('\\"', '"')


def test_the_same_run_again_asks_for_nothing(client: AirflowClient, url: str) -> None:
    before = one_value(url, "SELECT count(*) FROM api_requests WHERE run_id IS NOT NULL")
    run(client, "again")
    assert finished(client, "again") == "success"
    assert one_value(url, "SELECT count(*) FROM api_requests WHERE run_id IS NOT NULL") == before


BAD_FORMS: dict[str, tuple[dict[str, object], str]] = {
    "naive": ({"start": "2024-03-01T10:00"}, "has no time zone: type a UTC time such as"),
    "nonsense": ({"start": "yesterday"}, "'yesterday' is not a time: type a UTC time such as"),
    "unknown-key": ({"colour": "red"}, "'colour' is not a parameter: use direction"),
    "typo": ({"instruments": ["BTC-PERPETUL"]}, "knows no instrument 'BTC-PERPETUL': did you mean BTC-PERPETUAL"),
    "swapped": ({"start": "2024-03-21", "end": "2024-03-01"}, "choose an earlier start or a later end"),
}


@pytest.fixture(scope="module")
def bad_runs(client: AirflowClient) -> None:
    """All of them at once: each takes seconds, most of which are Airflow's."""
    for run_id, (changes, _) in BAD_FORMS.items():
        run(client, run_id, **changes)


@pytest.mark.parametrize("run_id", BAD_FORMS)
@pytest.mark.usefixtures("bad_runs")
def test_a_bad_form_fails_in_the_first_task_with_what_to_type(
    run_id: str, installation: Installation, client: AirflowClient
) -> None:
    _, sentence = BAD_FORMS[run_id]
    assert finished(client, run_id) == "failed"
    assert client.task_states(DAG, run_id)["plan"] == "failed"
    assert sentence in task_log(installation, run_id, "plan")


def test_a_long_wait_gives_the_slot_back_and_uses_up_no_try(client: AirflowClient, url: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE rate_budgets SET blocked_until = now() + interval '15 s' WHERE name = 'deribit.rest'")
    run(client, "patient", start="2024-04-01", end="2024-04-02")
    wait_for(lambda: client.task_states(DAG, "patient")["plan"] == "up_for_reschedule")
    assert finished(client, "patient") == "success"
    assert one_value(url, "SELECT sum(held) FROM series_days WHERE day = '2024-04-01'") == 2 * 1_440


def test_the_live_dag_keeps_followed_series_fresh(client: AirflowClient, url: str, installation: Installation) -> None:
    run(client, "followed", start="2026-01-01", end="2026-01-02", resolution="1D", keep_fresh=True)
    assert finished(client, "followed") == "success"
    client.pause(LIVE_DAG, paused=False)
    client.trigger(LIVE_DAG, "by-hand", {})
    wait_for(lambda: client.run_state(LIVE_DAG, "by-hand") in {"success", "failed"}, seconds=300)
    assert client.run_state(LIVE_DAG, "by-hand") == "success"
    # The newest closed daily candle is yesterday's.
    newest = "SELECT bool_and(last_event_time >= now() - interval '2 days 1 minute') FROM series_totals JOIN series"
    assert one_value(url, f"{newest} USING (series_id) WHERE resolution_seconds = 86400") is True
    client.pause(LIVE_DAG, paused=True)


def test_one_dag_fetches_what_is_asked_for_and_keeps_fresh_by_the_clock(client: AirflowClient, url: str) -> None:
    asked = {"instruments": ["BTCUSDT"], "start": START, "end": END, "resolution": "1h"}
    client.pause(BINANCE_DAG, paused=False)
    client.trigger(BINANCE_DAG, "asked", {**asked, "keep_fresh": True})
    wait_for(lambda: client.run_state(BINANCE_DAG, "asked") in {"success", "failed"}, seconds=300)
    states = client.task_states(BINANCE_DAG, "asked")
    assert states == {"plan": "success", "backfill[0]": "success", "summary": "success", "keep_fresh": "skipped"}
    assert client.xcom(BINANCE_DAG, "asked", "summary", "return_value")["inserted"] == 240

    def by_the_clock() -> list[str]:
        runs = client._ask("GET", f"dags/{BINANCE_DAG}/dagRuns", params={"state": "success"})["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["run_type"] == "scheduled"]

    # Airflow makes up for the last run that the start of this one has missed.
    wait_for(lambda: bool(by_the_clock()), seconds=300)
    states = client.task_states(BINANCE_DAG, by_the_clock()[0])
    assert states.pop("keep_fresh") == "success"
    assert set(states.values()) == {"skipped"}
    client.pause(BINANCE_DAG, paused=True)
    held = "SELECT count(*) FROM candles JOIN series USING (series_id) WHERE dataset = 'binance_um.candles'"
    assert one_value(url, held) >= 240


def test_a_used_up_hour_of_calls_gives_the_slot_back_and_no_day_is_asked_for_twice(
    client: AirflowClient, url: str, venue: Simulator
) -> None:
    # An hour of some seconds, with so few calls that the days use up several of them.
    venue.set_cryptodatadownload_limits(calls=4, window_seconds=12)
    client.pause(OPTIONS_DAG, paused=False)
    client.trigger(OPTIONS_DAG, "throttled", {"instruments": ["ETH"], "start": "2024-03-01", "end": "2024-03-13"})
    wait_for(
        lambda: client.task_states(OPTIONS_DAG, "throttled").get("backfill[0]") == "up_for_reschedule", seconds=300
    )
    venue.set_cryptodatadownload_limits(calls=100_000, window_seconds=3_600)
    wait_for(lambda: client.run_state(OPTIONS_DAG, "throttled") in {"success", "failed"}, seconds=300)
    assert client.run_state(OPTIONS_DAG, "throttled") == "success"
    summary = client.xcom(OPTIONS_DAG, "throttled", "summary", "return_value")
    assert (summary["chunks_done"], summary["chunks_failed"]) == (12, 0)
    tasks = client._ask("GET", f"dags/{OPTIONS_DAG}/dagRuns/throttled/taskInstances")["task_instances"]
    assert {task["try_number"] for task in tasks if task["state"] == "success"} == {1}, "waiting uses up no try"
    client.pause(OPTIONS_DAG, paused=True)
    answered = """
        SELECT parameters->>'date', count(*) FILTER (WHERE outcome = 'ok'), count(*) FILTER (WHERE status = 429) > 0
        FROM api_requests WHERE venue = 'cryptodatadownload' AND parameters ? 'date' GROUP BY 1
    """
    days = query(url, answered)
    assert {times for _, times, _ in days} == {1}
    assert len(days) == 12
    assert any(was_refused for *_, was_refused in days)
    start, end = (parse_moment(day, now=0) // 1_000 for day in ("2024-03-01", "2024-03-13"))
    truth = venue.truth("cryptodatadownload/option_candles", currency="ETH", start=start, end=end)
    assert one_value(url, "SELECT count(*) FROM option_candles") == len(truth["symbol"]) > 1_000


def test_the_lists_of_instruments_follow_the_venues(client: AirflowClient, url: str) -> None:
    client.pause(LISTING_DAG, paused=False)
    client.trigger(LISTING_DAG, "by-hand", {})
    wait_for(lambda: client.run_state(LISTING_DAG, "by-hand") in {"success", "failed"}, seconds=300)
    assert client.task_states(LISTING_DAG, "by-hand") == {f"sync[{number}]": "success" for number in range(3)}
    assert one_value(url, "SELECT count(DISTINCT venue) FROM instruments") == 3
    client.pause(LISTING_DAG, paused=True)


def lose(url: str, window: Window) -> int:
    """Take minutes of one day out of the table and off the account, as a mistake would; return their series."""
    start, end = window.as_datetimes()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM candles USING series, instruments
            WHERE series.series_id = candles.series_id AND series.instrument_id = instruments.instrument_id
                AND name = 'BTC-PERPETUAL' AND resolution_seconds = 60 AND open_time >= %s AND open_time < %s
            RETURNING candles.series_id
            """,
            (start, end),
        )
        lost = cursor.rowcount
        ((series_id,), *_) = cursor.fetchall()
        cursor.execute(
            "UPDATE coverage SET held = held - %s WHERE series_id = %s AND day = %s", (lost, series_id, start.date())
        )
        cursor.execute(
            "UPDATE series_totals SET held = held - %s, rows_held = rows_held - %s WHERE series_id = %s",
            (lost, lost, series_id),
        )
    return int(series_id)


def check_quality(client: AirflowClient, run_id: str) -> dict[str, str]:
    """Look at the storm's days through Airflow, and return how each task ended."""
    typed = {"datasets": [DERIBIT_PERPETUAL_CANDLES.name], "window": f"{START}/{END}", "checks": CHECKS}
    client.trigger(QUALITY_DAG, run_id, typed)
    wait_for(lambda: client.run_state(QUALITY_DAG, run_id) in {"success", "failed"}, seconds=300)
    return client.task_states(QUALITY_DAG, run_id)


def test_quality_is_checked_by_hand(installation: Installation, client: AirflowClient) -> None:
    client.pause(QUALITY_DAG, paused=False)
    assert check_quality(client, "good") == {"check": "success", "reports": "success", "verdict": "success"}
    summary = client.xcom(QUALITY_DAG, "good", "verdict", "summary")
    assert (summary["state"], [check["found"] for check in summary["checks"]]) == ("green", [0] * len(CHECKS))
    address = f"{installation.airflow.url}/api/data_status/reports/{summary['run_id']}/"
    assert requests.get(address, timeout=30).status_code == 401
    login = {"username": ADMIN, "password": installation.admin_password}
    token = requests.post(f"{installation.airflow.url}/auth/token", json=login, timeout=30).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert "All is well" in requests.get(address, headers=headers, timeout=30).text
    listed = requests.get(f"{installation.airflow.url}/api/data_status/", headers=headers, timeout=30).json()
    assert listed[0]["last_quality_run"]["run_id"] == summary["run_id"]


def test_quality_is_checked_by_itself_as_of_three_in_the_morning(client: AirflowClient) -> None:
    def scheduled() -> list[str]:
        runs = client._ask("GET", f"dags/{QUALITY_DAG}/dagRuns")["dag_runs"]
        return [run["run_after"] for run in runs if run["run_type"] == "scheduled"]

    # The night's run that the start of this Airflow has missed.
    wait_for(lambda: bool(scheduled()))
    times = [*scheduled(), client._ask("GET", f"dags/{QUALITY_DAG}")["next_dagrun_run_after"]]
    assert {time[11:] for time in times} == {"03:00:00Z"}


def test_a_red_check_is_seen_and_what_is_missing_is_repaired_by_itself(
    client: AirflowClient, url: str, venue: Simulator
) -> None:
    client.pause(REPAIR_DAG, paused=False)
    lose(url, Window(parse_moment("2024-03-05T12:00Z", now=0), parse_moment("2024-03-05T12:30Z", now=0)))
    assert check_quality(client, "red") == {"check": "success", "reports": "success", "verdict": "failed"}
    assert client.run_state(QUALITY_DAG, "red") == "failed"
    assert client.xcom(QUALITY_DAG, "red", "verdict", "summary")["gaps_opened"] == 1
    wait_for(lambda: one_value(url, "SELECT state FROM data_gaps ORDER BY gap_id DESC LIMIT 1") == "repaired")
    runs = client._ask("GET", f"dags/{REPAIR_DAG}/dagRuns")["dag_runs"]
    assert "asset_triggered" in {run["run_type"] for run in runs}
    for instrument in INSTRUMENTS:
        assert held_candles(url, instrument, WINDOW) == true_candles(venue, instrument, WINDOW)
    assert set(check_quality(client, "healed").values()) == {"success"}


def test_one_gap_is_repaired_by_hand_whenever_its_time_would_have_been(client: AirflowClient, url: str) -> None:
    window = Window(parse_moment("2024-03-07T06:00Z", now=0), parse_moment("2024-03-07T06:05Z", now=0))
    series_id = lose(url, window)
    with closing(Database(url)) as database:
        [gap] = database.run(lambda cursor: record_holes(cursor, [Hole(series_id, window, 5)], by="test"))
        database.run(
            lambda cursor: cursor.execute(
                "UPDATE data_gaps SET next_attempt_at = now() + interval '1 day' WHERE gap_id = %s", (gap.gap_id,)
            )
        )
    client.trigger(REPAIR_DAG, "by-hand", {"gap_id": gap.gap_id})
    wait_for(lambda: client.run_state(REPAIR_DAG, "by-hand") in {"success", "failed"}, seconds=300)
    assert client.xcom(REPAIR_DAG, "by-hand", "repair", "return_value")["rows_found"] == 5
    assert one_value(url, f"SELECT state FROM data_gaps WHERE gap_id = {gap.gap_id}") == "repaired"
