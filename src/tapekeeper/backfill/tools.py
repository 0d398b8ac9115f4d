"""The tools of a worker, by venue: connections, budgets, and the venue's client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.worker_tools import Ways, WorkerTools
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.client import HttpClient
from tapekeeper.store.agg_trades import INCOMING_AGG_TRADES
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tapekeeper.store.rate_budgets import ConnectionSlots, DatabaseRateBudget, LocalRateBudget, local_share
from tapekeeper.store.ticks import INCOMING_TABLES
from tapekeeper.venues.binance_um.archive import BinanceArchive
from tapekeeper.venues.binance_um.archive_limits import archive_limit
from tapekeeper.venues.binance_um.limits import DATA_LIMIT, FUNDING_LIMIT, weight_limit
from tapekeeper.venues.binance_um.rest import BinanceUmRest
from tapekeeper.venues.cryptodatadownload.limits import hourly_limit
from tapekeeper.venues.cryptodatadownload.rest import CryptoDataDownloadRest
from tapekeeper.venues.deribit.limits import GET_INSTRUMENTS_LIMIT, rest_limit
from tapekeeper.venues.deribit.rest import DeribitRest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.backfill.worker_tools import MakeTools
    from tapekeeper.http.rate_budget import Priority, RateBudget
    from tapekeeper.http.rate_limit import RateLimit
    from tapekeeper.model.backfill import Purpose
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings

_PREPARE: Final = "; ".join((INCOMING_GRID_TABLES, INCOMING_TABLES, INCOMING_AGG_TRADES))


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
class _Lines:
    """What a desk makes its clients of."""

    client: HttpClient
    """To the venue's base address."""
    budget: Callable[[RateLimit], RateBudget]
    """Makes the budget of a further limit."""
    further_client: Callable[[str, RateLimit], HttpClient]
    """Makes a client to another address of the venue, with a limit of its own."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """How one venue is asked."""

    venue: str
    base_url: str
    limit: RateLimit
    """What every request counts against."""
    ways: Callable[[_Lines], Ways]
    """Makes the venue's clients."""
    connections_maximum: int | None = None
    """Of all processes together; None where the venue does not count them."""


def _deribit(settings: Settings) -> _Desk:
    def ways(lines: _Lines) -> Ways:
        rest = DeribitRest(lines.client, lines.budget(GET_INSTRUMENTS_LIMIT))
        return Ways(rows=rest, trades=rest)

    own = settings.deribit
    return _Desk("deribit", own.rest_url, rest_limit(own), ways, own.connections_maximum)


def _binance_um(settings: Settings) -> _Desk:
    own, files = settings.binance_um, settings.binance_archive

    def ways(lines: _Lines) -> Ways:
        budgets = lines.budget(DATA_LIMIT), lines.budget(FUNDING_LIMIT)
        rest = BinanceUmRest(lines.client, own.weight_per_minute, *budgets)
        archive = BinanceArchive(lines.further_client(files.url, archive_limit(files))) if files.url else None
        return Ways(rows=rest, agg_trades=rest, schedules=rest, archive=archive)

    return _Desk("binance_um", own.rest_url, weight_limit(own), ways)


def _cryptodatadownload(settings: Settings) -> _Desk:
    own = settings.cryptodatadownload
    key = own.api_key.get_secret_value() if own.api_key else None

    def ways(lines: _Lines) -> Ways:
        rest = CryptoDataDownloadRest(lines.client, key)
        return Ways(rows=rest, options=rest)

    return _Desk("cryptodatadownload", own.url, hourly_limit(own), ways)


_DESKS: Final = {"deribit": _deribit, "binance_um": _binance_um, "cryptodatadownload": _cryptodatadownload}


def _make(
    desk: _Desk, settings: Settings, priority: Priority, while_waiting: Callable[[], None], local: LocalRateBudget
) -> WorkerTools:
    data = open_database(settings, application_name="tapekeeper backfill", prepare=_PREPARE)
    # A permit that a crash forgets costs one request too many; waiting for the disk would cost every request.
    side = open_database(settings, application_name="tapekeeper budget", prepare="SET synchronous_commit = off")
    log = ApiRequestLog(side)
    try:
        if desk.connections_maximum is not None:
            ConnectionSlots(side, f"{desk.venue}.connections", desk.connections_maximum).take(priority)
    except BaseException:
        side.close()
        raise
    clients: list[HttpClient] = []

    def open_client(base_url: str, budget: RateBudget) -> HttpClient:
        clients.append(
            HttpClient(
                settings.http,
                venue=desk.venue,
                base_url=base_url,
                budget=budget,
                log=log,
                priority=priority,
                on_wait=while_waiting,
            )
        )
        return clients[-1]

    def about_to_fetch(purpose: Purpose) -> None:
        log.purpose = purpose

    def close() -> None:
        for client in clients:
            client.close()
        data.close()
        side.close()

    lines = _Lines(
        client=open_client(desk.base_url, DatabaseRateBudget(side, desk.limit, local)),
        budget=lambda limit: DatabaseRateBudget(side, limit),
        further_client=lambda base_url, limit: open_client(base_url, DatabaseRateBudget(side, limit)),
    )
    return WorkerTools(data, desk.ways(lines), about_to_fetch, lambda: log.count, close)
