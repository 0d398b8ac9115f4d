"""Funding rates of Binance USD-M perpetuals: a window on demand, and what is new every quarter of an hour."""

from tapekeeper.model.series import BINANCE_UM_FUNDING_RATES
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="binance_um_funding_rates",
    dataset=BINANCE_UM_FUNDING_RATES,
    instruments=["BTCUSDT", "ETHUSDT"],
    start="2019-09-10",
    schedule="*/15 * * * *",
    description=(
        "Fetches funding rates of Binance USD-M perpetuals into PostgreSQL: of each instrument at the interval that it "
        "had. Trigger it with a window; it fetches only what is missing, and ends with a summary of what landed. By "
        "its schedule it keeps fresh what was asked to be kept fresh."
    ),
)
