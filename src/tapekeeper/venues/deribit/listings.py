"""Lists of instruments and of book summaries.

A list never fails for one bad line: a kind that the venue has added, or a line that cannot be understood, is left out,
counted and logged.
"""

from __future__ import annotations

import logging
import math
import reprlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM
from tapekeeper.errors import ParseFailure
from tapekeeper.model.book_summary import BookSummary
from tapekeeper.model.instrument import Instrument, InstrumentKind

if TYPE_CHECKING:
    from collections.abc import Callable

    Line = dict[str, Any]
    Listed = TypeVar("Listed")

KINDS: Final[dict[str, InstrumentKind]] = {
    "future": "future",
    "option": "option",
    "spot": "spot",
    "future_combo": "combo",
    "option_combo": "combo",
}
"""Ours by the venue's; a future whose settlement period is `perpetual` is a perpetual."""
NEVER: Final = 32_503_708_800_000_000
"""The expiration that stands for none: 3000-01-01 08:00 UTC, in microseconds."""

log = logging.getLogger(__name__)


class ListingParser:
    """Turns lists into model objects and counts what had to be left out; one per thread."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        """Lines left out so far, by reason."""

    def instruments(self, result: object) -> list[Instrument]:
        """Return the instruments of a result of public/get_instruments.

        Raises:
            ParseFailure: the result is no list.
        """
        return self._each(result, _instrument)

    def names(self, result: object) -> frozenset[str]:
        """Return the names in a result of public/get_instruments, also of lines that cannot be understood.

        Raises:
            ParseFailure: the result is no list.
        """
        if not isinstance(result, list):
            raise ParseFailure(f"a list was expected, not {type(result).__name__}")
        names = (line.get("instrument_name") for line in result if isinstance(line, dict))
        return frozenset(name for name in names if isinstance(name, str))

    def book_summaries(self, result: object) -> list[BookSummary]:
        """Return the lines of a result of public/get_book_summary_by_currency.

        Raises:
            ParseFailure: the result is no list.
        """
        return self._each(result, _book_summary)

    def _each(self, result: object, parse: Callable[[Line], Listed]) -> list[Listed]:
        if not isinstance(result, list):
            raise ParseFailure(f"a list was expected, not {type(result).__name__}")
        found: list[Listed] = []
        left_out: Counter[str] = Counter()
        for line in result:
            try:
                found.append(parse(line if isinstance(line, dict) else {}))
            except _LineError as error:
                left_out[str(error)] += 1
        for reason, count in left_out.items():
            log.warning("%d of %d lines of a list of Deribit were left out: %s", count, len(result), reason)
        self.left_out += left_out
        return found


class _LineError(Exception):
    """One line that cannot be used; its text groups lines of the same kind, so it holds no names."""


def _instrument(line: Line) -> Instrument:
    venue_kind = _text(line, "kind")
    if venue_kind not in KINDS:
        raise _LineError(f"unknown kind {reprlib.repr(venue_kind)}")
    perpetual = venue_kind == "future" and line.get("settlement_period") == "perpetual"
    expires_at = _optional_moment(line, "expiration_timestamp")
    option_type = line.get("option_type")
    return Instrument(
        venue="deribit",
        name=_text(line, "instrument_name"),
        kind="perpetual" if perpetual else KINDS[venue_kind],
        currency=_text(line, "base_currency"),
        listed_at=_moment(line, "creation_timestamp"),
        expires_at=None if expires_at == NEVER else expires_at,
        tick_size=_optional_number(line, "tick_size"),
        strike=_optional_number(line, "strike"),
        option_type=option_type if option_type in {"call", "put"} else None,
    )


def _book_summary(line: Line) -> BookSummary:
    return BookSummary(
        instrument_name=_text(line, "instrument_name"),
        summarised_at=_moment(line, "creation_timestamp"),
        open_interest=_number(line, "open_interest"),
        mark_price=_number(line, "mark_price"),
        bid_price=_optional_number(line, "bid_price"),
        ask_price=_optional_number(line, "ask_price"),
        underlying_price=_optional_number(line, "underlying_price"),
        mark_iv=_optional_number(line, "mark_iv"),
        volume_usd=_optional_number(line, "volume_usd"),
    )


def _text(line: Line, field: str) -> str:
    value = line.get(field)
    if not isinstance(value, str) or not value:
        raise _LineError(f"{field} is no text")
    return value


def _number(line: Line, field: str) -> float:
    value = line.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _LineError(f"{field} is no number")
    return value


def _optional_number(line: Line, field: str) -> float | None:
    return None if line.get(field) is None else _number(line, field)


def _moment(line: Line, field: str) -> int:
    milliseconds = _number(line, field)
    if not 0 <= milliseconds < MILLISECONDS_MAXIMUM:
        raise _LineError(f"{field} is no time in milliseconds")
    return int(milliseconds) * MICROSECONDS_PER_MILLISECOND


def _optional_moment(line: Line, field: str) -> int | None:
    return None if line.get(field) is None else _moment(line, field)
