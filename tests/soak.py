"""`make soak`: disconnects of every kind and a database that stops, for half an hour; then the truth is asked.

`python -m tests.soak --minutes 5` is the short form. Exit code 1: something is missing that lies in no gap, or memory
grew.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import psutil

from tapekeeper.clock import now_microseconds
from tapekeeper.local.postgresql import EmbeddedPostgres
from tapekeeper.store.migrate import migrate
from tests.support.collector import (
    NAMES,
    assert_true,
    control,
    running_collector,
    small_world,
    wait_until_accounted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.collector import RunningCollector
    from tests.support.simulator import Simulator

DISTURBANCES: Final = ("clean", "reset", "half_open", "restart", "stall", "sequence_break", "drop", "malformed")
DATABASE_EVERY: Final = 12
"""After so many disturbances the database stops."""
DATABASE_AWAY_SECONDS: Final = 10.0
LARGEST_GROWTH: Final = 0.10
"""Of the memory, between the second quarter of the time and the last."""
_PAUSE_SECONDS: Final = (3.0, 8.0)
_FAULT_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 10


@dataclass(slots=True)
class Soak:
    """What is disturbed, and what was seen of it."""

    simulator: Simulator
    server: EmbeddedPostgres
    collector: RunningCollector
    dice: random.Random
    memory: list[int] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def run(self, minutes: float) -> None:
        """Disturb in turns of all kinds, in an order that the seed tells."""
        ends_at = time.monotonic() + minutes * 60
        for number, kind in enumerate(self._kinds(), 1):
            self._rest(self.dice.uniform(*_PAUSE_SECONDS))
            if time.monotonic() >= ends_at:
                return
            self._disturb("database" if number % DATABASE_EVERY == 0 else kind)

    def _kinds(self) -> Iterator[str]:
        while True:
            yield from self.dice.sample(DISTURBANCES, len(DISTURBANCES))

    def _disturb(self, kind: str) -> None:
        self.done[kind] = self.done.get(kind, 0) + 1
        steps: dict[str, Callable[[], object]] = {
            **dict.fromkeys(
                ("clean", "reset", "half_open"), lambda: control(self.simulator, "/control/cut", {"how": kind})
            ),
            "restart": lambda: control(self.simulator, "/control/restart", {"seconds": 2, "how": "clean"}),
            "database": self._stop_database,
        }
        steps.get(kind, lambda: self._break_frames(kind))()

    def _break_frames(self, kind: str) -> None:
        whole = {"kind": f"ws_{kind}"}
        self.simulator.set_faults([whole if kind == "stall" else whole | {"probability": 0.05}])
        self._rest(_FAULT_SECONDS)
        self.simulator.clear_faults()

    def _stop_database(self) -> None:
        self.server.stop()
        self._rest(DATABASE_AWAY_SECONDS)
        self.server.start()

    def _rest(self, seconds: float) -> None:
        """Let time pass, and look at the memory once a second."""
        ends_at = time.monotonic() + seconds
        process = psutil.Process(self.collector.process.pid)
        while (left := ends_at - time.monotonic()) > 0:
            self.memory.append(process.memory_info().rss)
            time.sleep(min(1.0, left))

    @property
    def growth(self) -> float:
        """How much the memory grew between the second quarter of the time and the last."""
        quarter = max(1, len(self.memory) // 4)
        return max(self.memory[-quarter:]) / max(self.memory[quarter : 2 * quarter]) - 1


def main() -> int:
    """Run with the arguments of the command line, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as name,
        small_world("--seed", str(asked.seed)) as simulator,
    ):
        folder = Path(name)
        server = EmbeddedPostgres(folder / "postgresql")
        server.start()
        try:
            return _soak(simulator, server, folder, asked.minutes, asked.seed)
        finally:
            server.stop()
            server.remove()


def _soak(simulator: Simulator, server: EmbeddedPostgres, folder: Path, minutes: float, seed: int) -> int:
    url = server.url()
    migrate(url)
    with running_collector(url, simulator, folder) as collector:
        collector.wait_until_ready()
        soak = Soak(simulator, server, collector, random.Random(seed))
        soak.run(minutes)
        simulator.clear_faults()
        collector.wait_until_fresh(len(NAMES))
        end = wait_until_accounted(url, NAMES)
        # A lost trade is noticed by the next one or by the next sweep.
        wait_until_accounted(url, NAMES, now_microseconds() + _SETTLE_SECONDS * 1_000_000)
        ended_with = collector.terminate()
    click.echo(f"disturbed {sum(soak.done.values())} times: {soak.done}")
    click.echo(
        f"memory: {max(soak.memory) / 1e6:.0f} MB at most, {soak.growth:+.1%} from the second quarter to the last"
    )
    assert_true(url, simulator, NAMES, end)
    if ended_with or soak.growth > LARGEST_GROWTH:
        click.echo(f"FAILED: exit code {ended_with}, memory {soak.growth:+.1%} (at most {LARGEST_GROWTH:+.0%})")
        return 1
    click.echo("every trade is held once, every quote is held or lies in a recorded gap, memory is flat")
    return 0


if __name__ == "__main__":
    sys.exit(main())
