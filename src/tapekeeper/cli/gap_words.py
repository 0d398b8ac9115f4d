"""A gap in words: what is missing, every step of it, and its receipt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tapekeeper.clock import format_moment, to_microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tapekeeper.model.gap_record import GapEvent, KeptReceipt
    from tapekeeper.store.explanation import GapStory


def words_of_gap(story: GapStory) -> Iterator[str]:
    """Yield what there is to say about a gap, a line each; all lines but the first belong under it."""
    gap = story.gap
    numbers = "" if gap.sequences is None else f", numbers {gap.sequences.first:,} to {gap.sequences.last:,}"
    yield (
        f"Gap {gap.gap_id} {gap.window}{numbers}: {gap.missing:,} missing when it was recorded,"
        f" cause {gap.cause}, now {gap.state}."
    )
    if gap.evidence:
        yield f"evidence: {short_json(gap.evidence)}"
    yield from (_words_of_event(event) for event in story.events)
    if story.receipt is not None:
        yield _words_of_receipt(story.receipt)


def short_json(value: Mapping[str, object]) -> str:
    """Return an object on one line, as it is."""
    return json.dumps(value, default=str, ensure_ascii=False)


def told(moment: datetime) -> str:
    """Return a moment exactly."""
    return format_moment(to_microseconds(moment))


def to_the_second(moment: datetime) -> str:
    """Return a moment of which nobody needs the fraction of the second."""
    return told(moment.replace(microsecond=0))


def _words_of_event(event: GapEvent) -> str:
    step = f"{event.to_state}" if event.from_state is None else f"{event.from_state} -> {event.to_state}"
    evidence = f" {short_json(event.evidence)}" if event.evidence else ""
    return f"{to_the_second(event.happened_at)} {step} by {event.by}: {event.why}{evidence}"


def _words_of_receipt(receipt: KeptReceipt) -> str:
    counts = f"{receipt.rows_found:,} rows found, {receipt.rows_missing:,} still missing"
    digests = f"digest {receipt.digest_before[:8]} before, {receipt.digest_after[:8]} after"
    return f"receipt of {to_the_second(receipt.checked_at)}: {receipt.requests:,} requests, {counts}; {digests}"
