"""Is the chain of trades whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.model.gap import Sequences, uncovered
from tapekeeper.model.quality import Hole, Severity
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels, window_as_json
from tapekeeper.quality.checks.told_chains import Jump, told_chains

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

# The last trade before the window is in the partition that coverage names, so no other one is searched. A chain is
# whole when it has as many numbers as its first and its last are apart; neighbours are looked at in the others alone.
_BROKEN: Final = """
    WITH held AS MATERIALIZED (
        SELECT instrument_id, trade_seq, min(event_time) AS event_time
        FROM option_trades
        WHERE event_time >= %(start)s AND event_time < %(end)s
        GROUP BY 1, 2
    ), chain AS (
        SELECT series_id, instrument_id, min(trade_seq) AS first, max(trade_seq) AS last, count(*) AS numbers
        FROM held
        JOIN series USING (instrument_id)
        WHERE dataset = %(dataset)s
        GROUP BY 1, 2
    ), joined AS MATERIALIZED (
        SELECT chain.*, before.trade_seq AS seq_before, before.event_time AS time_before
        FROM chain
        LEFT JOIN LATERAL (
            SELECT max(day) AS day FROM coverage
            WHERE coverage.series_id = chain.series_id AND day < %(first_day)s AND held > 0
        ) AS last_held ON true
        LEFT JOIN LATERAL (
            SELECT trade_seq, event_time FROM option_trades
            WHERE option_trades.instrument_id = chain.instrument_id AND trade_seq < chain.first
                AND event_time >= last_held.day AT TIME ZONE 'UTC'
                AND event_time < (last_held.day + 1) AT TIME ZONE 'UTC'
            ORDER BY trade_seq DESC
            LIMIT 1
        ) AS before ON true
    ), broken AS MATERIALIZED (
        SELECT * FROM joined WHERE last - coalesce(seq_before, first - 1) <> numbers
    ), neighbour AS (
        SELECT
            series_id,
            lag(trade_seq) OVER by_number AS seq_before, lag(event_time) OVER by_number AS time_before,
            trade_seq, event_time
        FROM (
            SELECT series_id, trade_seq, event_time FROM held JOIN broken USING (instrument_id)
            UNION ALL
            SELECT series_id, seq_before, time_before FROM broken WHERE seq_before IS NOT NULL
        ) AS numbers
        WINDOW by_number AS (PARTITION BY series_id ORDER BY trade_seq)
    )
    SELECT
        (SELECT count(*) FROM held),
        (SELECT count(*) FROM chain),
        (
            SELECT coalesce(json_agg(json_build_array(
                series_id, seq_before + 1, trade_seq - 1,
                (extract(epoch FROM least(time_before, event_time)) * 1000000)::bigint,
                (extract(epoch FROM greatest(time_before, event_time)) * 1000000)::bigint + 1
            ) ORDER BY series_id, trade_seq), '[]')
            FROM neighbour
            WHERE trade_seq > seq_before + 1
        )
"""
# What a repaired gap brought is held; any other one is known, and told by the account of its day.
_KNOWN: Final = """
    SELECT series_id, first_sequence, last_sequence + 1 FROM data_gaps
    WHERE series_id = ANY(%s) AND state <> 'repaired' AND first_sequence IS NOT NULL
"""


class TradeSequence:
    """Sequence numbers that are not held, between others that are, and in no gap that is recorded.

    The venue counts the trades of each instrument. Those before the first and after the last that is held are nobody's
    promise; of aggregate trades neither are those between two windows that the venue told whole. Days that are not over
    are left alone: who collects trades fetches lost ones within minutes.
    """

    name = "trade_sequence"
    question = "Is the chain of trades whole?"
    severity = Severity.CRITICAL
    datasets = (DERIBIT_OPTION_TRADES.name, BINANCE_UM_AGG_TRADES.name)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the holes in the chains; `checked` counts trades, `found` holes."""
        look = told_chains if scope.dataset is BINANCE_UM_AGG_TRADES else _option_chains
        trades, chains, jumps = look(cursor, scope)
        holes = _not_recorded(cursor, jumps)
        figures = {"missing": sum(hole.missing for hole in holes), "instruments": chains}
        worst = sorted(holes, key=lambda hole: -hole.missing)[:SAMPLE_ROWS]
        labels = series_labels(cursor, (hole.series_id for hole in worst))
        sample = tuple(
            {
                "series_id": hole.series_id,
                **labels[hole.series_id].as_json(),
                **window_as_json(hole.window),
                "first_sequence": None if hole.sequences is None else hole.sequences.first,
                "missing": hole.missing,
            }
            for hole in worst
        )
        return Findings(trades, len(holes), figures, sample, holes=tuple(holes))


def _option_chains(cursor: Cursor, scope: Scope) -> tuple[int, int, list[Jump]]:
    """Return how many trades and chains the closed days hold, and where these jump."""
    days = scope.closed_days
    if days is None:
        return 0, 0, []
    start, end = days.as_datetimes()
    cursor.execute(_BROKEN, {"dataset": scope.dataset.name, "first_day": scope.first_day, "start": start, "end": end})
    ((trades, chains, jumps),) = cursor.fetchall()
    return trades, chains, [Jump(*jump) for jump in jumps]


def _not_recorded(cursor: Cursor, jumps: list[Jump]) -> list[Hole]:
    """Return the parts of jumps that no gap claims."""
    cursor.execute(_KNOWN, (sorted({jump.series_id for jump in jumps}),))
    known: dict[int, list[tuple[int, int]]] = {}
    for series_id, first, after_last in cursor.fetchall():
        known.setdefault(series_id, []).append((first, after_last))
    return [
        Hole(jump.series_id, Window(jump.start, jump.end), after_last - first, Sequences(first, after_last - 1))
        for jump in jumps
        for first, after_last in uncovered(jump.first, jump.last + 1, known.get(jump.series_id, ()))
    ]
