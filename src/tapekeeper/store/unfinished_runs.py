"""Runs that were left in the middle: which there are, and the end of those that nobody goes on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

SILENCE_HOURS: Final = 24
"""A run that nobody has worked on for so long, and that waits for no moment named by the venue, is given up."""
_SILENT: Final = (
    f"nobody went on with it for {SILENCE_HOURS} hours: ask for the same again, only what is missing is fetched"
)

_ABANDONED: Final = """
    SELECT run_id FROM backfill_runs AS run
    WHERE run.dataset = %(dataset)s AND run.state = 'running'
        AND run.created_at < clock_timestamp() - make_interval(hours => %(hours)s)
        AND NOT EXISTS (
            SELECT FROM backfill_chunks AS chunk
            WHERE chunk.run_id = run.run_id
                AND greatest(chunk.not_before, chunk.lease_until, chunk.finished_at)
                    > clock_timestamp() - make_interval(hours => %(hours)s)
        )
"""


def unfinished_runs(cursor: Cursor, key_prefix: str) -> list[int]:
    """Return the ids of the running runs whose key begins so, oldest first."""
    cursor.execute(
        "SELECT run_id FROM backfill_runs WHERE state = 'running' AND starts_with(run_key, %s) ORDER BY run_id",
        (key_prefix,),
    )
    return [int(run_id) for (run_id,) in cursor.fetchall()]


def give_up_abandoned(cursor: Cursor, dataset: Dataset) -> None:
    """End the runs of a dataset that nobody has worked on for a day, such as those of processes that were killed."""
    cursor.execute(_ABANDONED, {"dataset": dataset.name, "hours": SILENCE_HOURS})
    for (run_id,) in cursor.fetchall():
        give_up(cursor, run_id, error=_SILENT)


def give_up(cursor: Cursor, run_id: int, *, error: str) -> None:
    """End a run: what is left of it failed, for this reason."""
    cursor.execute(
        """
        UPDATE backfill_chunks SET
            state = 'failed', error = %s, lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
        WHERE run_id = %s AND state IN ('pending', 'running')
        """,
        (error, run_id),
    )
    cursor.execute(
        """
        UPDATE backfill_runs SET state = 'failed', finished_at = clock_timestamp()
        WHERE run_id = %s AND state = 'running'
        """,
        (run_id,),
    )
