"""What an answer of a venue means: one of three decisions, always with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapekeeper.errors import Stop


@dataclass(frozen=True, slots=True)
class Ok:
    """The venue answered the question."""

    payload: object
    """What the venue's own module made of the body."""
    pause_seconds: float = 0.0
    """How long everybody has to pause, because by the venue's own count the budget is spent."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Nothing is wrong with the request; ask again later."""

    seconds: float | None
    """How long the venue asks to wait; None where it does not say."""
    reason: str
    """In words, with the venue's own code."""
    limited: bool
    """Whether we asked too often, so that everybody has to slow down."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The same request would fail again."""

    reason: str
    """In words, with the venue's own code."""
    error: type[Stop]
    """What to raise."""


Decision = Ok | RetryAfter | GiveUp
