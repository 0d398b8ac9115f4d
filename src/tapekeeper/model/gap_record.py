"""What there is to read about a gap: its place in a list, its steps, and the receipt of its repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tapekeeper.model.gap import Gap, GapState


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt as it is kept."""

    requests: int
    """How often the venue was asked, in all tries; 0 where the gap filled itself."""
    rows_found: int
    rows_missing: int
    digest_before: str
    """MD5 of what was held inside the gap when it was recorded; of nothing, as a rule."""
    digest_after: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class GapEvent:
    """One step of a gap."""

    from_state: GapState | None
    """None: it was recorded."""
    to_state: GapState
    happened_at: datetime
    by: str
    why: str
    evidence: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ListedGap:
    """A gap with what a person needs to recognise it."""

    gap: Gap
    dataset: str
    instrument: str
    resolution_seconds: int
    """0 where the data have no resolution."""
    opened_at: datetime
    closed_at: datetime | None
    next_attempt_at: datetime | None
    """A repair is not tried before; None: at once."""
    found_empty_at: datetime | None
    """When the venue was first asked for what is still missing, and had none of it."""
    attempts: int
    """How often a repair was begun."""
