"""What is put around every answer, over HTTP and over a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from simulator.errors import VenueError


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it was sent, before anything about it is checked."""

    method: str
    params: Mapping[str, object]
    request_id: object = None

    @property
    def instrument(self) -> str | None:
        """The instrument it is about, if it says so."""
        name = self.params.get("instrument_name")
        return name if isinstance(name, str) else None


@dataclass(frozen=True, slots=True)
class Timing:
    """When a request arrived and was answered, in microseconds, and how far the venue's clock is ahead."""

    arrived_at: int
    answered_at: int
    skew: int = 0


def read_call(document: object, method: str = "") -> Call:
    """Return the call that a JSON document describes; `method` counts where it names none.

    Raises:
        VenueError: 11050, it describes none.
    """
    if not isinstance(document, dict):
        raise VenueError(11050)
    name, params = document.get("method", method), document.get("params") or {}
    if not isinstance(name, str) or not isinstance(params, dict):
        raise VenueError(11050)
    return Call(name, params, document.get("id"))


def envelope(call: Call | None, timing: Timing, *, result: object = None, error: VenueError | None = None) -> bytes:
    """Return the answer around a result or an error; usIn, usOut and usDiff are in microseconds."""
    answer: dict[str, object] = {"jsonrpc": "2.0"}
    if call is not None and call.request_id is not None:
        answer["id"] = call.request_id
    answer |= {"result": result} if error is None else {"error": error.body()}
    answer |= {
        "usIn": timing.arrived_at + timing.skew,
        "usOut": timing.answered_at + timing.skew,
        "usDiff": timing.answered_at - timing.arrived_at,
        "testnet": False,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
