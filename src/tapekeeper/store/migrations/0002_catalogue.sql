-- What there is to keep: instruments, their series, and the windows that somebody asked us to hold.
CREATE TABLE instruments (
    instrument_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    strike double precision,
    option_type text CHECK (option_type IN ('call', 'put')),
    tick_size double precision,
    listed_at timestamptz NOT NULL,
    expires_at timestamptz,
    delisted_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (venue, name)
);

CREATE TABLE series (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    instrument_id integer NOT NULL REFERENCES instruments,
    resolution_seconds integer NOT NULL DEFAULT 0 CHECK (resolution_seconds >= 0),
    UNIQUE (dataset, instrument_id, resolution_seconds)
);
COMMENT ON COLUMN series.resolution_seconds IS '0 where the data have no resolution, such as trades';

CREATE TABLE followed (
    series_id integer NOT NULL REFERENCES series,
    window_start timestamptz NOT NULL,
    window_end timestamptz,
    reason text NOT NULL,
    PRIMARY KEY (series_id, window_start),
    CHECK (window_end > window_start)
);
COMMENT ON TABLE followed IS 'windows that somebody asked us to hold; they may overlap, what counts is their union';
COMMENT ON COLUMN followed.window_end IS 'null: still followed';
