-- Where a row comes from is asked of a series and a moment; the key begins with the run.
CREATE INDEX backfill_chunks_of_series ON backfill_chunks (series_id, window_start);
