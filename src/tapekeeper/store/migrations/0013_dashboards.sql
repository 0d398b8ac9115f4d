-- What the dashboards ask of the database: views for the reader, and an index for each time range they choose.
CREATE VIEW gap_ledger AS
SELECT
    gap.gap_id, series.dataset, instruments.name AS instrument, series.resolution_seconds,
    gap.window_start, gap.window_end,
    extract(epoch FROM gap.window_end - gap.window_start)::double precision AS seconds,
    gap.missing, gap.cause, gap.state, gap.opened_at, gap.closed_at,
    extract(epoch FROM gap.closed_at - gap.opened_at)::double precision AS seconds_to_close,
    gap.attempts, gap.next_attempt_at,
    event.happened_at AS last_event_at, event.by AS last_event_by, event.why AS last_event,
    receipt.requests, receipt.rows_found, receipt.rows_missing
FROM data_gaps AS gap
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
LEFT JOIN repair_receipts AS receipt USING (gap_id)
LEFT JOIN LATERAL (
    SELECT happened_at, by, why FROM data_gap_events WHERE gap_id = gap.gap_id ORDER BY event_id DESC LIMIT 1
) AS event ON true;
COMMENT ON VIEW gap_ledger IS 'one row per gap, with the last that happened to it and its receipt';
CREATE INDEX data_gaps_opened ON data_gaps (opened_at);
CREATE INDEX data_gaps_ended ON data_gaps (window_end);

CREATE VIEW dataset_days AS
SELECT
    dataset, day, day::timestamp AT TIME ZONE 'UTC' AS day_start,
    count(*) AS series_count,
    count(*) FILTER (WHERE state = 'red') AS series_red,
    sum(expected)::bigint AS expected,
    -- A surplus of one series does not make up for what another one lacks.
    sum(least(held, expected))::bigint AS held,
    sum(least(explained, greatest(expected - held, 0)))::bigint AS explained,
    CASE max(CASE state WHEN 'running' THEN 3 WHEN 'red' THEN 2 WHEN 'explained' THEN 1 ELSE 0 END)
        WHEN 3 THEN 'running' WHEN 2 THEN 'red' WHEN 1 THEN 'explained' ELSE 'complete'
    END AS state
FROM series_days
GROUP BY dataset, day;
COMMENT ON VIEW dataset_days IS 'the state of every followed day, over all series of a dataset; a day is as good as its worst series';

CREATE VIEW backfill_progress AS
SELECT
    run.run_id, run.run_key, run.dataset, run.instruments, run.resolution_seconds,
    run.window_start, run.window_end, run.mode, run.state, run.created_at, run.finished_at,
    chunk.chunks, chunk.waiting, chunk.done, chunk.failed, chunk.rows_written, chunk.rows_rejected,
    work.seconds,
    chunk.rows_written / nullif(work.seconds, 0) AS rows_per_second,
    -- At the pace so far.
    CASE run.state WHEN 'running' THEN chunk.waiting * work.seconds / nullif(chunk.done + chunk.failed, 0) END AS seconds_left
FROM backfill_runs AS run
CROSS JOIN LATERAL (
    SELECT
        count(*) AS chunks,
        count(*) FILTER (WHERE state IN ('pending', 'running')) AS waiting,
        count(*) FILTER (WHERE state = 'done') AS done,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        coalesce(sum(rows_inserted + rows_updated), 0)::bigint AS rows_written,
        coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected,
        max(finished_at) AS last_finished_at
    FROM backfill_chunks WHERE run_id = run.run_id
) AS chunk
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM coalesce(run.finished_at, chunk.last_finished_at) - run.created_at)::double precision AS seconds
) AS work;
COMMENT ON VIEW backfill_progress IS 'how far each run is, and how fast';
CREATE INDEX backfill_runs_created ON backfill_runs (created_at);

CREATE VIEW failed_chunks AS
SELECT
    chunk.finished_at AS failed_at, chunk.run_id, run.run_key, run.state AS run_state,
    series.dataset, instruments.name AS instrument, series.resolution_seconds,
    chunk.window_start, chunk.window_end, chunk.attempts, chunk.error
FROM backfill_chunks AS chunk
JOIN backfill_runs AS run USING (run_id)
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
WHERE chunk.state = 'failed';
COMMENT ON VIEW failed_chunks IS 'chunks that were given up, and why';
CREATE INDEX backfill_chunks_failed_at ON backfill_chunks (finished_at) WHERE state = 'failed';

CREATE VIEW quality_history AS
SELECT
    run.finished_at, run.run_id, run.asked_by, run.window_start, run.window_end,
    result.dataset, result.check_name, result.severity, result.status,
    CASE
        WHEN result.status = 'green' THEN 0 WHEN result.status = 'error' THEN 3 WHEN result.severity = 'warning' THEN 1 ELSE 2
    END AS level,
    result.checked, result.found, result.sample, result.error, result.seconds,
    NOT EXISTS (
        SELECT FROM quality_results AS later
        JOIN quality_runs AS later_run USING (run_id)
        WHERE later.run_id > result.run_id AND later.dataset = result.dataset AND later.check_name = result.check_name
            AND later_run.finished_at IS NOT NULL
    ) AS is_newest
FROM quality_results AS result
JOIN quality_runs AS run USING (run_id)
WHERE run.finished_at IS NOT NULL;
COMMENT ON VIEW quality_history IS 'what every check found in every run that ended';
COMMENT ON COLUMN quality_history.is_newest IS 'no later run that ended did this check of this dataset';
CREATE INDEX quality_runs_finished ON quality_runs (finished_at);

