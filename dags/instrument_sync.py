"""Which instruments the venues have: after the settlement, and in the evening."""

from airflow.sdk import CronTriggerTimetable

from tapekeeper_airflow.listing_dag import listing_dag

listing_dag(
    dag_id="instrument_sync",
    schedule=CronTriggerTimetable("20 8,20 * * *", timezone="UTC"),
    description=(
        "Asks every venue for its instruments and brings the table of them up to date: what is new, what changed, and "
        "what is listed no more. Nothing is deleted. A list that cannot be whole is not believed."
    ),
)
