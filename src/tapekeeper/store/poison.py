"""Poison: a tick that cannot be written is found, kept in quarantine with its reason, and keeps no other one back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg2
import psycopg2.errors

from tapekeeper.errors import BadData, Stop, TapekeeperError
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.gap import Cause, Sequences
from tapekeeper.model.quote import Quote
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.store.binary_copy import is_of_this_century
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.ticks import TickCounts, write_ticks
from tapekeeper.store.trade_gaps import open_gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.trade import Trade
    from tapekeeper.store.database import Database

_FAULTS_OF_A_ROW: Final = (psycopg2.DataError, psycopg2.errors.NotNullViolation, psycopg2.errors.CheckViolation)
_BY: Final = "quarantine"
_GREATEST_SEQUENCE: Final = 2**63 - 1


def write_ticks_or_quarantine(database: Database, quotes: Sequence[Quote], trades: Sequence[Trade]) -> TickCounts:
    """Write ticks in one transaction, or in as many as it takes to leave those out that cannot be written.

    A trade in quarantine is expected and not held: an open gap of its own says so.

    Raises:
        TapekeeperError: what is wrong is not a row, such as a database that is away.
    """
    try:
        return database.run(lambda cursor: write_ticks(cursor, quotes, trades))
    except (BadData, Stop) as error:
        reason = _fault_of_a_row(error)
        if reason is None:
            raise
    ticks: list[Quote | Trade] = [*quotes, *trades]
    if len(ticks) == 1:
        database.run(lambda cursor: _keep(cursor, ticks[0], reason))
        return TickCounts(quarantined=1)
    counts = TickCounts()
    for some_quotes, some_trades in _halves(quotes, trades):
        counts += write_ticks_or_quarantine(database, some_quotes, some_trades)
    return counts


def _fault_of_a_row(error: TapekeeperError) -> str | None:
    """Return what is wrong with a row, or None if something else is wrong."""
    if isinstance(error, BadData):
        return str(error)
    cause = error.__cause__
    return " ".join(str(cause).split()) if isinstance(cause, _FAULTS_OF_A_ROW) else None


def _halves(
    quotes: Sequence[Quote], trades: Sequence[Trade]
) -> tuple[tuple[Sequence[Quote], Sequence[Trade]], tuple[Sequence[Quote], Sequence[Trade]]]:
    """Return two parts of at least two ticks, neither of them empty."""
    if quotes and trades:
        return (quotes, ()), ((), trades)
    of_quotes, of_trades = len(quotes) // 2, len(trades) // 2
    return (quotes[:of_quotes], trades[:of_trades]), (quotes[of_quotes:], trades[of_trades:])


def _keep(cursor: Cursor, tick: Quote | Trade, reason: str) -> None:
    dataset = DERIBIT_OPTION_QUOTES if isinstance(tick, Quote) else DERIBIT_OPTION_TRADES
    cursor.execute(
        "SELECT series_id FROM series WHERE dataset = %s AND instrument_id = %s AND resolution_seconds = 0",
        (dataset.name, tick.instrument_id),
    )
    row = cursor.fetchone()
    if row is None:
        raise Stop(f"instrument {tick.instrument_id} has no series of {dataset.name}: call ensure_option_series first")
    moments = [moment for moment in (tick.event_time, tick.received_at) if is_of_this_century(moment)]
    quarantine(cursor, row[0], [RejectedRow(moments[0] if moments else None, reason, tick._asdict())])
    if moments and not isinstance(tick, Quote) and tick.trade_seq <= _GREATEST_SEQUENCE:
        window, sequences = Window(moments[0], moments[0] + 1), Sequences(tick.trade_seq, tick.trade_seq)
        open_gap(cursor, row[0], window, sequences, cause=Cause.UNKNOWN, by=_BY, evidence={"reason": reason})
