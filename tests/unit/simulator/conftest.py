"""A small fixed world: nothing in it moves unless a test moves its clock."""

from __future__ import annotations

import pytest

from simulator.moments import FixedClock
from simulator.world import World
from tests.unit.simulator.venue import NOW, SEED, Venue


@pytest.fixture(scope="session")
def world() -> World:
    """A world that no test changes."""
    return World(SEED, FixedClock(NOW))


@pytest.fixture(scope="session")
def venue(world: World) -> Venue:
    """The methods of that world."""
    return Venue(world)
