"""Is any trade held twice, or out of order?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, DERIBIT_OPTION_TRADES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

_KINDS: Final = ("same_number", "same_id", "out_of_order")
# The key of the table lets a number come twice at different times. A trade that comes twice takes part in the order
# with its first time alone, so that it is told once.
_FIND: Final = """
    WITH numbers AS MATERIALIZED (
        SELECT
            instrument_id, trade_seq, count(*) AS times, min(event_time) AS event_time, min(trade_id) AS trade_id
        FROM option_trades
        WHERE event_time >= %(start)s AND event_time < %(end)s
        GROUP BY 1, 2
    ), finding AS MATERIALIZED (
        SELECT 'same_number' AS what, instrument_id, trade_seq, event_time, trade_id
        FROM numbers
        WHERE times > 1
        UNION ALL
        SELECT 'same_id', instrument_id, trade_seq, event_time, trade_id
        FROM (
            SELECT
                numbers.*,
                row_number() OVER (PARTITION BY currency, trade_id ORDER BY event_time, trade_seq) AS occurrence
            FROM numbers JOIN instruments USING (instrument_id)
        ) AS occurring
        WHERE occurrence > 1
        UNION ALL
        SELECT 'out_of_order', instrument_id, trade_seq, event_time, trade_id
        FROM (
            SELECT *, lag(event_time) OVER (PARTITION BY instrument_id ORDER BY trade_seq) AS time_before
            FROM numbers
        ) AS ordered
        WHERE event_time < time_before
    )
    SELECT
        (SELECT coalesce(sum(times), 0)::bigint FROM numbers),
        (SELECT coalesce(json_object_agg(what, times), '{}') FROM (
            SELECT what, count(*) AS times FROM finding GROUP BY what
        ) AS counted),
        (SELECT coalesce(json_agg(json_build_array(name, what, trade_seq, event_time, trade_id)), '[]') FROM (
            SELECT name, what, trade_seq, (extract(epoch FROM event_time) * 1000000)::bigint AS event_time, trade_id
            FROM finding JOIN instruments USING (instrument_id)
            ORDER BY event_time DESC, trade_seq
            LIMIT %(sample_rows)s
        ) AS newest)
"""
_FIND_IDS: Final = """
    WITH finding AS MATERIALIZED (
        SELECT instrument_id, agg_trade_id, count(*) AS times, max(event_time) AS event_time
        FROM agg_trades
        WHERE event_time >= %(start)s AND event_time < %(end)s
        GROUP BY 1, 2
        HAVING count(*) > 1
    )
    SELECT
        (SELECT count(*) FROM agg_trades WHERE event_time >= %(start)s AND event_time < %(end)s),
        (SELECT json_build_object('same_number', count(*)) FROM finding),
        (SELECT coalesce(json_agg(json_build_array(name, 'same_number', agg_trade_id, event_time, NULL)), '[]') FROM (
            SELECT name, agg_trade_id, (extract(epoch FROM event_time) * 1000000)::bigint AS event_time
            FROM finding JOIN instruments USING (instrument_id)
            ORDER BY finding.event_time DESC, agg_trade_id
            LIMIT %(sample_rows)s
        ) AS newest)
"""


class Duplicates:
    """Trades of one number or one id, and trades that happened before the one of the number before.

    Several trades may share a millisecond. Ids are unique within a currency of the venue. Of aggregate trades one id
    stands for one trade of its instrument, and nothing else about them can come twice.
    """

    name = "duplicates"
    question = "Is any trade held twice, or out of order?"
    severity = Severity.CRITICAL
    datasets = (DERIBIT_OPTION_TRADES.name, BINANCE_UM_AGG_TRADES.name)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the trades that should not be there; `checked` and `found` count trades."""
        start, end = scope.window.as_datetimes()
        is_of_options = scope.dataset is DERIBIT_OPTION_TRADES
        cursor.execute(_FIND if is_of_options else _FIND_IDS, {"start": start, "end": end, "sample_rows": SAMPLE_ROWS})
        trades, counts, newest = only_row(cursor)
        sample = tuple(
            {
                "instrument": name,
                "what": what,
                "trade_seq": trade_seq,
                "event_time": format_moment(event_time),
                **({"trade_id": trade_id} if is_of_options else {}),
            }
            for name, what, trade_seq, event_time, trade_id in newest
        )
        kinds = _KINDS if is_of_options else _KINDS[:1]
        return Findings(trades, sum(counts.values()), {name: counts.get(name, 0) for name in kinds}, sample)
