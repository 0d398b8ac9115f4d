#!/bin/sh
# Airflow's own tables and its first login. Run again it brings the tables up to date and leaves the login alone.
set -eu
airflow db migrate
password=$(cat /run/secrets/airflow_admin_password)
# Typed, not given as an argument: the arguments of a process can be seen by others.
printf '%s\n%s\n' "$password" "$password" | AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR PYTHONWARNINGS=ignore \
    airflow users create --username admin --role Admin --firstname Ada --lastname Admin --email admin@example.com
