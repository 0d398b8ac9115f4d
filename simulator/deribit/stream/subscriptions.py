"""public/subscribe and its relatives, and the heartbeat: what works over a WebSocket alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from simulator.deribit.stream.heartbeat import Heartbeat
from simulator.errors import invalid
from simulator.fault_basics import RequestFault
from simulator.faults import LostChannels
from simulator.hashing import key_of, uniform
from simulator.params import Params

if TYPE_CHECKING:
    from simulator.deribit.stream.connection import Connection

MOST_CHANNELS: Final = 500
_SHORTEST_HEARTBEAT: Final = 10
SocketMethod: TypeAlias = Callable[["Connection", Params, list[RequestFault], float], object]
"""Answers a request of a connection; the last argument is now, in seconds."""


def subscribe(connection: Connection, params: Params, fired: list[RequestFault], _: float) -> object:
    """Answer with the channels that are subscribed now, in an order of its own; an unknown one is left out.

    A channel that was subscribed before is told again, but nothing is sent for it.
    """
    publisher, seed = connection.floor.publisher, connection.floor.world.seed
    found = [publisher.find(name) for name in _channels(params)]
    accepted = [
        channel for channel in found if channel is not None and not _is_lost(seed, connection, channel.name, fired)
    ]
    fresh = [channel for channel in accepted if channel.name not in connection.channels]
    connection.when_answered(lambda: connection.listen(fresh))
    return sorted(
        (channel.name for channel in accepted), key=lambda name: key_of(seed, "answer", connection.number, name)
    )


def unsubscribe(connection: Connection, params: Params, _: list[RequestFault], __: float) -> object:
    """Answer with the channels that were really subscribed until now."""
    return connection.leave(_channels(params))


def unsubscribe_all(connection: Connection, _: Params, __: list[RequestFault], ___: float) -> object:
    """Leave all channels."""
    connection.leave(list(connection.channels))
    return "ok"


def set_heartbeat(connection: Connection, params: Params, _: list[RequestFault], now: float) -> object:
    """Begin to ask the client for signs."""
    interval = params.integer("interval")
    if interval < _SHORTEST_HEARTBEAT:
        raise invalid("interval", f"must be at least {_SHORTEST_HEARTBEAT}")
    connection.heartbeat = Heartbeat(connection.floor.patience.seconds(interval), now)
    return "ok"


def disable_heartbeat(connection: Connection, _: Params, __: list[RequestFault], ___: float) -> object:
    """Ask no more."""
    connection.heartbeat = None
    return "ok"


SOCKET_METHODS: Final[dict[str, SocketMethod]] = {
    "public/subscribe": subscribe,
    "public/unsubscribe": unsubscribe,
    "public/unsubscribe_all": unsubscribe_all,
    "public/set_heartbeat": set_heartbeat,
    "public/disable_heartbeat": disable_heartbeat,
}


def _channels(params: Params) -> list[str]:
    names = params.texts("channels")
    if len(names) > MOST_CHANNELS:
        raise invalid("channels", f"at most {MOST_CHANNELS} channels in one call")
    return list(dict.fromkeys(names))


def _is_lost(seed: int, connection: Connection, name: str, fired: list[RequestFault]) -> bool:
    fractions = [fault.fraction for fault in fired if isinstance(fault, LostChannels)]
    return bool(fractions) and uniform(seed, "lost channel", connection.number, name) < max(fractions)
