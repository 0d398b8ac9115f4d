"""Fresh candles of the followed Deribit perpetuals, every five minutes."""

from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper_airflow.backfill_dag import keep_fresh_dag

keep_fresh_dag(
    dag_id="deribit_perpetual_candles_live",
    dataset=DERIBIT_PERPETUAL_CANDLES,
    schedule="*/5 * * * *",
    description=(
        "Keeps the candles of the perpetuals fresh that were backfilled with the option to keep them fresh. "
        "It ends at once when nobody follows any."
    ),
)
