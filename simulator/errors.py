"""Errors as the venue answers them: HTTP 400 with a JSON-RPC error body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TOO_MANY_REQUESTS: Final = 10028
_MESSAGES: Final = {
    10028: "too_many_requests",
    10030: "must_be_websocket_request",
    10041: "settlement_in_progress",
    11050: "bad_request",
    11051: "system_maintenance",
    11094: "internal_server_error",
    13004: "invalid_credentials",
    13009: "unauthorized",
    13020: "not_found",
    13778: "raw_subscriptions_not_available_for_unauthorized",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32700: "Parse error",
}


class VenueError(Exception):
    """An answer of the venue that is an error; `data` explains it, as text or as {"reason": ..., "param": ...}."""

    def __init__(self, code: int, data: Mapping[str, object] | str | None = None, *, status: int = 400) -> None:
        super().__init__(f"{code} {_MESSAGES[code]}")
        self.code = code
        self.data = data
        self.status = status

    def body(self) -> dict[str, object]:
        """Return the error object of the envelope."""
        error: dict[str, object] = {"code": self.code, "message": _MESSAGES[self.code]}
        if self.data is not None:
            error["data"] = self.data if isinstance(self.data, str) else dict(self.data)
        return error


class ControlError(Exception):
    """A control or truth request, or a faults file, that makes no sense; the message says what to change."""


def invalid(param: str, reason: str) -> VenueError:
    """Return the error for a parameter that is missing or wrong."""
    return VenueError(-32602, {"reason": reason, "param": param})
