"""The tools of a worker, by venue: connections, budgets, and the venue's client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.runner import WorkerTools
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.client import HttpClient
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tapekeeper.store.rate_budgets import ConnectionSlots, DatabaseRateBudget, LocalRateBudget, local_share
from tapekeeper.store.ticks import INCOMING_TABLES
from tapekeeper.venues.binance_um.limits import DATA_LIMIT, weight_limit
from tapekeeper.venues.binance_um.rest import BinanceUmRest
from tapekeeper.venues.deribit.limits import GET_INSTRUMENTS_LIMIT, rest_limit
from tapekeeper.venues.deribit.rest import DeribitRest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.backfill.runner import MakeTools
    from tapekeeper.backfill.venue import RowVenue, TradeVenue
    from tapekeeper.http.rate_budget import Priority, RateBudget
    from tapekeeper.http.rate_limit import RateLimit
    from tapekeeper.model.backfill import Purpose
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings


def tools_for(dataset: Dataset, settings: Settings, priority: Priority) -> MakeTools:
    """Return what makes the tools of each worker of a dataset."""
    if dataset.venue not in _DESKS:
        raise ConfigInvalid(f"there is no backfill for the venue {dataset.venue}: choose one of {', '.join(_DESKS)}")
    desk = _DESKS[dataset.venue](settings)
    # One for all workers: while the database is away their sum must stay below the share of one process.
    local = local_share(desk.limit)

    def make(while_waiting: Callable[[], None] = _nothing) -> WorkerTools:
        return _make(desk, settings, priority, while_waiting, local)

    return make


def _nothing() -> None:
    """Stand in where no lease has to be renewed."""


def open_database(settings: Settings, *, application_name: str, prepare: str = "SELECT") -> Database:
    """Return a connection of the writer, made when it is first used."""
    return Database(
        settings.database.url.get_secret_value(),
        application_name=application_name,
        connect_timeout_seconds=settings.database.connect_timeout_seconds,
        prepare=prepare,
    )


@dataclass(frozen=True, slots=True)
class _Desk:
    """How one venue is asked."""

    venue: str
    base_url: str
    limit: RateLimit
    """What every request counts against."""
    ask: Callable[[HttpClient, Callable[[RateLimit], RateBudget]], tuple[RowVenue, TradeVenue | None]]
    """Makes the venue's client; further limits get their budgets from the second argument."""
    connections_maximum: int | None = None
    """Of all processes together; None where the venue does not count them."""


def _deribit(settings: Settings) -> _Desk:
    def ask(client: HttpClient, budget_of: Callable[[RateLimit], RateBudget]) -> tuple[RowVenue, TradeVenue | None]:
        rest = DeribitRest(client, budget_of(GET_INSTRUMENTS_LIMIT))
        return rest, rest

    own = settings.deribit
    return _Desk("deribit", own.rest_url, rest_limit(own), ask, own.connections_maximum)


def _binance_um(settings: Settings) -> _Desk:
    own = settings.binance_um
    return _Desk(
        "binance_um",
        own.rest_url,
        weight_limit(own),
        lambda client, budget_of: (BinanceUmRest(client, own.weight_per_minute, budget_of(DATA_LIMIT)), None),
    )


_DESKS: Final = {"deribit": _deribit, "binance_um": _binance_um}


def _make(
    desk: _Desk, settings: Settings, priority: Priority, while_waiting: Callable[[], None], local: LocalRateBudget
) -> WorkerTools:
    data = open_database(
        settings, application_name="tapekeeper backfill", prepare=f"{INCOMING_GRID_TABLES}; {INCOMING_TABLES}"
    )
    # A permit that a crash forgets costs one request too many; waiting for the disk would cost every request.
    side = open_database(settings, application_name="tapekeeper budget", prepare="SET synchronous_commit = off")
    log = ApiRequestLog(side)
    try:
        if desk.connections_maximum is not None:
            ConnectionSlots(side, f"{desk.venue}.connections", desk.connections_maximum).take(priority)
    except BaseException:
        side.close()
        raise
    client = HttpClient(
        settings.http,
        venue=desk.venue,
        base_url=desk.base_url,
        budget=DatabaseRateBudget(side, desk.limit, local),
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

    venue, trades = desk.ask(client, lambda limit: DatabaseRateBudget(side, limit))
    return WorkerTools(data, venue, trades, about_to_fetch, lambda: log.count, close)
