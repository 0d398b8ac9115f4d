-- A run is one asked-for backfill, a chunk its unit of work and of commit.
CREATE TABLE backfill_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_key text NOT NULL UNIQUE,
    dataset text NOT NULL,
    instruments text[] NOT NULL,
    resolution_seconds integer NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    direction text NOT NULL CHECK (direction IN ('newest first', 'oldest first')),
    mode text NOT NULL CHECK (mode IN ('missing only', 'full refresh')),
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK (window_end > window_start)
);
COMMENT ON COLUMN backfill_runs.run_key IS 'the name that the asker gives, so that asking again goes on with the same run';

CREATE TABLE backfill_chunks (
    run_id bigint NOT NULL REFERENCES backfill_runs ON DELETE CASCADE,
    series_id integer NOT NULL REFERENCES series,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    position integer NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    lease_owner uuid,
    lease_until timestamptz,
    rows_fetched integer NOT NULL DEFAULT 0,
    rows_inserted integer NOT NULL DEFAULT 0,
    rows_updated integer NOT NULL DEFAULT 0,
    rows_unchanged integer NOT NULL DEFAULT 0,
    rows_rejected integer NOT NULL DEFAULT 0,
    error text,
    finished_at timestamptz,
    PRIMARY KEY (run_id, series_id, window_start),
    CHECK (window_end > window_start)
) WITH (fillfactor = 70);
CREATE INDEX backfill_chunks_to_do ON backfill_chunks (run_id, series_id, position) WHERE state IN ('pending', 'running');
COMMENT ON COLUMN backfill_chunks.position IS 'the order of work inside the run';
COMMENT ON COLUMN backfill_chunks.lease_until IS 'a chunk whose worker is silent beyond this may be taken by another';
