"""The eleven fields as they follow from totals and a moment."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.settings import read_settings
from tapekeeper.status import (
    DatasetStatus,
    IntradayDataStatus,
    QualityStatus,
    get_intraday_data_status,
    summarise,
    unavailable,
)
from tapekeeper.store.quality_runs import LastQualityRun
from tapekeeper.store.status_queries import BackfillProgress, DatasetTotals, LastRun

NOW = datetime(2024, 5, 8, 12, 0, tzinfo=UTC)
ELEVEN = [
    "ok",
    "source",
    "backend",
    "rows_total",
    "days_covered",
    "first_timestamp",
    "last_timestamp",
    "approx_size_mb",
    "target_interval_sec",
    "is_running",
    "error",
]


def status_of(totals: DatasetTotals, *, size_bytes: float = 0.0) -> IntradayDataStatus:
    return summarise(DERIBIT_PERPETUAL_CANDLES, totals, size_bytes=size_bytes, now=NOW)


def held_until(last: datetime, *, first: datetime | None = None) -> DatasetTotals:
    return DatasetTotals(
        series_count=1,
        rows_held=10,
        held=10,
        expected=10,
        accounted=10,
        first_event_time=first or last,
        last_event_time=last,
    )


def test_the_fields_are_the_eleven_in_their_order() -> None:
    assert [field.name for field in fields(IntradayDataStatus)] == ELEVEN
    assert list(status_of(DatasetTotals()).as_json()) == ELEVEN


def test_without_data_all_is_well_and_empty() -> None:
    assert status_of(DatasetTotals()).as_json() == {
        "ok": True,
        "source": "Deribit intraday",
        "backend": "postgresql",
        "rows_total": 0,
        "days_covered": 0,
        "first_timestamp": None,
        "last_timestamp": None,
        "approx_size_mb": 0.0,
        "target_interval_sec": 300,
        "is_running": False,
        "error": None,
    }


@pytest.mark.parametrize(
    ("age_seconds", "is_running"), [(0, True), (599, True), (600, True), (601, False), (86_400, False), (-30, True)]
)
def test_data_run_until_the_newest_event_is_two_target_intervals_old(age_seconds: int, is_running: bool) -> None:
    assert status_of(held_until(NOW - timedelta(seconds=age_seconds))).is_running is is_running


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        (datetime(2024, 5, 1, 0, 0, tzinfo=UTC), datetime(2024, 5, 1, 0, 0, tzinfo=UTC), 1),
        (datetime(2024, 5, 1, 23, 59, tzinfo=UTC), datetime(2024, 5, 2, 0, 0, tzinfo=UTC), 2),
        (datetime(2024, 2, 28, 12, 0, tzinfo=UTC), datetime(2024, 3, 1, 1, 0, tzinfo=UTC), 3),
    ],
)
def test_days_are_counted_by_their_dates(first: datetime, last: datetime, days: int) -> None:
    assert status_of(held_until(last, first=first)).days_covered == days


def test_dates_are_those_of_utc_whatever_zone_a_time_comes_in() -> None:
    tokyo = timezone(timedelta(hours=9))
    first, last = datetime(2024, 5, 2, 8, 0, tzinfo=tokyo), datetime(2024, 5, 2, 10, 0, tzinfo=tokyo)
    status = status_of(held_until(last, first=first))
    assert status.days_covered == 2
    assert status.as_json()["first_timestamp"] == "2024-05-01T23:00:00Z"
    assert status.as_json()["last_timestamp"] == "2024-05-02T01:00:00Z"


@pytest.mark.parametrize(("size_bytes", "megabytes"), [(0, 0.0), (149_999, 0.1), (150_001, 0.2), (794e6, 794.0)])
def test_size_is_in_millions_of_bytes_with_one_decimal(size_bytes: float, megabytes: float) -> None:
    assert status_of(held_until(NOW), size_bytes=size_bytes).approx_size_mb == megabytes


def test_an_unknown_dataset_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match=r"no dataset 'nasdaq\.shares'.*deribit\.perpetual_candles"):
        get_intraday_data_status(read_settings({}), "nasdaq.shares")


def test_an_unavailable_status_claims_nothing() -> None:
    status = unavailable(DERIBIT_PERPETUAL_CANDLES, "The database is away.")
    assert (status.ok, status.is_running, status.error) == (False, False, "The database is away.")
    assert (status.source, status.target_interval_sec) == ("Deribit intraday", 300)


def test_everything_about_a_dataset_is_one_flat_object() -> None:
    totals = DatasetTotals(series_count=2, rows_held=900, held=24, explained=6, expected=40, accounted=30)
    run = LastRun(7, "manual", "running", 2, NOW - timedelta(days=7), NOW, NOW - timedelta(minutes=1), None)
    told = DatasetStatus(
        "deribit.perpetual_candles",
        status_of(totals),
        freshness_seconds=12.5,
        totals=totals,
        backfill=BackfillProgress(chunks_pending=3, chunks_failed=1, last_run=run),
    ).as_json()
    assert list(told)[:12] == ["dataset", *ELEVEN]
    assert told["completeness"] == 0.75
    assert (told["series_count"], told["rows_total"], told["freshness_seconds"]) == (2, 900, 12.5)
    assert (told["held"], told["explained"], told["expected"]) == (24, 6, 40)
    assert (told["chunks_pending"], told["chunks_failed"]) == (3, 1)
    assert told["last_run"] == {
        "run_id": 7,
        "run_key": "manual",
        "state": "running",
        "instrument_count": 2,
        "window_start": "2024-05-01T12:00:00Z",
        "window_end": "2024-05-08T12:00:00Z",
        "created_at": "2024-05-08T11:59:00Z",
        "finished_at": None,
    }


def test_what_is_proven_is_told_beside_it() -> None:
    checked = LastQualityRun(9, "red", NOW, None, None, NOW, checks=11, alarms=1, warnings=2)
    quality = QualityStatus({"24h": 1.0, "7d": 0.5, "30d": None}, gaps_open=4, last_run=checked, has_report=True)
    told = DatasetStatus("any", status_of(DatasetTotals()), quality=quality).as_json()
    assert [told[f"completeness_{window}"] for window in ("24h", "7d", "30d")] == [1.0, 0.5, None]
    assert told["gaps_open"] == 4
    run = told["last_quality_run"]
    assert (run["run_id"], run["state"], run["started_at"]) == (9, "red", "2024-05-08T12:00:00Z")
    assert (run["checks"], run["alarms"], run["warnings"], run["has_report"]) == (11, 1, 2, True)


def test_before_the_first_check_nothing_is_claimed() -> None:
    told = DatasetStatus("any", status_of(DatasetTotals())).as_json()
    assert (told["completeness_7d"], told["gaps_open"], told["last_quality_run"]) == (None, 0, None)


def test_completeness_is_unknown_where_nothing_is_expected() -> None:
    assert DatasetStatus("any", status_of(DatasetTotals())).completeness is None
