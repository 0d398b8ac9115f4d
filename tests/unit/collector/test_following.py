"""Which instruments are followed, with venue and database played by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collector import following
from collector.buffer import Buffer
from collector.counters import Counters
from collector.following import Following
from collector.registry import Known
from collector.series_cache import SeriesCache
from collector.settings import CollectorSettings
from collector.tape import Tape
from collector.venue_clock import VenueClock
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import DatabaseUnavailable
from tapekeeper.model.instrument import Instrument
from tapekeeper.store.option_series import OptionSeries, Position
from tests.support.ticks import option

A, B = option(1), option(2)
URL = "postgresql://keeper@db:5432/ticks"


class World:
    """A database that may be away, and a venue that lists what it is told."""

    def __init__(self, tmp_path: Path, *, listed: Iterable[Instrument], known: Iterable[str] = ()) -> None:
        self.listed = list(listed)
        self.is_there = asyncio.Event()
        self.followed: list[str] = []
        self.known = {
            name: Known(OptionSeries(10 + number, 100 + number, 200 + number), Position(7, None, None, 1_000_000), [])
            for number, name in enumerate(known)
        }
        clock = VenueClock(now=now_microseconds(), monotonic=0.0)
        self.tape = Tape(Buffer(10, 10), Counters(), clock, ("book", "ticker", "trades"))
        self.cache = SeriesCache(tmp_path, URL)
        world: Any = self
        fleet: Any = SimpleNamespace(follow=self.follow, session_ids=[])
        sweep: Any = SimpleNamespace(request=lambda: None)
        self.following = Following(CollectorSettings(), self.tape, fleet, sweep, world, world, world, self.cache)

    def follow(self, names: list[str]) -> None:
        self.followed = list(names)

    async def choose(self) -> list[Instrument]:
        return self.listed

    async def ask(self, question: object) -> Instrument:
        return A

    async def resume(self, collector: str, living: object) -> dict[str, Known]:
        await self.is_there.wait()
        return self.known

    async def ensure(self, instruments: Iterable[Instrument]) -> dict[str, OptionSeries]:
        if not self.is_there.is_set():
            raise DatabaseUnavailable("away", after_seconds=1)
        return {one.name: OptionSeries(50 + number, 60, 70) for number, one in enumerate(instruments)}

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            async with asyncio.timeout(20):
                await self.following.begin("test", lambda: True)
                task = asyncio.create_task(self.following.run())
                await scene()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATIENCE_SECONDS", "_NEWS_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(following, name, 0.01)


def test_without_the_database_what_is_known_is_adrift_until_it_is_back(tmp_path: Path) -> None:
    world = World(tmp_path, listed=[A, B], known=[A.name])
    world.cache.keep({A.name: world.known[A.name].series})

    async def scene() -> None:
        await until(lambda: world.followed == [A.name])
        (tape,) = world.tape.tapes
        assert tape.is_adrift
        assert world.following.quotes_series == {10: 100}
        world.is_there.set()
        await until(lambda: world.followed == [A.name, B.name])
        assert [(tape.name, tape.is_adrift) for tape in world.tape.tapes] == [(A.name, False), (B.name, False)]
        assert SeriesCache(tmp_path, URL).get(B.name) == OptionSeries(50, 60, 70)

    world.play(scene)


def test_what_is_adrift_is_not_ended_before_its_place_is_known(tmp_path: Path) -> None:
    world = World(tmp_path, listed=[A], known=[A.name])
    world.cache.keep({A.name: world.known[A.name].series})

    async def scene() -> None:
        await until(lambda: world.followed == [A.name])
        world.listed = [B]
        world.following.hear_news()
        await asyncio.sleep(0.05)
        assert world.followed == [A.name]
        world.is_there.set()
        await until(lambda: world.followed == [B.name])

    world.play(scene)


def test_a_new_listing_waits_for_the_database_and_nobody_else_does(tmp_path: Path) -> None:
    world = World(tmp_path, listed=[A], known=[A.name])
    world.is_there.set()

    async def scene() -> None:
        await until(lambda: world.followed == [A.name])
        world.is_there.clear()
        world.listed = [A, B]
        world.following.hear_news()
        await until(lambda: world.following.expected == 2)
        assert world.followed == [A.name]
        world.is_there.set()
        await until(lambda: world.followed == [A.name, B.name])

    world.play(scene)
