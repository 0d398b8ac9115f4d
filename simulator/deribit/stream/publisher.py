"""Speaks on all channels that somebody listens to, each at its time and nothing from the future."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

import orjson

from simulator.deribit.stream.channels import Channel, open_channel
from simulator.deribit.stream.source import Source

_FRAME: Final = b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"data":%b}}'


@dataclass(frozen=True, slots=True)
class Frame:
    """One notification, as JSON."""

    channel: str
    instrument: str | None
    payload: bytes


class Listener(Protocol):
    """Who is told."""

    def deliver(self, frame: Frame) -> None:
        """Take one notification."""

    def deliver_ready(self, frames: bytes) -> None:
        """Take notifications that are encoded to the last byte, as they go through the socket."""


@dataclass(slots=True)
class _Open:
    """A channel with its listeners."""

    channel: Channel
    listeners: list[Listener] = field(default_factory=list)
    turn: int = 0
    """Which of its entries in the calendar counts; older ones are void."""


class Publisher:
    """The channels of the venue; moments in milliseconds of its clock."""

    def __init__(self, source: Source, moment: int) -> None:
        self._source = source
        self.moment = moment
        """Everything up to here, itself included, has been told."""
        self.special: dict[str, Channel] = {}
        """Channels that exist beside those of the world, or instead of them: of a load, of a replay."""
        self._open: dict[str, _Open] = {}
        self._calendar: list[tuple[int, int, str]] = []
        self._turns = count(1)

    @property
    def next_at(self) -> int | None:
        """When something is to be told next."""
        return self._calendar[0][0] if self._calendar else None

    def find(self, name: str) -> Channel | None:
        """Return a channel, or None for a name that the venue does not know.

        Raises:
            VenueError: 13778, it is a raw one.
        """
        known = self._open.get(name)
        return known.channel if known is not None else self._make(name)

    def listen(self, channel: Channel, listener: Listener) -> None:
        """Tell a listener from now on what is said on a channel, and first how things are."""
        one = self._open.get(channel.name)
        if one is None:
            one = self._open[channel.name] = _Open(channel)
            self._schedule(one)
        first = one.channel.stream.first(self.moment)
        if first is not None:
            listener.deliver(_frame(one.channel, first))
        one.listeners.append(listener)

    def leave(self, name: str, listener: Listener) -> None:
        """Tell a listener no more; a channel without listeners is closed."""
        one = self._open[name]
        one.listeners.remove(listener)
        if not one.listeners:
            del self._open[name]

    def say(self, name: str, data: object) -> None:
        """Tell the listeners of a channel, if it has any."""
        one = self._open.get(name)
        if one is not None:
            self._tell(one, data)

    def publish_until(self, moment: int) -> None:
        """Tell everything up to `moment`, itself included, in the order of time."""
        while self._calendar and self._calendar[0][0] <= moment:
            self.moment, turn, name = heapq.heappop(self._calendar)
            one = self._open.get(name)
            if one is None or one.turn != turn:
                continue
            data = one.channel.stream.notice(self.moment)
            self._schedule(one)
            if data is not None:
                self._tell(one, data)
        self.moment = max(self.moment, moment)

    def reschedule(self) -> None:
        """Ask all streams anew when they speak, after something about instruments was changed."""
        self._calendar.clear()
        for name, one in self._open.items():
            one.channel = self._make(name) or one.channel
            self._schedule(one)

    def listeners(self, name: str) -> list[Listener]:
        """Return who listens to a channel now."""
        one = self._open.get(name)
        return [] if one is None else one.listeners

    def _make(self, name: str) -> Channel | None:
        return self.special.get(name) or open_channel(self._source, name, self.moment)

    def _schedule(self, one: _Open) -> None:
        one.turn = next(self._turns)
        time = one.channel.stream.next_after(self.moment)
        if time is not None:
            heapq.heappush(self._calendar, (time, one.turn, one.channel.name))

    @staticmethod
    def _tell(one: _Open, data: object) -> None:
        frame = _frame(one.channel, data)
        for listener in list(one.listeners):
            listener.deliver(frame)


def _frame(channel: Channel, data: object) -> Frame:
    payload = _FRAME % (orjson.dumps(channel.name), orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY))
    return Frame(channel.name, channel.instrument, payload)
