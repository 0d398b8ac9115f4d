"""Daily candles of options from CryptoDataDownload: a window on demand, and what is new once a day."""

from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper_airflow.backfill_dag import backfill_dag

backfill_dag(
    dag_id="cryptodatadownload_option_candles",
    dataset=CRYPTODATADOWNLOAD_OPTION_CANDLES,
    instruments=["BTC", "ETH"],
    start="2023-03-30",
    schedule="30 9 * * *",
    description=(
        "Fetches daily candles of Deribit's options from CryptoDataDownload into PostgreSQL, all options of a currency "
        "with one call a day; it needs a key. Trigger it with a window; it asks only for days that were never told, "
        "gives its place back while the venue grants no more calls, and ends with a summary of what landed. By its "
        "schedule it keeps fresh what was asked to be kept fresh."
    ),
)
