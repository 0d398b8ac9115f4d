-- Funding rates and daily candles of options lie on a grid: the key is the grid's moment, what the venue tells is kept
-- beside it.
CREATE TABLE funding_rates (
    series_id integer NOT NULL,
    due_at timestamptz NOT NULL,
    paid_at timestamptz NOT NULL,
    funding_rate double precision NOT NULL,
    mark_price double precision,
    PRIMARY KEY (series_id, due_at)
);
COMMENT ON TABLE funding_rates IS 'funding rates of perpetuals; the resolution of the series is the interval, so an instrument whose interval changed has several';
COMMENT ON COLUMN funding_rates.due_at IS 'when the schedule says, for joins';
COMMENT ON COLUMN funding_rates.paid_at IS 'what the venue tells, some milliseconds later';
COMMENT ON COLUMN funding_rates.funding_rate IS 'the share of a position''s value that the long side pays';
COMMENT ON COLUMN funding_rates.mark_price IS 'in the quote currency; null where the venue does not tell it';

CREATE TABLE option_candles (
    series_id integer NOT NULL,
    day timestamptz NOT NULL,
    open_time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    PRIMARY KEY (series_id, day)
);
COMMENT ON TABLE option_candles IS 'daily candles of options; a day without a trade repeats the close before it, with volume 0';
COMMENT ON COLUMN option_candles.day IS 'midnight of the date that the venue names';
COMMENT ON COLUMN option_candles.open_time IS 'when the venue''s day begins';

CREATE OR REPLACE VIEW grid_points AS
SELECT
    series_id,
    open_time AS point,
    concat_ws(',', open, high, low, close, volume, cost, trade_count) AS content
FROM candles
UNION ALL
SELECT series_id, event_time, concat_ws(',', open_interest, open_interest_value)
FROM open_interest
UNION ALL
SELECT series_id, due_at, concat_ws(',', extract(epoch FROM paid_at), funding_rate, mark_price)
FROM funding_rates
UNION ALL
SELECT series_id, day, concat_ws(',', extract(epoch FROM open_time), open, high, low, close, volume)
FROM option_candles;
COMMENT ON VIEW grid_points IS 'every row that lies on a grid, whichever table holds it';

-- Aggregate trades: ids without a hole, like the sequence numbers of options' trades.
CREATE TABLE agg_trades (
    event_time timestamptz NOT NULL,
    agg_trade_id bigint NOT NULL,
    price double precision NOT NULL,
    quantity double precision NOT NULL,
    first_trade_id bigint NOT NULL,
    last_trade_id bigint NOT NULL,
    instrument_id integer NOT NULL,
    is_buyer_maker boolean NOT NULL,
    PRIMARY KEY (event_time, instrument_id, agg_trade_id)
) PARTITION BY RANGE (event_time);
CREATE INDEX agg_trades_of_instrument ON agg_trades (instrument_id, agg_trade_id);
COMMENT ON TABLE agg_trades IS 'what one taker took at one price within a moment; a row is found by (instrument_id, agg_trade_id) too';
COMMENT ON COLUMN agg_trades.agg_trade_id IS 'counts the aggregate trades of one instrument without a hole';
COMMENT ON COLUMN agg_trades.quantity IS 'in the base currency';
COMMENT ON COLUMN agg_trades.first_trade_id IS 'of the trades that are summed up; between two rows some are missing, as the venue leaves out those of its insurance fund';
COMMENT ON COLUMN agg_trades.is_buyer_maker IS 'true where the taker sold';

