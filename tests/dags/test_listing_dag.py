"""The DAG of the instruments, run in this process against a real database and the simulated venues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekeeper.backfill.listings import VENUES
from tests.support.airflow_home import DAGS
from tests.support.truth import query

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

# Airflow runs tasks in a test through a client of Starlette that calls itself old.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
WANTS_A_KEY = "cryptodatadownload"


@pytest.fixture(scope="module")
def dag(airflow_metadata: None) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS).dags["instrument_sync"]


@pytest.fixture
def venues(database_url: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them simulated, without a key."""
    monkeypatch.setenv("AIRFLOW_CONN_TAPEKEEPER", database_url)
    for venue in ("DERIBIT_REST", "BINANCE_UM_REST", "CRYPTODATADOWNLOAD"):
        monkeypatch.setenv(f"TAPEKEEPER_{venue}_URL", simulator.base_url)


def states(run: Any) -> dict[str, str]:
    """Return the state of each task, by the venue that it asks."""
    return {VENUES[task.map_index]: str(task.state) for task in run.get_task_instances()}


@pytest.mark.usefixtures("venues")
def test_a_venue_without_its_key_is_skipped_and_all_others_are_asked(dag: Any, database_url: str) -> None:
    run = dag.test()
    assert str(run.state) == "success"
    assert states(run) == {venue: "skipped" if venue == WANTS_A_KEY else "success" for venue in VENUES}
    listed = {venue for (venue,) in query(database_url, "SELECT DISTINCT venue FROM instruments")}
    assert listed == set(VENUES) - {WANTS_A_KEY}


@pytest.mark.usefixtures("venues")
def test_with_its_key_it_is_asked_too(dag: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY", "simulated-key")
    assert set(states(dag.test()).values()) == {"success"}
    chains = query(
        database_url, f"SELECT name FROM instruments WHERE venue = '{WANTS_A_KEY}' AND kind = 'option_chain'"
    )
    assert {("BTC",), ("ETH",)} <= set(chains)
