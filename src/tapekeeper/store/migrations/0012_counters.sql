-- Roll-ups of what only grows. Retention drops days of requests and old runs, and a counter must never fall with them.
-- Per series, whose row the same transaction changes anyway: writers of other series do not wait.
ALTER TABLE series_totals
    ADD COLUMN rows_backfilled bigint NOT NULL DEFAULT 0 CHECK (rows_backfilled >= 0),
    ADD COLUMN backfilled_at timestamptz;
COMMENT ON COLUMN series_totals.rows_backfilled IS 'rows that chunks inserted or updated, ever; it never falls';
COMMENT ON COLUMN series_totals.backfilled_at IS 'when the newest chunk was done';
UPDATE series_totals SET rows_backfilled = chunks.written, backfilled_at = chunks.done_at
FROM (
    SELECT series_id, sum(rows_inserted + rows_updated) AS written, max(finished_at) FILTER (WHERE state = 'done') AS done_at
    FROM backfill_chunks
    GROUP BY series_id
) AS chunks
WHERE chunks.series_id = series_totals.series_id;

CREATE TABLE api_request_totals (
    venue text NOT NULL,
    method text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('ok', 'retry', 'give up')),
    requests bigint NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (venue, method, outcome)
) WITH (fillfactor = 10);
COMMENT ON TABLE api_request_totals IS 'how many requests were ever recorded; it never falls, whatever becomes of their rows';
INSERT INTO api_request_totals SELECT venue, method, outcome, count(*) FROM api_requests GROUP BY venue, method, outcome;

-- The ledger of gaps is kept for ever, so what was repaired is counted in it.
CREATE INDEX data_gaps_repaired ON data_gaps (series_id) WHERE state = 'repaired';

GRANT SELECT, INSERT, UPDATE, DELETE ON api_request_totals TO tapekeeper_writer;
GRANT SELECT ON api_request_totals TO tapekeeper_reader;
