"""What is held, checked every night."""

from airflow.sdk import CronTriggerTimetable

from tapekeeper_airflow.quality_dag import quality_dag

quality_dag(
    dag_id="quality_daily",
    schedule=CronTriggerTimetable("0 3 * * *", timezone="UTC"),
    description=(
        "Asks of every followed day whether it is complete or explained, and of every row whether it can be believed. "
        "It records what is missing for gap_repair, writes a report, and fails its last task when somebody has to look."
    ),
)
