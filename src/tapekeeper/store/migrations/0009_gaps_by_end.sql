-- What touches the present is asked for with every account: of all gaps of a series only those that end last.
CREATE INDEX data_gaps_by_end ON data_gaps (series_id, window_end);
