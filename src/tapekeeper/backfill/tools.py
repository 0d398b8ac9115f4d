"""The tools of a worker, by venue: connections, budgets, and the venue's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.backfill.runner import WorkerTools
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.client import HttpClient
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.candles import INCOMING_TABLE
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import ConnectionSlots, DatabaseRateBudget, LocalRateBudget, local_share
from tapekeeper.store.ticks import INCOMING_TABLES
from tapekeeper.venues.deribit.limits import GET_INSTRUMENTS_LIMIT, rest_limit
from tapekeeper.venues.deribit.rest import DeribitRest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.backfill.runner import MakeTools
    from tapekeeper.http.rate_budget import Priority
    from tapekeeper.model.backfill import Purpose
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings


def tools_for(dataset: Dataset, settings: Settings, priority: Priority) -> MakeTools:
    """Return what makes the tools of each worker of a dataset."""
    makers = {"deribit": (_deribit, rest_limit(settings.deribit))}
    if dataset.venue not in makers:
        raise ConfigInvalid(f"there is no backfill for the venue {dataset.venue}: choose one of {', '.join(makers)}")
    make, limit = makers[dataset.venue]
    # One for all workers: while the database is away their sum must stay below the share of one process.
    local = local_share(limit)
    return lambda while_waiting: make(settings, priority, while_waiting, local)


def open_database(settings: Settings, *, application_name: str, prepare: str = "SELECT") -> Database:
    """Return a connection of the writer, made when it is first used."""
    return Database(
        settings.database.url.get_secret_value(),
        application_name=application_name,
        connect_timeout_seconds=settings.database.connect_timeout_seconds,
        prepare=prepare,
    )


def _deribit(
    settings: Settings, priority: Priority, while_waiting: Callable[[], None], local: LocalRateBudget
) -> WorkerTools:
    data = open_database(
        settings, application_name="tapekeeper backfill", prepare=f"{INCOMING_TABLE}; {INCOMING_TABLES}"
    )
    # A permit that a crash forgets costs one request too many; waiting for the disk would cost every request.
    side = open_database(settings, application_name="tapekeeper budget", prepare="SET synchronous_commit = off")
    log = ApiRequestLog(side)
    try:
        ConnectionSlots(side, "deribit.connections", settings.deribit.connections_maximum).take(priority)
    except BaseException:
        side.close()
        raise
    client = HttpClient(
        settings.http,
        venue="deribit",
        base_url=settings.deribit.rest_url,
        budget=DatabaseRateBudget(side, rest_limit(settings.deribit), local),
        log=log,
        priority=priority,
        on_wait=while_waiting,
    )

    def about_to_fetch(purpose: Purpose) -> None:
        log.purpose = purpose

    def close() -> None:
        client.close()
        data.close()
        side.close()

    venue = DeribitRest(client, DatabaseRateBudget(side, GET_INSTRUMENTS_LIMIT))
    return WorkerTools(data, venue, about_to_fetch, lambda: log.count, close)
