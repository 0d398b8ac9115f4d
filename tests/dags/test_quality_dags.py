"""The DAGs of quality and repair, run task by task in this process against a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import DAGS
from tests.support.tape import PERPETUAL_CANDLES, add_days, add_series, minutes_ago

if TYPE_CHECKING:
    from pathlib import Path

ASSET = "x-tapekeeper://quality"
# Airflow runs tasks in a test through a client of Starlette that calls itself old.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
FORM = {"datasets": [PERPETUAL_CANDLES], "window": "7d", "checks": ["row_counts"]}


@pytest.fixture(scope="module")
def bag(airflow_metadata: None) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return bag


@pytest.fixture
def reports(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the reports of tasks that use the test's database."""
    monkeypatch.setenv("AIRFLOW_CONN_TAPEKEEPER", database_url)
    monkeypatch.setenv("TAPEKEEPER_QUALITY_REPORT_FOLDER", str(tmp_path))
    return tmp_path


def states(run: Any) -> dict[str, str]:
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def xcom(run: Any, task: str, key: str = "return_value") -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids=task, key=key)
        found: Any = session.scalars(query).one()
        return found.value


def test_quality_is_checked_every_night_and_repair_follows_or_looks_every_quarter_of_an_hour(bag: Any) -> None:
    quality, repair = bag.dags["quality_daily"], bag.dags["gap_repair"]
    assert (quality.timetable.expression, quality.timetable.timezone) == ("0 3 * * *", "UTC")
    assert [asset.uri for asset in quality.get_task("check").outlets] == [ASSET]
    assert repair.timetable.timetable.expression == "*/15 * * * *"
    assert [asset.uri for asset in repair.timetable.asset_condition.objects] == [ASSET]
    assert (quality.max_active_runs, repair.max_active_runs) == (1, 1)


def test_whole_days_are_green(bag: Any, database_url: str, reports: Path) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(30), rows=30)
    add_days(database_url, "BTC-PERPETUAL", days=10)
    run = bag.dags["quality_daily"].test(run_conf=FORM)
    assert (str(run.state), states(run)) == ("success", dict.fromkeys(("check", "reports", "verdict"), "success"))
    summary = xcom(run, "verdict", "summary")
    assert (summary["state"], summary["completeness"][PERPETUAL_CANDLES]["7d"]) == ("green", 1.0)
    assert "All is well" in (reports / str(summary["run_id"]) / "report.html").read_text(encoding="utf-8")


def test_a_red_check_fails_the_last_task_alone(bag: Any, database_url: str, reports: Path) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(30), rows=30)
    add_days(database_url, "BTC-PERPETUAL", days=10, lacking={2: 144})
    run = bag.dags["quality_daily"].test(run_conf=FORM)
    assert str(run.state) == "failed"
    assert states(run) == {"check": "success", "reports": "success", "verdict": "failed"}
    summary = xcom(run, "verdict", "summary")
    assert summary["state"] == "red"
    assert [(check["check"], check["status"], check["found"]) for check in summary["checks"]] == [
        ("row_counts", "red", 1)
    ]
    assert "Somebody has to look" in (reports / str(summary["run_id"]) / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"window": "yesterday"}, "'yesterday' is not a window: type 24h, 7d, 30d, all"),
        ({"checks": ["gap_detektion"]}, "there is no check 'gap_detektion': choose one of gap_detection"),
        ({"datasets": ["nasdaq.shares"]}, "there is no dataset 'nasdaq.shares': choose one of deribit"),
        ({"colour": "red"}, "'colour' is not a parameter: use checks, datasets, window"),
    ],
)
@pytest.mark.usefixtures("reports")
def test_what_cannot_be_checked_fails_in_the_first_task(
    bag: Any, typed: dict[str, object], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = bag.dags["quality_daily"].test(run_conf=FORM | typed)
    assert states(run) == {"check": "failed", "reports": "upstream_failed", "verdict": "upstream_failed"}
    assert sentence in capfd.readouterr().out


@pytest.mark.usefixtures("reports")
def test_repair_ends_at_once_when_no_gap_is_open(bag: Any) -> None:
    run = bag.dags["gap_repair"].test()
    assert str(run.state) == "success"
    told = xcom(run, "repair")
    assert (told["repaired"], told["requests"], told["seconds"]) == (0, 0, 0.0)


@pytest.mark.usefixtures("reports")
def test_a_gap_that_does_not_exist_is_refused(bag: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert states(bag.dags["gap_repair"].test(run_conf={"gap_id": 7})) == {"repair": "failed"}
    assert "there is no gap 7" in capfd.readouterr().out
