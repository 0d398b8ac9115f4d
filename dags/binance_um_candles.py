"""Candles of Binance USD-M perpetuals: a window on demand, and what is new every quarter of an hour."""

from tapekeeper.model.series import BINANCE_UM_CANDLES
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="binance_um_candles",
    dataset=BINANCE_UM_CANDLES,
    instruments=["BTCUSDT", "ETHUSDT"],
    start="2019-09-08",
    schedule="*/15 * * * *",
    description=(
        "Fetches candles of Binance USD-M perpetuals into PostgreSQL. Trigger it with a window; it fetches only what "
        "is missing, goes on where it was after any interruption, and ends with a summary of what landed. By its "
        "schedule it keeps fresh what was asked to be kept fresh."
    ),
)
