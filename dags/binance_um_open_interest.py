"""Open interest of Binance USD-M perpetuals: a window on demand, and what is new every quarter of an hour."""

from tapekeeper.model.series import BINANCE_UM_OPEN_INTEREST
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="binance_um_open_interest",
    dataset=BINANCE_UM_OPEN_INTEREST,
    instruments=["BTCUSDT", "ETHUSDT"],
    start="2020-09-01",
    schedule="*/15 * * * *",
    description=(
        "Fetches open interest of Binance USD-M perpetuals into PostgreSQL: the last month over REST, what is older "
        "from the public archive, at 5 minutes alone. Trigger it with a window; it fetches only what is missing, and "
        "ends with a summary of what landed. By its schedule it keeps fresh what was asked to be kept fresh."
    ),
)
