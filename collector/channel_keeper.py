"""Keeps the subscriptions of one connection as they are wanted: by difference, every acknowledgement checked."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Final

from tapekeeper.errors import TapekeeperError
from tapekeeper.venues.deribit import calls
from tapekeeper.venues.deribit.calls import CHANNELS_PER_CALL, Acknowledged, Acknowledgements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collector.pace import Pace
    from collector.transport import Transport
    from tapekeeper.venues.deribit.messages import Reply

    Tell = Callable[[frozenset[str]], None]

REPLY_SECONDS: Final = 10.0
TRIES: Final = 2
_SHOWN: Final = 5

log = logging.getLogger(__name__)


class Refused(TapekeeperError):
    """The venue does not answer a call on this connection, or refuses it as a whole: a new connection may help."""


class ChannelKeeper:
    """What is wanted, what is subscribed, and what the venue would not take."""

    def __init__(self, look_again_seconds: float) -> None:
        self._look_again_seconds = look_again_seconds
        self._ids = itertools.count(1)
        self._acknowledgements = Acknowledgements()
        self._replies: dict[int, asyncio.Future[Acknowledged]] = {}
        self._wanted: dict[str, None] = {}
        self._renewed: dict[str, None] = {}
        self._tries: dict[str, int] = {}
        self._look_again_at: dict[str, float] = {}
        self._changed = asyncio.Event()

    @property
    def has_wanted(self) -> bool:
        """Whether anything is wanted."""
        return bool(self._wanted)

    @property
    def has_active(self) -> bool:
        """Whether anything is subscribed."""
        return bool(self._acknowledgements.active)

    @property
    def active(self) -> frozenset[str]:
        """The channels that are subscribed."""
        return self._acknowledgements.active

    @property
    def not_accepted(self) -> list[str]:
        """The channels that the venue would not take, for now."""
        return list(self._look_again_at)

    def next_id(self) -> int:
        """Return a number for a request."""
        return next(self._ids)

    def want(self, channels: Iterable[str]) -> None:
        """Follow these channels and no others."""
        self._wanted = dict.fromkeys(channels)
        self._changed.set()

    def renew(self, channel: str) -> None:
        """Unsubscribe a channel and subscribe to it again, which is the way to a snapshot."""
        if channel in self._acknowledgements.active:
            self._renewed[channel] = None
            self._changed.set()

    async def wanted(self) -> None:
        """Return when something is wanted."""
        while not self._wanted:
            self._changed.clear()
            await self._changed.wait()

    def connected(self) -> None:
        """Begin anew: on a new connection nothing is subscribed."""
        self._acknowledgements = Acknowledgements()
        self._replies.clear()
        self._renewed.clear()
        self._tries.clear()
        self._look_again_at.clear()
        self._changed.set()

    def accept(self, reply: Reply) -> None:
        """Take a reply of the venue."""
        acknowledged = self._acknowledgements.accept(reply)
        if acknowledged is not None and isinstance(reply.request_id, int):
            waiting = self._replies.pop(reply.request_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(acknowledged)
        elif reply.error is not None:
            log.warning("Deribit refuses a request: %d %s", reply.error.code, reply.error.message)

    async def run(self, transport: Transport, pace: Pace, accepted: Tell, ended: Tell) -> None:
        """Subscribe and unsubscribe until nothing is wanted any more.

        Args:
            transport: the connection.
            pace: of the calls of all connections.
            accepted: is told what the venue subscribed us to.
            ended: is told what it unsubscribed us from, before anything of it is subscribed again.

        Raises:
            Refused: the venue does not answer.
            TransportClosed: the connection is gone.
        """
        while self._wanted:
            self._changed.clear()
            await self._reconcile(transport, pace, accepted, ended)
            try:
                async with asyncio.timeout(self._seconds_to_next_look()):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _reconcile(self, transport: Transport, pace: Pace, accepted: Tell, ended: Tell) -> None:
        active = self._acknowledgements.active
        renewed, self._renewed = self._renewed, {}
        for part in _parts([name for name in active if name not in self._wanted or name in renewed]):
            await self._call(transport, pace, part, subscribing=False)
            for name in part:
                # Whoever asked for it meanwhile has it.
                self._renewed.pop(name, None)
            ended(frozenset(part))
        while self._wanted and (missing := self._due()):
            for part in _parts(missing):
                acknowledged = await self._call(transport, pace, part, subscribing=True)
                if acknowledged.accepted:
                    accepted(acknowledged.accepted)
                self._remember_missing(acknowledged)

    def _due(self) -> list[str]:
        """Return the wanted channels that are not subscribed and that it makes sense to ask for now."""
        now = time.monotonic()
        for channel in [channel for channel, moment in self._look_again_at.items() if moment <= now]:
            del self._look_again_at[channel]
            self._tries.pop(channel, None)
        return [
            channel for channel in self._acknowledgements.missing(self._wanted) if channel not in self._look_again_at
        ]

    def _remember_missing(self, acknowledged: Acknowledged) -> None:
        for channel in acknowledged.accepted:
            self._tries.pop(channel, None)
        given_up = []
        for channel in acknowledged.missing:
            self._tries[channel] = self._tries.get(channel, 0) + 1
            if self._tries[channel] >= TRIES:
                self._look_again_at[channel] = time.monotonic() + self._look_again_seconds
                given_up.append(channel)
        if given_up:
            shown = ", ".join(given_up[:_SHOWN]) + (", ..." if len(given_up) > _SHOWN else "")
            log.warning("Deribit does not accept %d channels: %s", len(given_up), shown)

    def _seconds_to_next_look(self) -> float | None:
        return max(0.0, min(self._look_again_at.values()) - time.monotonic()) if self._look_again_at else None

    async def _call(
        self, transport: Transport, pace: Pace, channels: Sequence[str], *, subscribing: bool
    ) -> Acknowledged:
        await pace.wait()
        request_id = self.next_id()
        waiting: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = waiting
        if subscribing:
            self._acknowledgements.asked_to_subscribe(request_id, channels)
            frame = calls.subscribe(request_id, channels)
        else:
            self._acknowledgements.asked_to_unsubscribe(request_id, channels)
            frame = calls.unsubscribe(request_id, channels)
        await transport.send(frame)
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                acknowledged = await waiting
        except TimeoutError:
            raise Refused(f"no reply within {REPLY_SECONDS:.0f} s") from None
        if acknowledged.error is not None:
            raise Refused(f"{acknowledged.error.code} {acknowledged.error.message}")
        return acknowledged


def _parts(channels: Sequence[str]) -> list[Sequence[str]]:
    return [channels[start : start + CHANNELS_PER_CALL] for start in range(0, len(channels), CHANNELS_PER_CALL)]
