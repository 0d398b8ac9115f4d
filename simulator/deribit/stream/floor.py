"""What all connections share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from simulator.counters import Counters
from simulator.deribit.stream.heartbeat import Patience
from simulator.deribit.stream.lifecycle import Lifecycle
from simulator.deribit.stream.publisher import Publisher
from simulator.fault_plan import FaultPlan
from simulator.limits import Limits
from simulator.world import World

SLOW_READER_BYTES: Final = 16_000_000


@dataclass(slots=True)
class Floor:
    """The world, what is said in it, and the rules for those who listen."""

    world: World
    plan: FaultPlan
    limits: Limits
    counters: Counters
    patience: Patience
    publisher: Publisher
    lifecycle: Lifecycle
    slow_reader_bytes: int = SLOW_READER_BYTES
    """How much of what was sent a client may leave unread before it is given up."""
    frames: Counter[str] = field(default_factory=Counter)
    """Notifications by the first word of their channel, before faults befell them."""
    closed: Counter[str] = field(default_factory=Counter)
    """Connections that the venue ended, by the reason."""

    def catch_up(self, now: int) -> None:
        """Tell everything that happened before `now` (milliseconds), listings and expiries at their instant."""
        while self.lifecycle.next_at < now:
            at = self.lifecycle.next_at
            self.publisher.publish_until(at - 1)
            self.lifecycle.advance(at)
        self.publisher.publish_until(now - 1)
