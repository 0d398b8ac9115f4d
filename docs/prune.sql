-- Deletes the days of a dataset before a day, rows and account together, in one transaction:
--     psql "$OWNER_URL" -v dataset=deribit.option_quotes -v before=2026-05-20 -f docs/prune.sql
-- What is deleted is not followed any more, so that no check misses it and nobody fetches it again. What the venue told of
-- it, the files that it was taken from and its corrections are forgotten too: whoever follows it later gets it anew. The
-- ledger of gaps stays. Days of ticks are dropped as partitions, which waits for readers of the table and makes its
-- writers wait.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
BEGIN;
SET LOCAL lock_timeout = '30s';
SET LOCAL ROLE tapekeeper_owner;
SELECT set_config('prune.dataset', :'dataset', true), set_config('prune.before', :'before', true);
DO $$
DECLARE
    wanted text := current_setting('prune.dataset');
    cut date := current_setting('prune.before');
    midnight timestamptz := cut::timestamp AT TIME ZONE 'UTC';
    own text := split_part(wanted, '.', 2);
    kept_in text := CASE
        WHEN own LIKE '%candles' AND to_regclass('public.' || quote_ident(own)) IS NULL THEN 'candles' ELSE own
    END;
    parent regclass := to_regclass('public.' || quote_ident(kept_in));
    is_partitioned boolean := (SELECT relkind = 'p' FROM pg_class WHERE oid = parent);
    gaps text;
    part regclass;
BEGIN
    IF cut > (now() AT TIME ZONE 'UTC')::date - 1 THEN
        RAISE EXCEPTION '% is too late: keep yesterday and today, which are still worked on', cut;
    END IF;
    -- Datasets of several venues may share a table, and a partition holds the rows of all of them.
    CREATE TEMPORARY TABLE pruned ON COMMIT DROP AS
        SELECT series_id, instrument_id, 0::bigint AS rows_gone FROM series
        WHERE dataset = wanted OR (is_partitioned AND split_part(dataset, '.', 2) = kept_in);
    IF parent IS NULL OR NOT EXISTS (SELECT FROM pruned) THEN
        RAISE EXCEPTION 'nothing is held of a dataset %: SELECT DISTINCT dataset FROM series tells which there are', wanted;
    END IF;
    SELECT string_agg(gap_id::text, ', ') INTO gaps
    FROM data_gaps JOIN pruned USING (series_id) WHERE closed_at IS NULL AND window_start < midnight;
    IF gaps IS NOT NULL THEN
        RAISE EXCEPTION 'gaps before % are open: repair or accept them first: %', cut, gaps;
    END IF;
    -- In the order of the writers, so that none of them is waited for while it waits for us.
    PERFORM FROM coverage JOIN pruned USING (series_id) WHERE day < cut ORDER BY series_id, day FOR UPDATE OF coverage;
    PERFORM FROM series_totals JOIN pruned USING (series_id) ORDER BY series_id FOR UPDATE OF series_totals;

    IF is_partitioned THEN
        EXECUTE format(
            'UPDATE pruned SET rows_gone = counted.rows FROM ('
            '    SELECT instrument_id, count(*) AS rows FROM %s WHERE event_time < %L GROUP BY instrument_id'
            ') AS counted WHERE counted.instrument_id = pruned.instrument_id',
            parent, midnight
        );
        FOR part IN
            SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = parent AND right(relname, 8)::date < cut
        LOOP
            EXECUTE format('DROP TABLE %s', part);
        END LOOP;
    ELSE
        EXECUTE format(
            'WITH gone AS ('
            '    DELETE FROM %s AS held USING pruned WHERE held.series_id = pruned.series_id AND held.%I < %L'
            '    RETURNING held.series_id'
            '), counted AS (SELECT series_id, count(*) AS rows FROM gone GROUP BY series_id)'
            'UPDATE pruned SET rows_gone = counted.rows FROM counted WHERE counted.series_id = pruned.series_id',
            parent,
            CASE kept_in
                WHEN 'candles' THEN 'open_time' WHEN 'funding_rates' THEN 'due_at' WHEN 'option_candles' THEN 'day'
                ELSE 'event_time'
            END,
            midnight
        );
    END IF;

    WITH gone AS (
        DELETE FROM coverage USING pruned WHERE coverage.series_id = pruned.series_id AND day < cut RETURNING coverage.*
    ), summed AS (
        SELECT series_id, sum(expected) AS expected, sum(held) AS held, sum(explained) AS explained
        FROM gone GROUP BY series_id
    )
    UPDATE series_totals SET
        expected = series_totals.expected - summed.expected,
        held = series_totals.held - summed.held,
        explained = series_totals.explained - summed.explained,
        rows_held = rows_held - rows_gone,
        first_event_time = (
            SELECT min(kept.first_event_time) FROM coverage AS kept
            WHERE kept.series_id = series_totals.series_id AND kept.day >= cut
        )
    FROM summed JOIN pruned USING (series_id)
    WHERE series_totals.series_id = summed.series_id;

    WITH gone AS (
        DELETE FROM followed USING pruned
        WHERE followed.series_id = pruned.series_id AND window_start < midnight
        RETURNING followed.*
    )
    INSERT INTO followed (series_id, window_start, window_end, reason)
    SELECT series_id, midnight, nullif(max(coalesce(window_end, 'infinity')), 'infinity'), min(reason)
    FROM gone
    WHERE coalesce(window_end, 'infinity') > midnight
    GROUP BY series_id
    ON CONFLICT (series_id, window_start) DO UPDATE SET window_end = nullif(
        greatest(coalesce(followed.window_end, 'infinity'), coalesce(excluded.window_end, 'infinity')), 'infinity'
    );
    DELETE FROM told_windows USING pruned WHERE told_windows.series_id = pruned.series_id AND window_end <= midnight;
    UPDATE told_windows SET window_start = midnight
    FROM pruned
    WHERE told_windows.series_id = pruned.series_id AND window_start < midnight;
    DELETE FROM archive_files USING pruned WHERE archive_files.series_id = pruned.series_id AND window_end <= midnight;
    UPDATE archive_files SET window_start = midnight
    FROM pruned
    WHERE archive_files.series_id = pruned.series_id AND window_start < midnight;
    DELETE FROM corrections USING pruned WHERE corrections.series_id = pruned.series_id AND event_time < midnight;
    RAISE NOTICE '% rows of % before % are gone', (SELECT sum(rows_gone) FROM pruned), wanted, cut;
END
$$;
COMMIT;
