"""What a stream is: a pure function of time, asked when it speaks and what it says then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from simulator.conditions import Conditions
from simulator.instruments import VenueInstrument
from simulator.world import World

INTERVALS: Final = {"100ms": 0, "agg2": 1_000}
"""How many milliseconds of changes a notification sums up; 0: each change is told at its own time."""


class Stream(Protocol):
    """One channel's notifications; moments in milliseconds of the venue's clock."""

    def first(self, moment: int) -> object | None:
        """Return what a new subscriber is told at once, or None."""

    def next_after(self, moment: int) -> int | None:
        """Return when the stream speaks next, after `moment`; None for never."""

    def notice(self, moment: int) -> object | None:
        """Return what it says at a time that `next_after` gave, or None for nothing after all."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where streams take their data from."""

    world: World
    conditions: Callable[[], Conditions]

    def living(self, name: str, moment: int) -> VenueInstrument | None:
        """Return the instrument if it lives right after `moment`."""
        found = self.world.catalogue.find(name, moment + 1)
        return found if found is not None and moment + 1 < found.end else None

    def known(self, name: str, moment: int) -> VenueInstrument:
        """Return an instrument that was listed when its stream began, as it is right after `moment`.

        Raises:
            LookupError: it never was.
        """
        found = self.world.catalogue.find(name, moment + 1)
        if found is None:
            raise LookupError(f"{name} is not listed at {moment}")
        return found

    def cutoff(self, name: str, moment: int) -> int:
        """Return until when there are trades of an instrument."""
        return self.conditions().cutoff(name, moment)


def grid(moment: int, step: int) -> int:
    """Return the next multiple of `step` after `moment`."""
    return (moment // step + 1) * step


class Silent:
    """A channel that speaks only when it is told to, after what it says first."""

    def __init__(self, first: object | None = None) -> None:
        self._first = first

    def first(self, _: int) -> object | None:
        """Return what it begins with."""
        return self._first

    def next_after(self, _: int) -> int | None:
        """Return None: it does not speak by itself."""
        return None

    def notice(self, _: int) -> object | None:
        """Return nothing."""
        return None
