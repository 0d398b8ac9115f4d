"""Trades of a gap: fetched by the numbers that the venue gave them, page by page."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.backfill import Source
from tapekeeper.repair.fetched import NOTHING_FETCHED, RepairPurpose
from tapekeeper.store.agg_trades import write_agg_trades
from tapekeeper.store.poison import write_ticks_or_quarantine
from tapekeeper.store.quarantine import quarantine

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Answer
    from tapekeeper.repair.fetched import Fetched
    from tapekeeper.store.repair_claims import Claim


def fetch_agg_trades(tools: WorkerTools, claim: Claim) -> Fetched:
    """Ask the venue for all ids of a gap; each page is written before the next one is asked for.

    Raises:
        RetryLater: the venue cannot be asked now; what came before is kept.
        BadData: an answer cannot be believed as a whole.
        RequestRejected: the venue refuses for good.
    """
    gap, is_clean = claim.gap, True
    if gap.sequences is None:
        raise InvariantBroken(f"gap {gap.gap_id} has no ids, so its trades cannot be asked for by them")
    tools.about_to_fetch(RepairPurpose(gap.series_id, gap.window))
    for page in tools.agg_trade_venue().agg_trades_by_id(
        claim.instrument_name, gap.sequences.first, gap.sequences.last
    ):
        tools.database.run(partial(_write_agg_trades, series_id=gap.series_id, page=page))
        is_clean = is_clean and not page.rejected
    return replace(NOTHING_FETCHED, is_clean=is_clean)


def _write_agg_trades(cursor: Cursor, series_id: int, page: Answer[AggTrades]) -> None:
    quarantine(cursor, series_id, page.rejected)
    write_agg_trades(cursor, series_id, page.rows, source=Source.REST.value)


def fetch_trades(tools: WorkerTools, claim: Claim) -> Fetched:
    """Ask the venue for all numbers of a gap; each page is written before the next one is asked for.

    A page is a transaction of its own: one row of it that cannot be written must not keep the others back.

    Raises:
        RetryLater: the venue cannot be asked now; what came before is kept.
        BadData: an answer cannot be believed as a whole.
        RequestRejected: the venue refuses for good.
    """
    gap, is_clean = claim.gap, True
    if gap.sequences is None:
        raise InvariantBroken(f"gap {gap.gap_id} of trades has no sequence numbers, so nobody can ask for them")
    tools.about_to_fetch(RepairPurpose(gap.series_id, gap.window))
    for page in tools.trade_venue().trades_by_instrument(
        claim.instrument_name, gap.sequences.first, gap.sequences.last
    ):
        received_at = now_microseconds()
        rows = [trade.as_trade(claim.instrument_id, received_at) for trade in page.trades]
        counts = write_ticks_or_quarantine(tools.database, (), rows)
        tools.database.run(partial(quarantine, series_id=gap.series_id, rows=page.rejected))
        is_clean = is_clean and not page.rejected and not counts.quarantined
    return replace(NOTHING_FETCHED, is_clean=is_clean)