CREATE VIEW quarantined_rows AS
SELECT
    kept.quarantine_id, series.dataset, instruments.name AS instrument, series.resolution_seconds,
    kept.event_time, kept.first_seen_at, kept.last_seen_at, kept.times_seen, kept.reason,
    -- A reason tells the value; without its numbers the same reason is one.
    regexp_replace(kept.reason, '-?[0-9][0-9.e+-]*', 'N', 'g') AS kind
FROM quarantine AS kept
JOIN series USING (series_id)
JOIN instruments USING (instrument_id);
COMMENT ON VIEW quarantined_rows IS 'rows that cannot be believed, by instrument and by kind of reason';
CREATE INDEX quarantine_last_seen ON quarantine (last_seen_at);

CREATE VIEW table_sizes AS
SELECT
    coalesce(parent.relname, leaf.relname)::text AS table_name,
    count(parent.oid) AS partitions,
    sum(greatest(stat.n_live_tup, leaf.reltuples, 0))::bigint AS rows_estimated,
    sum(stat.n_dead_tup)::bigint AS rows_dead,
    sum(pg_table_size(leaf.oid))::bigint AS table_bytes,
    sum(pg_indexes_size(leaf.oid))::bigint AS index_bytes,
    max(greatest(stat.last_vacuum, stat.last_autovacuum)) AS vacuumed_at,
    max(greatest(stat.last_analyze, stat.last_autoanalyze)) AS analyzed_at
FROM pg_stat_user_tables AS stat
JOIN pg_class AS leaf ON leaf.oid = stat.relid AND leaf.relkind = 'r' AND leaf.relnamespace = 'public'::regnamespace
LEFT JOIN pg_inherits ON pg_inherits.inhrelid = leaf.oid
LEFT JOIN pg_class AS parent ON parent.oid = pg_inherits.inhparent
GROUP BY table_name;
COMMENT ON VIEW table_sizes IS 'room and rows of every table, with its partitions; rows are what the statistics say';

CREATE VIEW partition_days AS
SELECT
    part.table_name, part.day, part.day::timestamp AT TIME ZONE 'UTC' AS day_start,
    greatest(pg_stat_get_live_tuples(part.oid), part.reltuples::bigint, 0) AS rows_estimated,
    pg_total_relation_size(part.oid) AS bytes
FROM (
    SELECT
        leaf.oid, leaf.reltuples, parent.relname::text AS table_name,
        -- Asked of every table there is when a condition on the day is applied first.
        CASE WHEN leaf.relname ~ '_[0-9]{8}$' THEN to_date(right(leaf.relname, 8), 'YYYYMMDD') END AS day
    FROM pg_inherits
    JOIN pg_class AS leaf ON leaf.oid = pg_inherits.inhrelid AND leaf.relkind = 'r'
    JOIN pg_class AS parent ON parent.oid = pg_inherits.inhparent AND parent.relnamespace = 'public'::regnamespace
) AS part;
COMMENT ON VIEW partition_days IS 'room and rows of every day that has a partition; rows are what the statistics say';

-- Who is connected, never what they ask: the text of a statement can hold what is nobody's business.
CREATE FUNCTION connected_sessions()
RETURNS TABLE (database text, login text, application text, state text, sessions bigint, longest_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT
        datname::text, coalesce(usename::text, backend_type, 'unknown'),
        coalesce(nullif(application_name, ''), backend_type, 'unknown'),
        coalesce(state, 'unknown'), count(*),
        max(extract(epoch FROM clock_timestamp() - CASE WHEN state <> 'idle' THEN xact_start END))::double precision
    FROM pg_stat_activity
    WHERE datname IS NOT NULL
    GROUP BY 1, 2, 3, 4
$$;
REVOKE EXECUTE ON FUNCTION connected_sessions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION connected_sessions() TO tapekeeper_reader;
CREATE VIEW database_sessions AS
SELECT database, login, application, state, sessions, longest_seconds FROM connected_sessions();
COMMENT ON VIEW database_sessions IS 'sessions on the server by database, login, program and what they do';
COMMENT ON COLUMN database_sessions.longest_seconds IS 'age of the oldest transaction among them';

-- Without this right, which only a superuser may hand on, other logins' states are unknown and have no age.
DO $$
BEGIN
    IF NOT pg_has_role('tapekeeper_owner', 'pg_read_all_stats', 'USAGE') THEN
        RESET ROLE;
        GRANT pg_read_all_stats TO tapekeeper_owner;
    END IF;
EXCEPTION WHEN insufficient_privilege OR unique_violation THEN
    RAISE NOTICE 'tapekeeper_owner has no pg_read_all_stats: what other sessions do will be unknown to the dashboards';
END
$$;
SET LOCAL ROLE tapekeeper_owner;

CREATE VIEW database_health AS
SELECT
    stat.datname::text AS database,
    pg_database_size(stat.datid) AS bytes,
    (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS connections,
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint AS connections_maximum,
    stat.xact_commit AS transactions_committed,
    stat.xact_rollback AS transactions_rolled_back,
    stat.blks_hit::double precision / nullif(stat.blks_hit + stat.blks_read, 0) AS cache_hit_ratio,
    stat.deadlocks,
    stat.temp_bytes AS bytes_spilled,
    coalesce(stat.stats_reset, pg_postmaster_start_time()) AS counted_since
FROM pg_stat_database AS stat
WHERE stat.datname = current_database();
COMMENT ON VIEW database_health IS 'this database in numbers, as PostgreSQL counts them';

GRANT SELECT ON
    gap_ledger, dataset_days, backfill_progress, failed_chunks, quality_history, quarantined_rows,
    table_sizes, partition_days, database_sessions, database_health
TO tapekeeper_reader;
GRANT SELECT ON gap_ledger, dataset_days, backfill_progress, failed_chunks, quality_history, quarantined_rows
TO tapekeeper_writer;
