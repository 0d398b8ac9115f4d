"""What an answer of CryptoDataDownload means.

It is made with Django REST framework: an error is {"detail": "..."}. Over the calls of an hour it is 429, which tells
how long to wait in the header Retry-After, in the words "Expected available in 2815 seconds.", or in both. Where
nothing is held it is 404.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import AuthRejected, RequestRejected
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.retry import RETRY_AFTER_LONGEST_SECONDS, retry_after_seconds
from tapekeeper.venues.excerpt import excerpt, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_VARIABLE: Final = "TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY"
HOW_TO_SET_THE_KEY: Final = f"set {KEY_VARIABLE} to the key of your subscription, or {KEY_VARIABLE}_FILE to its file"
NOTHING: Final[Mapping[str, object]] = {"result": [], "pagination": {"has_more": False}}
"""What 404 stands for: an answer without rows."""

_AVAILABLE_IN: Final = re.compile(rb"available in ([0-9]{1,9}(?:\.[0-9]{1,9})?) second")


class Decisions:
    """Tells what answers mean.

    Args:
        api_key: is left out of every reason, whatever the venue repeats.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key.encode()

    def decide(self, status: int, headers: Mapping[str, str], body: bytes) -> Decision:
        """Return what an answer means; a success carries the parsed JSON. Never raises, whatever came."""
        result, is_json = _parsed(body)
        if status == 200 and is_json:
            return Ok(result)
        reason = _words(body.replace(self._api_key, b"(the key)"))
        if status == 429:
            return RetryAfter(_asked_seconds(headers, body), reason, limited=True)
        if status in {401, 403}:
            return GiveUp(f"{reason}; {HOW_TO_SET_THE_KEY}", AuthRejected)
        if status >= 500 or status == 408:
            return RetryAfter(retry_after_seconds(headers, now_microseconds()), reason, limited=False)
        if status in {200, 400} and not is_json:
            return RetryAfter(None, reason, limited=False)
        if status == 400:
            return GiveUp(reason, RequestRejected)
        if status == 404 and isinstance(result, dict) and "detail" in result:
            return Ok(NOTHING)
        # Its own 404 comes in JSON; this one is of somebody else, or of a path that is not there.
        return GiveUp(f"{reason}; check the address of the venue in the settings", RequestRejected)


def _parsed(body: bytes) -> tuple[object, bool]:
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError:
        return None, False


def _words(body: bytes) -> str:
    result, _ = _parsed(body)
    detail = result.get("detail") if isinstance(result, dict) else None
    words = shown(detail) if isinstance(detail, str) else ""
    return words or f"the answer was {excerpt(body)}"


def _asked_seconds(headers: Mapping[str, str], body: bytes) -> float | None:
    """Return how long the venue asks to wait; the longer one, where the header and the words differ."""
    in_words = _AVAILABLE_IN.search(body)
    asked = [
        retry_after_seconds(headers, now_microseconds()),
        min(float(in_words[1]), RETRY_AFTER_LONGEST_SECONDS) if in_words else None,
    ]
    return max((seconds for seconds in asked if seconds is not None), default=None)
