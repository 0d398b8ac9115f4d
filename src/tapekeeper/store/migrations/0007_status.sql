-- The status page looks at the running runs and at the newest one; finished runs and chunks pile up for years.
CREATE INDEX backfill_runs_of_dataset ON backfill_runs (dataset, run_id);
CREATE INDEX backfill_runs_running ON backfill_runs (dataset) WHERE state = 'running';
CREATE INDEX backfill_chunks_failed ON backfill_chunks (run_id) WHERE state = 'failed';
