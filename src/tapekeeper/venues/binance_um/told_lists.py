"""Answers of Binance that are lists."""

from __future__ import annotations

import reprlib
from typing import Any

from tapekeeper.errors import ParseFailure


def list_told(result: object, what: str) -> list[Any]:
    """Return an answer that is a list; `what` is in it, such as candles.

    Raises:
        ParseFailure: it is none.
    """
    if not isinstance(result, list):
        raise ParseFailure(f"{what} of Binance should come as a list, not as {reprlib.repr(result)}")
    return result


def list_about(result: object, instrument_name: str, what: str, row_of_it: str) -> list[dict[str, object]]:
    """Return an answer whose rows are all about one instrument; `row_of_it` is what one of them is called.

    Raises:
        ParseFailure: it is no list, or a row is about something else.
    """
    rows = list_told(result, what)
    for row in rows:
        if not isinstance(row, dict) or row.get("symbol") != instrument_name:
            raise ParseFailure(f"{row_of_it} should be about {instrument_name}, not {reprlib.repr(row)}")
    return rows
