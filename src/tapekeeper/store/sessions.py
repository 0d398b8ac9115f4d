"""Sessions: every live connection of a collector, from its opening to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.clock import from_microseconds
from tapekeeper.store.quarantine import storable

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from psycopg2.extensions import cursor as Cursor


def open_session(cursor: Cursor, session_id: UUID, *, collector: str, opened_at: int, channels: int = 0) -> None:
    """Note a new connection; `opened_at` is in microseconds since 1970. Noted twice it is one."""
    cursor.execute(
        """
        INSERT INTO collector_sessions (session_id, collector, opened_at, channels) VALUES (%s, %s, %s, %s)
        ON CONFLICT (session_id) DO NOTHING
        """,
        (str(session_id), collector, from_microseconds(opened_at), channels),
    )


def close_session(
    cursor: Cursor,
    session_id: UUID,
    *,
    closed_at: int,
    close_code: int | None,
    close_reason: str,
    messages: int,
    channels: int,
) -> bool:
    """Note the end of a connection, and return whether it was open.

    `closed_at` is in microseconds since 1970, `close_code` that of the WebSocket or None where none came, `messages`
    what it brought, `channels` how many it carried at the end. The first end stands.
    """
    cursor.execute(
        """
        UPDATE collector_sessions SET
            closed_at = greatest(opened_at, %s), close_code = %s, close_reason = %s, messages = %s, channels = %s
        WHERE session_id = %s AND closed_at IS NULL
        """,
        (
            from_microseconds(closed_at),
            close_code,
            storable(close_reason),
            messages,
            channels,
            str(session_id),
        ),
    )
    return cursor.rowcount == 1


def close_abandoned_sessions(cursor: Cursor, *, collector: str, closed_at: int, living: Collection[UUID] = ()) -> int:
    """Note that the sessions of a collector that was killed have ended at the latest now, and return how many.

    `living` are those of the process that has taken its place.
    """
    cursor.execute(
        """
        UPDATE collector_sessions SET closed_at = greatest(opened_at, %s), close_reason = 'the collector was killed'
        WHERE collector = %s AND closed_at IS NULL AND session_id <> ALL(%s::uuid[])
        """,
        (from_microseconds(closed_at), collector, [str(session_id) for session_id in living]),
    )
    return cursor.rowcount
