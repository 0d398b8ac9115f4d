"""Backfill of Deribit perpetual candles, on demand."""

from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="deribit_perpetual_candles",
    dataset=DERIBIT_PERPETUAL_CANDLES,
    instruments=["BTC-PERPETUAL", "ETH-PERPETUAL"],
    start="2018-08-14",
    description=(
        "Fetches candles of Deribit perpetuals into PostgreSQL. Trigger it with a window; it fetches only what is "
        "missing, goes on where it was after any interruption, and ends with a summary of what landed."
    ),
)
