-- Open interest lies on a grid as candles do: the same holes, the same repair, the same account.
CREATE TABLE open_interest (
    series_id integer NOT NULL,
    event_time timestamptz NOT NULL,
    open_interest double precision NOT NULL,
    open_interest_value double precision NOT NULL,
    PRIMARY KEY (series_id, event_time)
);
COMMENT ON TABLE open_interest IS 'open interest of perpetuals, one row per period';
COMMENT ON COLUMN open_interest.event_time IS 'when it was so, on the grid of the period';
COMMENT ON COLUMN open_interest.open_interest IS 'in the base currency';
COMMENT ON COLUMN open_interest.open_interest_value IS 'in the quote currency';

-- What is counted is counted here, whichever table holds it. The planner looks into both by their keys, and leaves the
-- content out where nobody asks for it.
CREATE VIEW grid_points AS
SELECT
    series_id,
    open_time AS point,
    concat_ws(',', open, high, low, close, volume, cost, trade_count) AS content
FROM candles
UNION ALL
SELECT series_id, event_time, concat_ws(',', open_interest, open_interest_value)
FROM open_interest;
COMMENT ON VIEW grid_points IS 'every row that lies on a grid: candles and open interest';

GRANT SELECT, INSERT, UPDATE, DELETE ON open_interest TO tapekeeper_writer;
GRANT SELECT ON open_interest, grid_points TO tapekeeper_reader;
GRANT SELECT ON grid_points TO tapekeeper_writer;
