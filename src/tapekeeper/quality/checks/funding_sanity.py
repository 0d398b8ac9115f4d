"""Can every funding rate be?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import BINANCE_UM_FUNDING_RATES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

HIGHEST_RATE: Final = 0.1
"""Of a position's value, either way. The venue caps the rate of each instrument at a few percent, and changes its caps;
a tenth at once is not a rate but a mistake of units."""
LATEST: Final = timedelta(seconds=60)
"""A rate is paid some milliseconds after it was due; one that is paid later than this belongs to another moment."""
# NaN is greater than every number to PostgreSQL, infinity included.
_JUDGED: Final = """
    SELECT series_id, due_at, paid_at, funding_rate, mark_price, CASE
        WHEN NOT (abs(funding_rate) <= %(highest)s) THEN 'the rate is beyond what can be'
        WHEN NOT (paid_at BETWEEN due_at - %(latest)s AND due_at + %(latest)s) THEN 'it was not paid when it was due'
        WHEN date_bin(make_interval(secs => resolution_seconds), due_at, 'epoch') <> due_at
            THEN 'it is not on the grid of its interval'
        WHEN NOT (mark_price > 0 AND mark_price < 'infinity') THEN 'the mark price is not above zero'
    END AS reason
    FROM funding_rates
    JOIN series USING (series_id)
    WHERE dataset = %(dataset)s AND due_at >= %(start)s AND due_at < %(end)s
"""
_LOOK: Final = f"""
    WITH judged AS MATERIALIZED ({_JUDGED})
    SELECT
        count(*),
        count(reason),
        max(abs(funding_rate)) FILTER (WHERE abs(funding_rate) < 'infinity'),
        (SELECT coalesce(json_agg(json_build_array(
            series_id, (extract(epoch FROM due_at) * 1000000)::bigint, (extract(epoch FROM paid_at) * 1000000)::bigint,
            funding_rate, mark_price, reason
        )), '[]') FROM (
            SELECT * FROM judged WHERE reason IS NOT NULL ORDER BY due_at DESC, series_id LIMIT {SAMPLE_ROWS}
        ) AS newest)
    FROM judged
"""  # noqa: S608 (made of constants of this module)


class FundingSanity:
    """Funding rates that cannot be: far too high, paid at another time than they were due, off their interval.

    The moment that is due is our own, made of the one that the venue tells; where they are apart, the interval that
    the series stands for is not the one that held.
    """

    name = "funding_sanity"
    question = "Can every funding rate be?"
    severity = Severity.CRITICAL
    datasets = (BINANCE_UM_FUNDING_RATES.name,)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the rates that cannot be; `checked` and `found` count rates."""
        start, end = scope.window.as_datetimes()
        values = {
            "dataset": scope.dataset.name,
            "start": start,
            "end": end,
            "highest": HIGHEST_RATE,
            "latest": LATEST,
        }
        cursor.execute(_LOOK, values)
        rates, wrong, highest, some = only_row(cursor)
        labels = series_labels(cursor, (series_id for series_id, *_ in some))
        sample = tuple(
            {
                "series_id": series_id,
                **labels[series_id].as_json(),
                "due_at": format_moment(due_at),
                "paid_at": format_moment(paid_at),
                "funding_rate": rate,
                "mark_price": price,
                "reason": reason,
            }
            for series_id, due_at, paid_at, rate, price, reason in some
        )
        return Findings(rates, wrong, {"highest_rate": highest}, sample)
