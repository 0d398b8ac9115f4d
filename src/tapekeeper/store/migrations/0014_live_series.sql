-- What is followed at this moment, for whoever asks which instrument is behind: what has expired cannot be.
CREATE VIEW live_series AS
SELECT
    series.series_id,
    series.dataset,
    instruments.name AS instrument,
    instruments.currency,
    series.resolution_seconds,
    still_followed.since AS followed_since,
    instruments.expires_at,
    total.last_event_time,
    CASE WHEN series.dataset LIKE '%\_quotes' THEN total.accounted_until END AS accounted_until
FROM (SELECT series_id, min(window_start) AS since FROM followed WHERE window_end IS NULL GROUP BY series_id) AS still_followed
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
LEFT JOIN series_totals AS total USING (series_id)
WHERE (instruments.expires_at IS NULL OR instruments.expires_at > now())
    AND (instruments.delisted_at IS NULL OR instruments.delisted_at > now());
COMMENT ON VIEW live_series IS 'the series that are followed now, and how far each of them is';

-- Windows without an end are few, those that ended grow with every expiry.
CREATE INDEX followed_now ON followed (series_id) WHERE window_end IS NULL;

GRANT SELECT ON live_series TO tapekeeper_reader, tapekeeper_writer;
