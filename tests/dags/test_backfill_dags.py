"""The DAGs of the datasets: what their forms ask for, and when they run by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tapekeeper.backfill.offers import offer_of
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import DATASETS, Dataset
from tests.support.airflow_home import DAGS

FORM = ["instruments", "other_instruments", "start", "end", "direction", "mode", "keep_fresh"]
OFTEN, DAILY = "*/15 * * * *", "30 9 * * *"
SCHEDULES = {
    "deribit_perpetual_candles": None,
    "binance_um_candles": OFTEN,
    "binance_um_agg_trades": OFTEN,
    "binance_um_open_interest": OFTEN,
    "binance_um_funding_rates": OFTEN,
    "cryptodatadownload_option_candles": DAILY,
}


@pytest.fixture(scope="module")
def bag(airflow_metadata: None) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS)


def can_be_backfilled(dataset: Dataset) -> bool:
    try:
        offer_of(dataset)
    except ConfigInvalid:
        return False
    return True


BACKFILLED = [dataset for dataset in DATASETS.values() if can_be_backfilled(dataset)]


def test_every_dataset_that_can_be_backfilled_has_its_dag() -> None:
    assert {dataset.name.replace(".", "_") for dataset in BACKFILLED} == set(SCHEDULES)


@pytest.mark.parametrize("dataset", BACKFILLED, ids=lambda dataset: dataset.name)
def test_the_form_asks_for_a_resolution_where_there_is_a_choice(bag: Any, dataset: Dataset) -> None:
    dag, offer = bag.dags[dataset.name.replace(".", "_")], offer_of(dataset)
    fields = dag.params.dump()
    assert set(fields) == {*FORM, *(["resolution"] if offer.resolutions else [])}
    if offer.resolutions:
        assert fields["resolution"] == offer.resolutions[0]
        assert dag.params.get_param("resolution").schema["enum"] == list(offer.resolutions)
    assert (fields["mode"], fields["keep_fresh"]) == ("missing only", False)
    assert dag.params.get_param("mode").schema["enum"] == ["missing only", "full refresh"]


@pytest.mark.parametrize(("dag_id", "schedule"), SCHEDULES.items())
def test_what_is_followed_is_kept_fresh_by_a_schedule(bag: Any, dag_id: str, schedule: str | None) -> None:
    dag = bag.dags[dag_id]
    assert getattr(dag.timetable, "expression", None) == schedule
    assert ("keep_fresh" in dag.task_ids) is (schedule is not None)
    assert {"plan", "backfill", "summary"} <= set(dag.task_ids)