CREATE OR REPLACE FUNCTION ensure_day_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    partition_name text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
BEGIN
    IF parent NOT IN ('api_requests', 'option_quotes', 'option_trades', 'agg_trades') THEN
        RAISE EXCEPTION '% is not partitioned by day', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(parent));
    -- Asked of the table itself: the name lookup above may still remember that there was none.
    IF NOT EXISTS (SELECT FROM pg_class WHERE relname = partition_name AND relnamespace = 'public'::regnamespace) THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition_name, parent);
        EXECUTE format(
            'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            parent, partition_name,
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END
$$;

-- What is counted by sequence numbers is counted here, whichever table holds it.
CREATE VIEW sequence_points AS
SELECT series.series_id, trade.event_time, trade.trade_seq AS sequence
FROM option_trades AS trade
JOIN series ON series.instrument_id = trade.instrument_id AND series.dataset = 'deribit.option_trades'
UNION ALL
SELECT series.series_id, trade.event_time, trade.agg_trade_id
FROM agg_trades AS trade
JOIN series ON series.instrument_id = trade.instrument_id AND series.dataset = 'binance_um.agg_trades';
COMMENT ON VIEW sequence_points IS 'every row that the venue gave a number to, whichever table holds it';

-- A series without a grid says nothing of what it should hold. So it is kept what the venue told whole, and a piece that
-- is followed and was never told counts as one that is missing.
CREATE TABLE told_windows (
    series_id integer NOT NULL REFERENCES series,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    PRIMARY KEY (series_id, window_start),
    CHECK (window_end > window_start)
);
COMMENT ON TABLE told_windows IS 'what the venue told whole of a series that has no grid; they never touch each other';
ALTER TABLE coverage
    ADD COLUMN untold bigint NOT NULL DEFAULT 0 CHECK (untold >= 0),
    ADD COLUMN untold_lost bigint NOT NULL DEFAULT 0 CHECK (untold_lost >= 0);
COMMENT ON COLUMN coverage.untold IS 'pieces of the day that are followed and were never told; each is one of what is expected';
COMMENT ON COLUMN coverage.untold_lost IS 'those of them that gaps say will never be told; each is one of what is lost';
COMMENT ON COLUMN series_totals.accounted_until IS 'up to where the followed seconds are accounted, where seconds count; up to where anything is expected, where windows are told';

CREATE OR REPLACE VIEW live_series AS
SELECT
    series.series_id,
    series.dataset,
    instruments.name AS instrument,
    instruments.currency,
    series.resolution_seconds,
    still_followed.since AS followed_since,
    instruments.expires_at,
    total.last_event_time,
    CASE WHEN series.dataset LIKE '%\_quotes' THEN total.accounted_until END AS accounted_until,
    told.told_until
FROM (SELECT series_id, min(window_start) AS since FROM followed WHERE window_end IS NULL GROUP BY series_id) AS still_followed
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
LEFT JOIN series_totals AS total USING (series_id)
CROSS JOIN LATERAL (
    SELECT max(window_end) AS told_until FROM told_windows WHERE told_windows.series_id = series.series_id
) AS told
WHERE (instruments.expires_at IS NULL OR instruments.expires_at > now())
    AND (instruments.delisted_at IS NULL OR instruments.delisted_at > now());

ALTER TABLE backfill_chunks
    ADD COLUMN source text NOT NULL DEFAULT 'rest' CHECK (source IN ('rest', 'archive'));
COMMENT ON COLUMN backfill_chunks.source IS 'where the rows are fetched from';
COMMENT ON COLUMN backfill_runs.resolution_seconds IS '0 where the data have none, or each instrument its own';

CREATE TABLE archive_files (
    series_id integer NOT NULL REFERENCES series,
    name text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    rows_told bigint NOT NULL,
    loaded_at timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (series_id, name),
    CHECK (window_end > window_start)
);
CREATE INDEX archive_files_checked ON archive_files (checked_at);
COMMENT ON TABLE archive_files IS 'files of an archive that were loaded, as they were then';
COMMENT ON COLUMN archive_files.window_start IS 'of what was taken from the file';
COMMENT ON COLUMN archive_files.checked_at IS 'when its checksum was last compared';

CREATE TABLE corrections (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id integer NOT NULL REFERENCES series,
    event_time timestamptz NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    source text NOT NULL,
    corrected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX corrections_of_series ON corrections (series_id, event_time);
COMMENT ON TABLE corrections IS 'every row that was changed after it was written';
COMMENT ON COLUMN corrections.event_time IS 'the moment of the row that was changed';
COMMENT ON COLUMN corrections.source IS 'who told the new values: rest, or the name and the checksum of a file';

CREATE VIEW binance_um_funding_rates AS
SELECT
    instruments.name AS instrument,
    rate.due_at, rate.paid_at, rate.funding_rate, rate.mark_price,
    series.resolution_seconds / 3600 AS interval_hours
FROM funding_rates AS rate
JOIN series USING (series_id)
JOIN instruments USING (instrument_id);
COMMENT ON VIEW binance_um_funding_rates IS 'funding rates by instrument, whatever its interval was';

CREATE VIEW cryptodatadownload_options_daily AS
SELECT
    instruments.name AS symbol,
    instruments.currency,
    (candle.day AT TIME ZONE 'UTC')::date AS date,
    candle.open, candle.high, candle.low, candle.close, candle.volume
FROM option_candles AS candle
JOIN series USING (series_id)
JOIN instruments USING (instrument_id);
COMMENT ON VIEW cryptodatadownload_options_daily IS 'daily candles of options, as CryptoDataDownload tells them';

GRANT SELECT, INSERT, UPDATE, DELETE ON
    funding_rates, option_candles, agg_trades, told_windows, archive_files, corrections
TO tapekeeper_writer;
GRANT SELECT ON
    funding_rates, option_candles, agg_trades, told_windows, archive_files, corrections, sequence_points,
    binance_um_funding_rates, cryptodatadownload_options_daily
TO tapekeeper_reader;
GRANT SELECT ON sequence_points, binance_um_funding_rates, cryptodatadownload_options_daily TO tapekeeper_writer;
