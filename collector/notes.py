"""Notes: what the writer has to tell the database beside rows; they travel with them, through buffer and spool."""

from __future__ import annotations

from uuid import UUID

import msgspec

from tapekeeper.model.gap import Cause

Evidence = dict[str, str | int | float | None]


class _Note(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """All moments are in microseconds since 1970."""


class QuotesLost(_Note, frozen=True):
    """Quotes of a window that nobody can bring back."""

    series_id: int
    start: int
    end: int
    cause: Cause
    evidence: Evidence


class TradesMissing(_Note, frozen=True):
    """Trades that did not come, by their numbers, both included; the venue can still tell them."""

    series_id: int
    first: int
    last: int
    start: int
    end: int
    cause: Cause
    evidence: Evidence


class TradesFetched(_Note, frozen=True):
    """Whatever the venue has of these trades has come after all; the database counts them itself."""

    series_id: int
    first: int
    last: int
    requests: int


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A followed window of quotes, in whole seconds."""

    series_id: int
    start: int
    end: int


class Accounted(_Note, frozen=True):
    """All frames of these windows are among the rows before this note, and every hole that was noticed in them."""

    spans: list[Span]


class Followed(_Note, frozen=True):
    """Series are followed from a moment on."""

    series_ids: list[int]
    moment: int


class Unfollowed(_Note, frozen=True):
    """Series are followed no longer than to a moment."""

    series_ids: list[int]
    moment: int


class SessionOpened(_Note, frozen=True):
    """A connection was made."""

    session_id: UUID
    opened_at: int


class SessionClosed(_Note, frozen=True):
    """A connection ended."""

    session_id: UUID
    closed_at: int
    code: int
    reason: str
    messages: int
    channels: int


Note = QuotesLost | TradesMissing | TradesFetched | Accounted | Followed | Unfollowed | SessionOpened | SessionClosed
