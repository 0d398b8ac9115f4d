"""What a venue said, as far as a log line and a database text can hold it."""

from __future__ import annotations

from typing import Final

EXCERPT_CHARACTERS: Final = 200


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as text."""
    # Four bytes is the longest that one character takes.
    return shown(body[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")) or "an empty body"


def shown(text: str) -> str:
    """Return a text as one line, without control characters, and not too long."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return line if len(line) <= EXCERPT_CHARACTERS else f"{line[:EXCERPT_CHARACTERS]}..."
