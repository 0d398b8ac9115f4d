from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from collector.fleet import Fleet
from collector.settings import CollectorSettings


class Session:
    """Remembers what it is asked to follow."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.connected = self.is_alive = True
        self.channels: list[str] = []
        self.running = False
        self.keeper = SimpleNamespace(active=frozenset({"a", "b"}), not_accepted=["c"])

    def start(self) -> None:
        self.running = True

    def want(self, channels: list[str]) -> None:
        self.channels = channels

    async def stop(self) -> None:
        self.running = False


def fleet(**settings: Any) -> tuple[Fleet, list[Any]]:
    made: list[Any] = []

    def make(number: int) -> Any:
        made.append(Session(number))
        return made[-1]

    return Fleet(CollectorSettings.model_validate(settings), make), made


def test_the_first_connection_also_carries_what_concerns_all() -> None:
    ships, made = fleet(channels_per_connection=10)
    ships.follow(["A", "B", "C"])
    assert [session.channels for session in made] == [
        [
            "book.A.100ms", "ticker.A.100ms", "trades.A.100ms", "book.B.100ms", "ticker.B.100ms", "trades.B.100ms",
            "instrument.state.option.ETH", "instrument.creation.option.ETH", "platform_state",
        ],
        ["book.C.100ms", "ticker.C.100ms", "trades.C.100ms"],
    ]  # fmt: skip
    assert (ships.wanted, ships.connected, ships.subscriptions, ships.not_accepted) == (2, 2, 4, 2)
    assert all(session.running for session in made)
    asyncio.run(ships.stop())
    assert not any(session.running for session in made)


def test_only_the_wanted_streams_are_asked_for() -> None:
    ships, made = fleet(channels="trades", trades_channel="currency")
    ships.follow(["A"])
    assert made[0].channels[-1] == "trades.option.ETH.100ms"
    assert not [name for name in made[0].channels if ".A." in name]


def test_a_connection_that_fails_gives_its_instruments_away_if_another_one_works() -> None:
    ships, made = fleet(channels_per_connection=10, connections_maximum=3)
    ships.follow(["A", "B", "C"])
    made[1].is_alive = False
    made[0].is_alive = False
    ships.give_away(made[1])
    assert len(made) == 2
    made[0].is_alive = True
    ships.give_away(made[1])
    assert made[1].channels == []
    assert made[2].channels == ["book.C.100ms", "ticker.C.100ms", "trades.C.100ms"]
    ships.follow(["A", "B", "C", "D", "E"])
    assert [len(session.channels) for session in made] == [9, 6, 3]
