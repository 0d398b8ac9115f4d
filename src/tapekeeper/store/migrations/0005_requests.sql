-- How fast we may ask, and every question that we asked.
CREATE TABLE rate_budgets (
    name text PRIMARY KEY,
    rate_maximum double precision NOT NULL CHECK (rate_maximum > 0),
    rate double precision NOT NULL CHECK (rate > 0),
    rate_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    burst double precision NOT NULL CHECK (burst >= 1),
    theoretical_arrival_time timestamptz NOT NULL DEFAULT '-infinity',
    blocked_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
COMMENT ON TABLE rate_budgets IS 'one GCRA bucket per limit of a venue, shared by all processes';
COMMENT ON COLUMN rate_budgets.rate IS 'permits per second granted since rate_changed_at; it grows back to rate_maximum with time';

CREATE SEQUENCE api_request_ids;
CREATE TABLE api_requests (
    requested_at timestamptz NOT NULL,
    request_id bigint NOT NULL DEFAULT nextval('api_request_ids'),
    venue text NOT NULL,
    method text NOT NULL,
    parameters jsonb NOT NULL,
    status integer,
    outcome text NOT NULL CHECK (outcome IN ('ok', 'retry', 'give up')),
    reason text NOT NULL,
    weight double precision NOT NULL,
    latency_seconds double precision NOT NULL,
    bytes bigint NOT NULL,
    attempt integer NOT NULL,
    run_id bigint,
    series_id integer,
    window_start timestamptz,
    PRIMARY KEY (requested_at, request_id)
) PARTITION BY RANGE (requested_at);
CREATE INDEX api_requests_of_chunk ON api_requests (run_id, series_id, window_start);
COMMENT ON COLUMN api_requests.status IS 'null where no answer came';

-- The writer may add partitions of these tables and nothing else.
CREATE FUNCTION ensure_day_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    partition_name text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
BEGIN
    IF parent NOT IN ('api_requests') THEN
        RAISE EXCEPTION '% is not partitioned by day', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('public.' || partition_name) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(parent));
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
            partition_name, parent,
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END
$$;
