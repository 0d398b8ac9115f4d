"""The faults that are set now, and which of them fire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator.fault_basics import Fault, RequestFault, Service, StandingFact
from simulator.frame_faults import FrameFault, VenueRestart


@dataclass(slots=True)
class _Set:
    """A fault since it was set."""

    fault: Fault
    at: float
    matching: int = 0
    fired_at: dict[int, float] = field(default_factory=dict)
    """By connection, 0 for what is about all of them."""


class FaultPlan:
    """The faults that are set now; moments in seconds of any clock that never goes back."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._set: list[_Set] = []
        self.befalls_frames = False
        """Whether any of them is about frames, so that the others cost nothing."""

    def replace(self, faults: Iterable[Fault], now: float) -> None:
        """Set these faults and no others; what they count and their seconds begin with `now`."""
        self._set = [_Set(fault, now) for fault in faults]
        self.befalls_frames = any(isinstance(one.fault, FrameFault) for one in self._set)

    def add(self, fault: Fault, now: float) -> None:
        """Set one more; the others go on as they were."""
        self._set.append(_Set(fault, now))
        self.befalls_frames |= isinstance(fault, FrameFault)

    def standing(self) -> tuple[StandingFact, ...]:
        """Return the facts about the data."""
        return tuple(one.fault for one in self._set if isinstance(one.fault, StandingFact))

    def fire(self, method: str, instrument: str | None, now: float, service: Service = "deribit") -> list[RequestFault]:
        """Return the faults that befall this request to a service, and count it."""
        fired = []
        for position, one in enumerate(self._set):
            fault = one.fault
            if not isinstance(fault, RequestFault) or fault.service not in (None, service):
                continue
            if fault.concerns(method, instrument):
                one.matching += 1
                if fault.is_due(self._seed, position, one.matching, now - one.at):
                    fired.append(fault)
        return fired

    def fire_at_frame(self, channel: str, instrument: str | None, connection: int, now: float) -> list[FrameFault]:
        """Return the faults that befall a frame on its way to a connection, and count it."""
        fired = []
        for position, one in enumerate(self._set):
            if isinstance(one.fault, FrameFault) and one.fault.concerns(channel, instrument, connection):
                one.matching += 1
                rest = one.fault.every_seconds
                if rest is not None and now < one.fired_at.get(connection, one.at) + rest:
                    continue
                if one.fault.is_due(self._seed, position, one.matching, now - one.at):
                    one.fired_at[connection] = now
                    fired.append(one.fault)
        return fired

    def restarts(self, now: float) -> list[VenueRestart]:
        """Return the restarts of the venue that are due and have not been told yet."""
        due = []
        for one in self._set:
            if isinstance(one.fault, VenueRestart) and not one.fired_at and now >= one.at + one.fault.from_second:
                one.fired_at[0] = now
                due.append(one.fault)
        return due

    def as_json(self) -> dict[str, object]:
        """Return the document that would set the same faults."""
        return {"faults": [one.fault.model_dump(mode="json", exclude_defaults=True) for one in self._set]}
