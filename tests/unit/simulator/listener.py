"""Listens to streams without a socket."""

from __future__ import annotations

from typing import Any

import orjson

from simulator.conditions import Conditions
from simulator.deribit.stream.lifecycle import Lifecycle
from simulator.deribit.stream.publisher import Frame, Publisher
from simulator.deribit.stream.source import Source
from simulator.fault_basics import Fault, StandingFact
from simulator.moments import FixedClock
from simulator.world import World
from tests.unit.simulator.venue import NOW, SEED


class Listener:
    """Keeps what it is told, and when."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.told: list[tuple[str, Any, int]] = []
        """Channel, data, and the moment of the venue's clock."""

    def deliver(self, frame: Frame) -> None:
        """Keep one notification."""
        params = orjson.loads(frame.payload)["params"]
        self.told.append((params["channel"], params["data"], self._publisher.moment))

    def deliver_ready(self, frames: bytes) -> None:
        """Keep nothing: this is for load alone."""

    def heard(self, channel: str) -> list[Any]:
        """Return the data of one channel."""
        return [data for name, data, _ in self.told if name == channel]


class Studio:
    """A world whose streams go on when a test says so."""

    def __init__(self, now: int = NOW, *, changes_per_second: float = 4.0, facts: tuple[Fault, ...] = ()) -> None:
        self.world = World(SEED, FixedClock(now), changes_per_second)
        standing = tuple(fact for fact in facts if isinstance(fact, StandingFact))
        source = Source(self.world, lambda: Conditions(SEED, standing))
        self.publisher = Publisher(source, now - 1)
        self.lifecycle = Lifecycle(self.world, self.publisher, now - 1)
        self.listener = Listener(self.publisher)

    def listen(self, *names: str) -> Listener:
        """Subscribe to channels that have to exist."""
        for name in names:
            channel = self.publisher.find(name)
            assert channel is not None, name
            self.publisher.listen(channel, self.listener)
        return self.listener
