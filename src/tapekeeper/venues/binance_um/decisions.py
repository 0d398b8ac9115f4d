"""What an answer of Binance means.

An error comes as {"code": -1121, "msg": "..."} with a status of its own kind: 429 over a limit, 418 banned after going
on all the same (two minutes to three days), 403 from the firewall in front, 5xx with an unknown outcome, which for a
question means to ask again. Every answer tells how much of the present minute's weight is used by our address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds, to_microseconds
from tapekeeper.errors import AuthRejected, ConfigInvalid, RequestRejected
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.retry import retry_after_seconds
from tapekeeper.venues.excerpt import excerpt, shown

LIMITED_CODES: Final = frozenset({-1003, -1008, -1015})
"""TOO_MANY_REQUESTS, REQUEST_THROTTLED, TOO_MANY_ORDERS."""
RETRY_CODES: Final = frozenset({-1000, -1001, -1006, -1007, -1016})
"""UNKNOWN, DISCONNECTED, UNEXPECTED_RESP, TIMEOUT, SERVICE_SHUTTING_DOWN."""
AUTH_CODES: Final = frozenset({-1002, -2014, -2015})
"""UNAUTHORIZED, BAD_API_KEY_FMT, REJECTED_MBX_KEY."""
UNKNOWN_SYMBOL_CODE: Final = -1121
_HINTS: Final[Mapping[int, str]] = {
    -1127: "ask for a shorter window",
    -1128: "the venue takes either an id or times",
    -1130: "what was asked for may lie further back than the venue keeps; its archive has it",
}
"""What to do about refusals whose words do not say it, by code."""
BAN_SECONDS: Final = 120.0
"""The shortest ban, where the venue does not say how long it is."""
FIREWALL_SECONDS: Final = 60.0
_LIMITED: Final[Mapping[int, tuple[str, float | None]]] = {
    429: ("", None),
    418: ("our address is banned: ", BAN_SECONDS),
    403: ("the venue's firewall: ", FIREWALL_SECONDS),
}
"""By status: words for it, and how long to wait where the venue does not say."""
USED_WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
SPENT_SHARE: Final = 0.98
"""Of the minute's weight: beyond it everybody waits for the next minute. Our own pace alone stays below; others behind
the same address count too."""
_MINUTE: Final = 60


class UnknownSymbol(RequestRejected):
    """Binance knows no instrument of that name."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer."""

    result: object
    answered_at: int | None
    """The venue's own clock when it answered, in microseconds since 1970, to a second; None where it does not say."""


class Decisions:
    """Tells what answers mean.

    Args:
        weight_per_minute: what the venue grants to our address.
    """

    def __init__(self, weight_per_minute: int) -> None:
        self._weight_spent = weight_per_minute * SPENT_SHARE

    def decide(self, status: int, headers: Mapping[str, str], body: bytes) -> Decision:
        """Return what an answer means; a success carries a `Reply`. Never raises, whatever came."""
        told = {name.lower(): value for name, value in headers.items()}
        result, is_json = _parsed(body)
        code, reason = _error_of(result, body)
        refusal = _refusal(status, code, reason, retry_after_seconds(headers, now_microseconds()))
        if refusal is not None:
            return refusal
        if status != 200:
            return GiveUp(f"{reason}; check the address of the venue in the settings", RequestRejected)
        if not is_json:
            return RetryAfter(None, reason, limited=False)
        answered_at = _clock_of(told)
        return Ok(Reply(result, answered_at), self._pause_seconds(told, answered_at))

    def _pause_seconds(self, told: Mapping[str, str], answered_at: int | None) -> float:
        try:
            used = float(told.get(USED_WEIGHT_HEADER, "0"))
        except ValueError:
            return 0.0
        if used < self._weight_spent:
            return 0.0
        second = (answered_at or now_microseconds()) / MICROSECONDS_PER_SECOND % _MINUTE
        return _MINUTE - second


def _refusal(status: int, code: int | None, reason: str, asked: float | None) -> Decision | None:
    """Return what a refusal means; None where it is none that is known."""
    if status in _LIMITED or code in LIMITED_CODES:
        words, seconds = _LIMITED.get(status, ("", None))
        return RetryAfter(asked or seconds, words + reason, limited=True)
    if status >= 500 or status == 408 or code in RETRY_CODES:
        return RetryAfter(asked, reason, limited=False)
    if status == 451:
        return GiveUp(f"{reason}; the venue does not serve the place that we ask from", AuthRejected)
    if status == 401 or code in AUTH_CODES:
        return GiveUp(reason, AuthRejected)
    if code is not None:
        words = f"{reason.rstrip('.')}; {_HINTS[code]}" if code in _HINTS else reason
        return GiveUp(words, UnknownSymbol if code == UNKNOWN_SYMBOL_CODE else RequestRejected)
    # The venue refuses in JSON: this is what is left of a refusal, and the whole one may say to come back later.
    return RetryAfter(None, reason, limited=False) if status == 400 else None


def _parsed(body: bytes) -> tuple[object, bool]:
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError:
        return None, False


def _error_of(result: object, body: bytes) -> tuple[int | None, str]:
    """Return the venue's error code, if the answer is an error, and words for what came."""
    code = result.get("code") if isinstance(result, dict) else None
    if isinstance(result, dict) and isinstance(code, int) and code < 0:
        return code, shown(f"{code} {result.get('msg')}")
    return None, f"the answer was {excerpt(body)}"


def _clock_of(told: Mapping[str, str]) -> int | None:
    try:
        return to_microseconds(parsedate_to_datetime(told["date"]))
    except (KeyError, ValueError, OverflowError, ConfigInvalid):
        return None
