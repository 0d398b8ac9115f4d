"""Aggregate trades of Binance USD-M perpetuals: a window on demand, and what is new every quarter of an hour."""

from tapekeeper.model.series import BINANCE_UM_AGG_TRADES
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="binance_um_agg_trades",
    dataset=BINANCE_UM_AGG_TRADES,
    instruments=["BTCUSDT", "ETHUSDT"],
    start="7 days ago",
    schedule="*/15 * * * *",
    description=(
        "Fetches aggregate trades of Binance USD-M perpetuals into PostgreSQL: the last two days over REST, older ones "
        "from the public archive, a file a day. "
        "Trigger it with a window; it fetches only what is missing, and ends with a summary of what landed. By its "
        "schedule it keeps fresh what was asked to be kept fresh."
    ),
)
