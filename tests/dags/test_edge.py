"""What an error of ours means to a task of Airflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tapekeeper.errors import ConfigInvalid, DatabaseUnavailable, ParseFailure, RateLimited, TapekeeperError


@pytest.mark.parametrize(("after_seconds", "pause_seconds"), [(90.0, 90.0), (0.0, 1.0)])
def test_a_wait_gives_the_slot_back_until_it_is_over(
    airflow_metadata: None, after_seconds: float, pause_seconds: float
) -> None:
    from airflow.sdk.exceptions import AirflowRescheduleException

    from tapekeeper_airflow.edge import errors_as_task_states

    for kind in (RateLimited, DatabaseUnavailable):
        before = datetime.now(UTC)
        with pytest.raises(AirflowRescheduleException) as raised, errors_as_task_states():
            raise kind("later", after_seconds=after_seconds)
        pause = timedelta(seconds=pause_seconds)
        assert before + pause <= raised.value.reschedule_date <= datetime.now(UTC) + pause


def test_what_a_person_must_change_fails_at_once_with_its_sentence(airflow_metadata: None) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from tapekeeper_airflow.edge import errors_as_task_states

    with pytest.raises(AirflowFailException, match="type a UTC time"), errors_as_task_states():
        raise ConfigInvalid("type a UTC time")


def test_anything_else_is_left_to_the_retries_of_the_task(airflow_metadata: None) -> None:
    from tapekeeper_airflow.edge import errors_as_task_states

    errors: list[Exception] = [ParseFailure("odd"), TapekeeperError("odd"), ValueError("odd")]
    for error in errors:
        with pytest.raises(type(error), match="odd"), errors_as_task_states():
            raise error


def test_a_connection_of_another_kind_is_told_without_its_password(
    airflow_metadata: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tapekeeper_airflow.edge import settings_of_task

    monkeypatch.setenv("AIRFLOW_CONN_TAPEKEEPER", "mysql://user:secret@host/database")
    with pytest.raises(ConfigInvalid, match="connection 'tapekeeper': its address must look like postgresql") as raised:
        settings_of_task()
    assert "secret" not in str(raised.value)
