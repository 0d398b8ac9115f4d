"""Repair: what a repair run did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepairSummary:
    """What a repair run did, as its task and its log line tell it."""

    repaired: int = 0
    """Gaps of which nothing is missing any more."""
    permanent: int = 0
    """Gaps of which the venue has no more."""
    postponed: int = 0
    """Gaps that will be tried again."""
    skipped: int = 0
    """Gaps that somebody else repairs or closed meanwhile."""
    left: int = 0
    """Gaps that wait for a repair now, those that are not due among them."""
    rows_found: int = 0
    requests: int = 0
    seconds: float = 0.0
    troubles: tuple[str, ...] = ()
    """What went wrong, the first of it first."""

    def __add__(self, other: RepairSummary) -> RepairSummary:
        return RepairSummary(
            repaired=self.repaired + other.repaired,
            permanent=self.permanent + other.permanent,
            postponed=self.postponed + other.postponed,
            skipped=self.skipped + other.skipped,
            left=self.left + other.left,
            rows_found=self.rows_found + other.rows_found,
            requests=self.requests + other.requests,
            seconds=self.seconds + other.seconds,
            troubles=self.troubles + other.troubles,
        )

    def as_json(self) -> dict[str, object]:
        """Return it with plain names, for XCom, logs and scripts."""
        return {
            "repaired": self.repaired,
            "permanent": self.permanent,
            "postponed": self.postponed,
            "skipped": self.skipped,
            "left": self.left,
            "rows_found": self.rows_found,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "troubles": list(self.troubles),
        }
