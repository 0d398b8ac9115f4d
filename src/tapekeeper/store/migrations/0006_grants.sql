-- The writer changes rows and never the schema; the reader reads.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    instruments, series, followed, candles, coverage, series_totals, quarantine,
    backfill_runs, backfill_chunks, rate_budgets, api_requests
TO tapekeeper_writer;
GRANT SELECT ON
    instruments, series, followed, candles, coverage, series_totals, quarantine,
    backfill_runs, backfill_chunks, rate_budgets, api_requests
TO tapekeeper_reader;
GRANT SELECT ON series_days, perpetuals_ohlcv TO tapekeeper_writer, tapekeeper_reader;
GRANT USAGE ON SEQUENCE api_request_ids TO tapekeeper_writer;
REVOKE EXECUTE ON FUNCTION ensure_day_partition(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_day_partition(text, date) TO tapekeeper_writer;
