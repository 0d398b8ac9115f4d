"""Requests to venues, and which of them may have brought a row though they belong to no chunk of a backfill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, to_microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.instrument import Instrument

_REQUESTS_OF_REPAIRS: Final = """
    SELECT requested_at, method, parameters, status, outcome, reason, latency_seconds, bytes, attempt
    FROM api_requests
    WHERE run_id IS NULL AND series_id = %(series_id)s
        AND (
            (
                coalesce(parameters ->> 'start_timestamp', parameters ->> 'startTime')::bigint <= %(milliseconds)s
                AND coalesce(parameters ->> 'end_timestamp', parameters ->> 'endTime')::bigint >= %(milliseconds)s
            )
            OR (
                (parameters ->> 'fromId')::bigint <= %(sequence)s
                AND (parameters ->> 'fromId')::bigint + (parameters ->> 'limit')::bigint > %(sequence)s
            )
            OR (parameters ->> 'date')::date = %(day)s
            OR (parameters ->> 'symbol' = %(name)s AND NOT parameters ? 'startTime' AND NOT parameters ? 'fromId')
        )
    ORDER BY requested_at, request_id
"""
# A collector asks for many instruments at once, so its requests belong to no series; the rows come right after them.
_REQUESTS_BEFORE_ARRIVAL: Final = """
    SELECT requested_at, method, parameters, status, outcome, reason, latency_seconds, bytes, attempt
    FROM api_requests
    WHERE venue = %(venue)s AND outcome = 'ok'
        AND requested_at > %(received_at)s - interval '1 minute' AND requested_at <= %(received_at)s
        AND (
            (
                parameters ->> 'currency' IN (%(currency)s, 'any')
                AND (parameters ->> 'start_timestamp')::bigint <= %(milliseconds)s
                AND (parameters ->> 'end_timestamp')::bigint >= %(milliseconds)s
            )
            OR (
                parameters ->> 'instrument_name' = %(name)s
                AND (parameters ->> 'start_seq')::bigint <= %(sequence)s
                AND (parameters ->> 'end_seq')::bigint >= %(sequence)s
            )
        )
    ORDER BY requested_at, request_id
"""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One question to a venue."""

    requested_at: datetime
    method: str
    parameters: Mapping[str, object]
    status: int | None
    """The HTTP status; None where no whole answer came."""
    outcome: str
    reason: str
    latency_seconds: float
    bytes: int
    attempt: int


def requests_of_repairs(
    cursor: Cursor, series_id: int, instrument: Instrument, moment: datetime, *, sequence: int | None
) -> tuple[ApiRequest, ...]:
    """Return the requests for a moment of a series that belong to no chunk of a backfill.

    `sequence` is the number of the row, where the venue gives one.
    """
    asked_for = {
        "series_id": series_id,
        "name": instrument.name,
        "milliseconds": _milliseconds(moment),
        "sequence": sequence,
        "day": moment.date(),
    }
    cursor.execute(_REQUESTS_OF_REPAIRS, asked_for)
    return tuple(ApiRequest(*each) for each in cursor.fetchall())


def requests_before_arrival(
    cursor: Cursor, instrument: Instrument, *, sequence: int, event_time: datetime, received_at: datetime
) -> tuple[ApiRequest, ...]:
    """Return the requests that asked for a trade right before it came; none, if it came live."""
    asked_for = {
        "venue": instrument.venue,
        "currency": instrument.currency,
        "name": instrument.name,
        "sequence": sequence,
        "milliseconds": _milliseconds(event_time),
        "received_at": received_at,
    }
    cursor.execute(_REQUESTS_BEFORE_ARRIVAL, asked_for)
    return tuple(ApiRequest(*each) for each in cursor.fetchall())


def _milliseconds(moment: datetime) -> int:
    return to_microseconds(moment) // MICROSECONDS_PER_MILLISECOND
