"""The edge to Airflow: settings from its connection, errors as its behaviour, log lines in its logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException
from pydantic import SecretStr, ValidationError

from tapekeeper.errors import ConfigInvalid, RetryLater, Stop
from tapekeeper.settings import DatabaseSettings, Settings, read_settings

OWNER = "tapekeeper"
"""Of every task."""
CONNECTION_ID = "tapekeeper"
"""The Airflow connection to the database, as a login that holds the role tapekeeper_writer."""


def settings_of_task() -> Settings:
    """Return the settings of this process, with the database that Airflow's connection names."""
    settings = read_settings(os.environ)
    url = BaseHook.get_connection(CONNECTION_ID).get_uri()
    try:
        database = DatabaseSettings(
            url=SecretStr(url), connect_timeout_seconds=settings.database.connect_timeout_seconds
        )
    except ValidationError as error:
        # The text of the first error holds no part of the address, which may hold a password.
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigInvalid(f"Airflow's connection {CONNECTION_ID!r}: its address {reason}") from None
    return settings.model_copy(update={"database": database})


@contextmanager
def errors_as_task_states() -> Iterator[None]:
    """Turn our errors into what Airflow does about them.

    RetryLater gives the worker's slot back until the wait is over and uses up no retry; Stop fails the task at once,
    because another try would fail in the same way. Everything else is left to the task's own retries.
    """
    try:
        yield
    except RetryLater as error:
        again_at = datetime.now(UTC) + timedelta(seconds=max(1.0, error.after_seconds))
        raise AirflowRescheduleException(again_at) from error  # type: ignore[no-untyped-call]
    except Stop as error:
        raise AirflowFailException(str(error)) from error
