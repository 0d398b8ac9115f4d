-- Ticks: quotes and trades of options, the account of them, and every hole with what became of it.
-- Like candles they carry no foreign key: checked row by row it would halve the write path.
CREATE TABLE option_quotes (
    event_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    change_id bigint NOT NULL,
    bid_price double precision,
    bid_size double precision,
    ask_price double precision,
    ask_size double precision,
    mark_price double precision,
    underlying_price double precision,
    mark_iv double precision,
    bid_iv double precision,
    ask_iv double precision,
    open_interest double precision,
    instrument_id integer NOT NULL,
    from_ticker boolean NOT NULL,
    PRIMARY KEY (event_time, instrument_id, change_id)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE option_quotes IS 'one row per change of the top of the book; null: nobody quotes, or the venue has not told yet';
COMMENT ON COLUMN option_quotes.change_id IS 'the venue''s number of the change of the book; 0 where the row comes from the ticker alone';
COMMENT ON COLUMN option_quotes.mark_price IS 'this and the columns after it: latest known from the ticker when the book changed';
COMMENT ON COLUMN option_quotes.from_ticker IS 'taken from the ticker while the chain of changes of the book was broken';

CREATE TABLE option_trades (
    event_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    trade_seq bigint NOT NULL,
    price double precision NOT NULL,
    size double precision NOT NULL,
    iv double precision,
    index_price double precision,
    mark_price double precision,
    instrument_id integer NOT NULL,
    trade_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    liquidation text,
    combo_id text,
    block_trade_id text,
    PRIMARY KEY (event_time, instrument_id, trade_seq)
) PARTITION BY RANGE (event_time);
CREATE INDEX option_trades_of_instrument ON option_trades (instrument_id, trade_seq);
COMMENT ON COLUMN option_trades.trade_seq IS 'counts the trades of one instrument without a hole';
COMMENT ON COLUMN option_trades.side IS 'of the taker';

-- The account of ticks. Coverage of quotes counts seconds, that of trades counts sequence numbers; rows are apart.
ALTER TABLE coverage ADD COLUMN lost bigint NOT NULL DEFAULT 0 CHECK (lost >= 0);
COMMENT ON COLUMN coverage.lost IS 'what recorded gaps say will never come; as much of it as is expected and not held is explained';

ALTER TABLE series_totals
    ADD COLUMN explained bigint NOT NULL DEFAULT 0 CHECK (explained >= 0),
    ADD COLUMN rows_held bigint NOT NULL DEFAULT 0 CHECK (rows_held >= 0),
    ADD COLUMN last_sequence bigint,
    ADD COLUMN accounted_until timestamptz;
COMMENT ON COLUMN series_totals.held IS 'in the unit of the dataset: grid points, sequence numbers, or seconds';
COMMENT ON COLUMN series_totals.rows_held IS 'rows in the table of the dataset';
COMMENT ON COLUMN series_totals.last_sequence IS 'the greatest sequence number held, where the venue counts';
COMMENT ON COLUMN series_totals.accounted_until IS 'up to where the followed seconds are accounted, where seconds count';
UPDATE series_totals SET
    rows_held = held,
    explained = coalesce((SELECT sum(explained) FROM coverage WHERE coverage.series_id = series_totals.series_id), 0);

-- The totals hold the positions already, so that a restart needs no search and a flush writes them but once.
CREATE VIEW stream_positions AS
SELECT
    series.instrument_id,
    CASE series.dataset WHEN 'deribit.option_quotes' THEN 'quotes' ELSE 'trades' END AS stream,
    total.last_sequence AS last_trade_seq,
    total.last_event_time,
    total.accounted_until
FROM series
JOIN series_totals AS total USING (series_id)
WHERE series.dataset IN ('deribit.option_quotes', 'deribit.option_trades');
COMMENT ON VIEW stream_positions IS 'how far each stream of an instrument is written';

-- Holes. Gaps may overlap in time: unions are computed, rows are never merged.
CREATE TABLE data_gaps (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id integer NOT NULL REFERENCES series,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    first_sequence bigint,
    last_sequence bigint,
    missing bigint NOT NULL CHECK (missing >= 0),
    cause text NOT NULL CHECK (cause IN (
        'disconnect', 'sequence_break', 'buffer_overflow', 'spool_full', 'restart', 'unsubscribed', 'rate_limited',
        'venue_outage', 'venue_maintenance', 'archive_defect', 'unknown'
    )),
    state text NOT NULL CHECK (state IN ('open', 'classified', 'repairing', 'repaired', 'permanent', 'accepted')),
    evidence jsonb NOT NULL,
    held_digest text,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    next_attempt_at timestamptz,
    CHECK (window_end > window_start),
    CHECK ((first_sequence IS NULL) = (last_sequence IS NULL)),
    CHECK (last_sequence >= first_sequence),
    CHECK ((closed_at IS NOT NULL) = (state IN ('repaired', 'permanent', 'accepted')))
);
CREATE INDEX data_gaps_of_series ON data_gaps (series_id, window_start);
CREATE INDEX data_gaps_open ON data_gaps (series_id) WHERE closed_at IS NULL;
COMMENT ON COLUMN data_gaps.missing IS 'in the unit of the dataset, when the gap was recorded, and in no other gap';
COMMENT ON COLUMN data_gaps.first_sequence IS 'no two gaps of a series that are not repaired share a sequence number';
COMMENT ON COLUMN data_gaps.held_digest IS 'of the sequence numbers that were held inside it when it was recorded';

CREATE TABLE data_gap_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gap_id bigint NOT NULL REFERENCES data_gaps,
    from_state text,
    to_state text NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL,
    why text NOT NULL,
    evidence jsonb NOT NULL
);
CREATE INDEX data_gap_events_of_gap ON data_gap_events (gap_id);
COMMENT ON TABLE data_gap_events IS 'every transition of a gap, its recording included';

