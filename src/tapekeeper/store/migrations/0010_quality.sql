-- Quality: what the checks found, the outages that explain holes, and how complete everything is.
CREATE TABLE outages (
    outage_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('venue_outage', 'venue_maintenance')),
    source text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (window_end > window_start),
    UNIQUE (venue, window_start, window_end)
);
COMMENT ON TABLE outages IS 'when a venue is known to have been away; outages explain holes, they never lower what is expected';
COMMENT ON COLUMN outages.kind IS 'the cause that a gap inside it gets';
COMMENT ON COLUMN outages.source IS 'where it was announced, or who saw it';
INSERT INTO outages (venue, window_start, window_end, kind, source, added_by) VALUES
    ('deribit', '2020-08-27 05:15Z', '2020-08-27 09:27Z', 'venue_outage',
        'https://insights.deribit.com/exchange-updates/statement-of-the-outage-on-august-27-2020/', 'tapekeeper'),
    ('deribit', '2020-11-26 00:00Z', '2020-11-27 00:00Z', 'venue_outage',
        'https://insights.deribit.com/exchange-updates/statement-on-26-november-2020-downtime; '
        'the day alone is known, not the hours', 'tapekeeper');

-- The venue was asked and had nothing of the gap: the first time, and how often a repair was begun.
ALTER TABLE data_gaps
    ADD COLUMN found_empty_at timestamptz,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0);
COMMENT ON COLUMN data_gaps.found_empty_at IS 'when the venue first answered that it has nothing of this gap';
COMMENT ON COLUMN data_gaps.next_attempt_at IS 'a repair is not tried before; null: at once';
CREATE INDEX data_gaps_to_repair ON data_gaps (next_attempt_at) WHERE closed_at IS NULL;

CREATE TABLE quality_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_key text NOT NULL UNIQUE,
    datasets text[] NOT NULL,
    checks text[] NOT NULL,
    window_start timestamptz,
    window_end timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'green', 'red', 'failed')),
    asked_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK (window_end > window_start)
);
COMMENT ON COLUMN quality_runs.run_key IS 'the name that the asker gives, so that asking again repeats the same run';
COMMENT ON COLUMN quality_runs.window_start IS 'null: from the first row on';
COMMENT ON COLUMN quality_runs.state IS 'green: no critical check is red; failed: the run itself could not be finished';

CREATE TABLE quality_results (
    run_id bigint NOT NULL REFERENCES quality_runs ON DELETE CASCADE,
    dataset text NOT NULL,
    check_name text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning')),
    status text NOT NULL CHECK (status IN ('green', 'red', 'error')),
    checked bigint NOT NULL CHECK (checked >= 0),
    found bigint NOT NULL CHECK (found >= 0),
    figures jsonb NOT NULL,
    sample jsonb NOT NULL,
    error text,
    seconds double precision NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (run_id, dataset, check_name)
);
COMMENT ON COLUMN quality_results.checked IS 'how many rows, days or windows were looked at';
COMMENT ON COLUMN quality_results.found IS 'how many of them are not as they should be';
COMMENT ON COLUMN quality_results.sample IS 'some of those found, worst first';

-- Completeness looks at a few days of all series; the key begins with the series. With the counts in the index every
-- flush of the collector would write it anew for each of its series.
CREATE INDEX coverage_of_day ON coverage (day);

CREATE VIEW completeness AS
SELECT
    series.dataset,
    coverage.series_id,
    window_days.days AS window_days,
    sum(coverage.expected)::bigint AS expected,
    sum(coverage.held)::bigint AS held,
    sum(coverage.explained)::bigint AS explained,
    count(*) FILTER (WHERE coverage.held + coverage.explained < coverage.expected) AS days_red
FROM (
    -- The widest window as a constant: from the table of windows alone the planner would read all days.
    SELECT series_id, day, expected, held, explained
    FROM coverage
    WHERE day >= (now() AT TIME ZONE 'UTC')::date - 30 AND day < (now() AT TIME ZONE 'UTC')::date
) AS coverage
JOIN (VALUES (1), (7), (30)) AS window_days (days)
    ON coverage.day >= (now() AT TIME ZONE 'UTC')::date - window_days.days
JOIN series USING (series_id)
GROUP BY series.dataset, coverage.series_id, window_days.days;
COMMENT ON VIEW completeness IS 'held and explained of expected per series, over the last 1, 7 and 30 UTC days that are over';

CREATE VIEW dataset_completeness AS
SELECT
    dataset,
    window_days,
    count(*) AS series_count,
    sum(expected)::bigint AS expected,
    sum(held)::bigint AS held,
    sum(explained)::bigint AS explained,
    sum(days_red)::bigint AS days_red,
    (sum(held + explained) / nullif(sum(expected), 0))::double precision AS completeness
FROM completeness
GROUP BY dataset, window_days;
COMMENT ON VIEW dataset_completeness IS 'the same per dataset; completeness is null where nothing is expected';

GRANT SELECT, INSERT, UPDATE, DELETE ON outages, quality_runs, quality_results TO tapekeeper_writer;
GRANT SELECT ON outages, quality_runs, quality_results, completeness, dataset_completeness TO tapekeeper_reader;
GRANT SELECT ON completeness, dataset_completeness TO tapekeeper_writer;
