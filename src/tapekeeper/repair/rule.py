"""The rule: what becomes of a gap after a look at what the venue has of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Next(StrEnum):
    """What happens to the gap."""

    REPAIRED = "repaired"
    PERMANENT = "permanent"
    LOOK_AGAIN = "look again"
    """At once: two looks are asked for, and nothing about the time between them."""
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Look:
    """The venue was asked for all of a gap, and what it told has been written."""

    asked_at: int
    """When the first question was sent, in microseconds since 1970."""
    missing: int
    """What is missing nevertheless."""
    is_clean: bool
    """Everything that the venue told could be believed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a gap, and why."""

    next: Next
    why: str
    next_attempt_at: int = 0
    """In microseconds since 1970, where it waits."""
    empty_at: tuple[int, ...] = ()
    """When the venue was asked and had none of what is missing: the evidence."""


@dataclass(frozen=True, slots=True)
class PermanentRule:
    """When what is missing is taken as lost for ever; lengths in microseconds.

    The venue has to lack it twice, `permanent_after` apart. A registered outage over all of the gap is the other
    witness: then once is enough. What is missing now was lacking at the first look too, or else it had come then.
    """

    permanent_after: int
    pause: int
    """After an answer that could not be believed."""

    def judge(self, look: Look, *, found_empty_at: int | None, is_in_outage: bool) -> Verdict:
        """Return what becomes of a gap; `found_empty_at` is when an earlier look found the same missing."""
        if not look.missing:
            return Verdict(Next.REPAIRED, "nothing is missing any more")
        if not look.is_clean:
            return Verdict(Next.WAIT, "the venue told rows that cannot be believed", look.asked_at + self.pause)
        if is_in_outage:
            why = f"the venue lacks {look.missing} rows of a registered outage"
            return Verdict(Next.PERMANENT, why, empty_at=(look.asked_at,))
        if found_empty_at is not None and look.asked_at - found_empty_at >= self.permanent_after:
            why = f"the venue lacked {look.missing} rows twice"
            return Verdict(Next.PERMANENT, why, empty_at=(found_empty_at, look.asked_at))
        first = look.asked_at if found_empty_at is None else found_empty_at
        why = f"the venue lacks {look.missing} rows"
        if not self.permanent_after:
            return Verdict(Next.LOOK_AGAIN, why, empty_at=(first,))
        return Verdict(Next.WAIT, why, first + self.permanent_after, empty_at=(first,))
