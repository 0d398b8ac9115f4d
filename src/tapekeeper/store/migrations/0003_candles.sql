-- Candles and the account of them. Every writer and every retention job changes rows and account in one transaction.
-- Candles carry no foreign key: checked row by row it costs a third of the write path, and series are never deleted.
CREATE TABLE candles (
    series_id integer NOT NULL,
    open_time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    cost double precision,
    trade_count integer,
    PRIMARY KEY (series_id, open_time)
);
COMMENT ON COLUMN candles.volume IS 'in the base currency';
COMMENT ON COLUMN candles.cost IS 'in the quote currency';

CREATE TABLE coverage (
    series_id integer NOT NULL REFERENCES series,
    day date NOT NULL,
    expected bigint NOT NULL DEFAULT 0 CHECK (expected >= 0),
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    explained bigint NOT NULL DEFAULT 0 CHECK (explained >= 0),
    first_event_time timestamptz,
    last_event_time timestamptz,
    PRIMARY KEY (series_id, day)
) WITH (fillfactor = 80);
COMMENT ON TABLE coverage IS 'held of expected per series and UTC day; a day is proven when held + explained = expected';

-- The roll-up of coverage, one row per series: the status page never reads more than this.
-- One row per dataset would make every writer of the dataset wait for every other one.
CREATE TABLE series_totals (
    series_id integer PRIMARY KEY REFERENCES series,
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    expected bigint NOT NULL DEFAULT 0 CHECK (expected >= 0),
    first_event_time timestamptz,
    last_event_time timestamptz
) WITH (fillfactor = 50);

CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id integer NOT NULL REFERENCES series,
    event_time timestamptz,
    reason text NOT NULL,
    content jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    times_seen integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX quarantine_once ON quarantine (series_id, md5(reason || content::text));
COMMENT ON TABLE quarantine IS 'rows that cannot be believed, kept as they came';

CREATE VIEW series_days AS
SELECT
    coverage.series_id, series.dataset, instruments.name AS instrument, series.resolution_seconds, coverage.day,
    coverage.expected, coverage.held, coverage.explained,
    CASE
        WHEN coverage.day >= (now() AT TIME ZONE 'UTC')::date THEN 'running'
        WHEN coverage.held >= coverage.expected THEN 'complete'
        WHEN coverage.held + coverage.explained >= coverage.expected THEN 'explained'
        ELSE 'red'
    END AS state,
    coverage.first_event_time, coverage.last_event_time
FROM coverage
JOIN series USING (series_id)
JOIN instruments USING (instrument_id);
COMMENT ON VIEW series_days IS 'the state of every followed day; computed, because a day ends without anybody writing';

CREATE VIEW perpetuals_ohlcv AS
SELECT
    candles.open_time AS "timestamp",
    instruments.name AS instrument,
    candles.open::numeric(18, 8) AS open,
    candles.high::numeric(18, 8) AS high,
    candles.low::numeric(18, 8) AS low,
    candles.close::numeric(18, 8) AS close,
    candles.volume::numeric(18, 8) AS volume
FROM candles
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
WHERE series.dataset = 'deribit.perpetual_candles' AND series.resolution_seconds = 60;
COMMENT ON VIEW perpetuals_ohlcv IS 'one-minute candles of the Deribit perpetuals';
