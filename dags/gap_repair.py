"""Repair of gaps: after every quality run, every quarter of an hour, or of one gap by hand."""

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable

from tapekeeper_airflow.quality_dag import QUALITY
from tapekeeper_airflow.repair_dag import repair_dag

repair_dag(
    dag_id="gap_repair",
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("*/15 * * * *", timezone="UTC"), assets=[QUALITY]),
    description=(
        "Fetches what is missing from the venue again, counts it in the table, and closes each gap with a receipt. "
        "It ends at once when nothing is open. Trigger it with a gap to repair that one now."
    ),
)
