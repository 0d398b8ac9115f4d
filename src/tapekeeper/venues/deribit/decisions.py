"""What an answer of Deribit means.

Deribit speaks JSON-RPC over HTTP: an error comes as HTTP 400 with a JSON-RPC error in the body (measured). Which status
a limited request gets is not documented, so that 429 and 400 with code 10028 mean the same here. Codes:
https://docs.deribit.com/articles/errors, the complete table; the short one above it contradicts it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import AuthRejected, RequestRejected
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.retry import retry_after_seconds
from tapekeeper.venues.excerpt import excerpt, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITED_CODES: Final = frozenset({10028, 10066})
"""too_many_requests, too_many_concurrent_requests."""
RETRY_CODES: Final = frozenset({10040, 10041, 10047, 11051, 11094, 13028, 13888})
"""retry, settlement_in_progress (seconds long, 08:00 UTC), matching_engine_queue_full, system_maintenance,
internal_server_error, temporarily_unavailable, timed_out."""
AUTH_CODES: Final = frozenset({13004, 13009, 13021, 13778})
"""invalid_credentials, unauthorized, forbidden, raw_subscriptions_not_available_for_unauthorized."""
UNKNOWN_INSTRUMENT_CODES: Final = frozenset({10020, 13020})
"""invalid_instrument_name, not_found."""
INVALID_PARAMETERS: Final = -32602

_NO_NUMBERS = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity|[0-9.]+[eE]\+?[0-9]{3,})(?=[\s,\]}])")
"""What a sloppy serialiser writes where a number should be; as text it costs its own row, not the whole answer."""


class UnknownInstrument(RequestRejected):
    """Deribit knows no instrument of that name."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful JSON-RPC answer."""

    result: object
    answered_at: int | None
    """The venue's own clock when it answered, in microseconds since 1970; None where it does not say."""


def decide(status: int, headers: Mapping[str, str], body: bytes) -> Decision:
    """Return what an answer means; a success carries a `Reply`. Never raises, whatever came."""
    envelope = _object_in(body)
    error = None if envelope is None else envelope.get("error")
    reason = _reason(error, body)
    code = _code_of(error)
    if status == 429 or code in LIMITED_CODES:
        return RetryAfter(retry_after_seconds(headers, now_microseconds()), reason, limited=True)
    if status >= 500 or status == 408 or code in RETRY_CODES:
        return RetryAfter(retry_after_seconds(headers, now_microseconds()), reason, limited=False)
    if status in {401, 403} or code in AUTH_CODES:
        return GiveUp(reason, AuthRejected)
    if error is not None:
        return GiveUp(reason, UnknownInstrument if _is_unknown_instrument(code, error) else RequestRejected)
    if status == 400 and envelope is None:
        # The venue refuses in JSON: this is what is left of a refusal, and the whole one may say to come back later.
        return RetryAfter(None, reason, limited=False)
    if status != 200:
        return GiveUp(f"{reason}; check the address of the venue in the settings", RequestRejected)
    if envelope is None or "result" not in envelope:
        return RetryAfter(None, reason, limited=False)
    return Ok(Reply(envelope["result"], _moment(envelope.get("usOut"))))


def _object_in(body: bytes) -> dict[str, object] | None:
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            envelope = orjson.loads(_NO_NUMBERS.sub(rb'"\g<0>"', body))
        except orjson.JSONDecodeError:
            return None
    return envelope if isinstance(envelope, dict) else None


def _code_of(error: object) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


def _is_unknown_instrument(code: int | None, error: object) -> bool:
    data = error.get("data") if isinstance(error, dict) else None
    parameter = data.get("param") if isinstance(data, dict) else None
    return code in UNKNOWN_INSTRUMENT_CODES or (code == INVALID_PARAMETERS and parameter == "instrument_name")


def _reason(error: object, body: bytes) -> str:
    """Return the venue's error in words, such as `-32602 Invalid params: instrument not found (instrument_name)`."""
    if not isinstance(error, dict):
        return f"not a JSON-RPC answer: {excerpt(body)}"
    words = f"{error.get('code')} {error.get('message')}"
    data = error.get("data")
    if isinstance(data, dict):
        words += f": {data['reason']}" if "reason" in data else ""
        words += f" ({data['param']})" if "param" in data else ""
    elif data is not None:
        words += f": {data}"
    return shown(words)


def _moment(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
