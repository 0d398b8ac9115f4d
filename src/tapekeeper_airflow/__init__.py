"""What binds tapekeeper to Airflow: the form, the tasks, and what an error means to a task."""
