"""Arrays as PostgreSQL reads them; made by the driver, value by value, they take ten times as long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date


def array_of(values: Iterable[int] | Iterable[date]) -> str:
    """Return numbers or days as the text of an array; the statement says of which type it is."""
    return f"{{{','.join(map(str, values))}}}"
