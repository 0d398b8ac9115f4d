"""Trades of a gap: fetched by the numbers that the venue gave them, page by page."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.backfill import Source
from tapekeeper.repair.fetched import NOTHING_FETCHED, RepairPurpose
from tapekeeper.store.agg_trades import write_agg_trades
from tapekeeper.store.poison import write_ticks_or_quarantine
from tapekeeper.store.quarantine import quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Answer
    from tapekeeper.repair.fetched import Fetched
    from tapekeeper.store.database import Database
    from tapekeeper.store.repair_claims import Claim
    from tapekeeper.venues.deribit.trades import TradeAnswer

Page = TypeVar("Page")


def fetch_agg_trades(tools: WorkerTools, claim: Claim) -> Fetched:
    """Ask the venue for all ids of a gap; see `fetch_trades`."""
    return _fetch(tools, claim, tools.agg_trade_venue().agg_trades_by_id, _write_agg_trades)


def fetch_trades(tools: WorkerTools, claim: Claim) -> Fetched:
    """Ask the venue for all numbers of a gap; each page is written before the next one is asked for.

    Raises:
        RetryLater: the venue cannot be asked now; what came before is kept.
        BadData: an answer cannot be believed as a whole.
        RequestRejected: the venue refuses for good.
    """
    return _fetch(tools, claim, tools.trade_venue().trades_by_instrument, _write_trades)


def _fetch(
    tools: WorkerTools,
    claim: Claim,
    pages_of: Callable[[str, int, int], Iterator[Page]],
    write: Callable[[Database, Claim, Page], bool],
) -> Fetched:
    """Ask for the numbers of a gap; `write` takes a page and returns whether all of it was written."""
    gap, is_clean = claim.gap, True
    if gap.sequences is None:
        raise InvariantBroken(f"gap {gap.gap_id} of trades has no sequence numbers, so nobody can ask for them")
    tools.about_to_fetch(RepairPurpose(gap.series_id, gap.window))
    for page in pages_of(claim.instrument_name, gap.sequences.first, gap.sequences.last):
        is_clean = write(tools.database, claim, page) and is_clean
    return replace(NOTHING_FETCHED, is_clean=is_clean)


def _write_agg_trades(database: Database, claim: Claim, page: Answer[AggTrades]) -> bool:
    def write(cursor: Cursor) -> None:
        quarantine(cursor, claim.gap.series_id, page.rejected)
        write_agg_trades(cursor, claim.gap.series_id, page.rows, source=Source.REST.value)

    database.run(write)
    return not page.rejected


def _write_trades(database: Database, claim: Claim, page: TradeAnswer) -> bool:
    """Write a page, a transaction of its own: one row of it that cannot be written must not keep the others back."""
    received_at = now_microseconds()
    rows = [trade.as_trade(claim.instrument_id, received_at) for trade in page.trades]
    counts = write_ticks_or_quarantine(database, (), rows)
    database.run(partial(quarantine, series_id=claim.gap.series_id, rows=page.rejected))
    return not page.rejected and not counts.quarantined
