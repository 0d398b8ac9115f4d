"""What a client sends over the venue's WebSocket, and what the venue said yes to. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekeeper.venues.deribit.messages import Reply, VenueError

CHANNELS_PER_CALL: Final = 500
"""As many as the venue suggests for one call (market data, best practices)."""
HEARTBEAT_SECONDS_MINIMUM: Final = 10


def subscribe(request_id: int, channels: Sequence[str]) -> bytes:
    """Return public/subscribe; the reply lists the channels that the venue accepted, and is silent about the others.

    Raises:
        ValueError: more than 500 channels; the venue wants them in several calls.
    """
    return _channels_call(request_id, "public/subscribe", channels)


def unsubscribe(request_id: int, channels: Sequence[str]) -> bytes:
    """Return public/unsubscribe; the reply lists the channels that ended by this call.

    Raises:
        ValueError: more than 500 channels.
    """
    return _channels_call(request_id, "public/unsubscribe", channels)


def set_heartbeat(request_id: int, seconds: int) -> bytes:
    """Return public/set_heartbeat, after which the venue sends test requests; at least 10 seconds are allowed."""
    if seconds < HEARTBEAT_SECONDS_MINIMUM:
        raise ValueError(f"a heartbeat every {seconds} s: the venue allows {HEARTBEAT_SECONDS_MINIMUM} s at least")
    return _call(request_id, "public/set_heartbeat", {"interval": seconds})


def test(request_id: int) -> bytes:
    """Return public/test, the answer to a test request."""
    return _call(request_id, "public/test", {})


def hello(request_id: int, client_version: str) -> bytes:
    """Return public/hello, by which the venue knows who we are."""
    return _call(request_id, "public/hello", {"client_name": "tapekeeper", "client_version": client_version})


def _channels_call(request_id: int, method: str, channels: Sequence[str]) -> bytes:
    if len(channels) > CHANNELS_PER_CALL:
        raise ValueError(f"{len(channels)} channels in one call: at most {CHANNELS_PER_CALL}")
    return _call(request_id, method, {"channels": list(channels)})


def _call(request_id: int, method: str, parameters: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": parameters})


class Acknowledged(NamedTuple):
    """What the venue said to one call."""

    accepted: frozenset[str]
    """Channels that are subscribed by this call, or that ended by it."""
    missing: tuple[str, ...]
    """Channels that were asked for and passed over, in the order of the call."""
    error: VenueError | None
    """Set where the whole call was refused: then everything is missing."""


class Acknowledgements:
    """What one connection asked to subscribe to, and what of that the venue confirmed.

    The venue passes over a channel that it does not know, and lists those that it takes in any order (measured): only
    the difference between the two tells.
    """

    def __init__(self) -> None:
        self._subscribing: dict[int, tuple[str, ...]] = {}
        self._unsubscribing: dict[int, tuple[str, ...]] = {}
        self._active: set[str] = set()

    @property
    def active(self) -> frozenset[str]:
        """The channels that are subscribed."""
        return frozenset(self._active)

    def asked_to_subscribe(self, request_id: int, channels: Iterable[str]) -> None:
        """Remember what a call of public/subscribe asks for."""
        self._subscribing[request_id] = tuple(channels)

    def asked_to_unsubscribe(self, request_id: int, channels: Iterable[str]) -> None:
        """Remember what a call of public/unsubscribe asks for."""
        self._unsubscribing[request_id] = tuple(channels)

    def accept(self, reply: Reply) -> Acknowledged | None:
        """Take a reply; None where it answers no call that was remembered here."""
        request_id = reply.request_id
        if not isinstance(request_id, int):
            return None
        asked = self._subscribing.pop(request_id, None)
        if asked is not None:
            acknowledged = _acknowledged(asked, reply)
            self._active |= acknowledged.accepted
            return acknowledged
        asked = self._unsubscribing.pop(request_id, None)
        if asked is None:
            return None
        if reply.error is None:
            # What the reply leaves out was not subscribed: in either case nothing more will come.
            self._active.difference_update(asked)
        return _acknowledged(asked, reply)

    def missing(self, channels: Iterable[str]) -> list[str]:
        """Return those of the channels that are not subscribed, in their order."""
        return [channel for channel in channels if channel not in self._active]


def _acknowledged(asked: tuple[str, ...], reply: Reply) -> Acknowledged:
    told = reply.result if reply.error is None and isinstance(reply.result, list) else []
    accepted = frozenset(channel for channel in told if isinstance(channel, str))
    return Acknowledged(accepted, tuple(channel for channel in asked if channel not in accepted), reply.error)