CREATE TABLE repair_receipts (
    gap_id bigint PRIMARY KEY REFERENCES data_gaps,
    requests integer NOT NULL CHECK (requests >= 0),
    rows_found bigint NOT NULL CHECK (rows_found >= 0),
    rows_missing bigint NOT NULL CHECK (rows_missing >= 0),
    digest_before text NOT NULL,
    digest_after text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE repair_receipts IS 'what a repair brought, counted in the table itself when the gap was closed';

CREATE TABLE collector_sessions (
    session_id uuid PRIMARY KEY,
    collector text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    close_code integer,
    close_reason text,
    messages bigint NOT NULL DEFAULT 0 CHECK (messages >= 0),
    channels integer NOT NULL DEFAULT 0 CHECK (channels >= 0),
    CHECK (closed_at >= opened_at)
);
CREATE INDEX collector_sessions_opened ON collector_sessions (opened_at);
COMMENT ON COLUMN collector_sessions.closed_at IS 'null: still open, or its collector was killed';

-- Attached, not made as a partition: making one would wait for every reader of the parent, and all writers behind it.
CREATE OR REPLACE FUNCTION ensure_day_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    partition_name text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
BEGIN
    IF parent NOT IN ('api_requests', 'option_quotes', 'option_trades') THEN
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

CREATE VIEW eth_option_quotes AS
SELECT
    quote.event_time AS "timestamp",
    instruments.name AS instrument,
    quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size, quote.underlying_price, quote.mark_price
FROM option_quotes AS quote
JOIN instruments USING (instrument_id)
WHERE instruments.currency = 'ETH';
COMMENT ON VIEW eth_option_quotes IS 'the top of the book of the options on Ether';

CREATE VIEW eth_option_trades AS
SELECT
    trade.event_time AS "timestamp",
    instruments.name AS instrument,
    trade.trade_id, trade.price, trade.size, trade.side, trade.iv,
    trade.index_price AS underlying_price
FROM option_trades AS trade
JOIN instruments USING (instrument_id)
WHERE instruments.currency = 'ETH';
COMMENT ON VIEW eth_option_trades IS 'the trades of the options on Ether';
COMMENT ON COLUMN eth_option_trades.underlying_price IS 'the index price: the venue''s trades carry no price of the underlying';

GRANT SELECT, INSERT, UPDATE, DELETE ON
    option_quotes, option_trades, data_gaps, data_gap_events, repair_receipts, collector_sessions
TO tapekeeper_writer;
GRANT SELECT ON
    option_quotes, option_trades, data_gaps, data_gap_events, repair_receipts, collector_sessions
TO tapekeeper_reader;
GRANT SELECT ON stream_positions, eth_option_quotes, eth_option_trades TO tapekeeper_writer, tapekeeper_reader;
