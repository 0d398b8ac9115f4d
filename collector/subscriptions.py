"""Which instruments this process follows, and over which connections their channels are spread."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def of_shard(names: Iterable[str], number: int, count: int) -> list[str]:
    """Return the instruments of one of `count` processes, from 1; the same on every machine and for ever."""
    return [name for name in names if _stable_hash(name) % count == number - 1]


def _stable_hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


class Spread:
    """Places instruments on connections; all channels of an instrument share one, so that they go and come together.

    A connection is known by its number. An instrument stays where it is for as long as that connection works.
    """

    def __init__(self, *, instruments_per_connection: int, connections_maximum: int) -> None:
        self._room = instruments_per_connection
        self._connections_maximum = connections_maximum
        self._place: dict[str, int] = {}
        self._disabled: set[int] = set()

    @property
    def connections(self) -> list[int]:
        """The numbers of the connections that have instruments, ascending."""
        return sorted(set(self._place.values()))

    def names_on(self, connection: int) -> list[str]:
        """Return the instruments of a connection, in the order in which they came."""
        return [name for name, place in self._place.items() if place == connection]

    def change_to(self, names: Sequence[str]) -> list[str]:
        """Follow these instruments and no others; return those for which there is no room."""
        wanted = set(names)
        for gone in [name for name in self._place if name not in wanted]:
            del self._place[gone]
        return [name for name in names if name not in self._place and not self._find_place(name)]

    def give_away(self, connection: int) -> list[str]:
        """Move the instruments of a connection that does not work to others; return those that found no place.

        Where no other connection has room, a further one is opened; where there may be none, they stay.
        """
        self._disabled.add(connection)
        stay = []
        for name in self.names_on(connection):
            del self._place[name]
            if not self._find_place(name):
                self._place[name] = connection
                stay.append(name)
        return stay

    def works_again(self, connection: int) -> None:
        """Let a connection take instruments again."""
        self._disabled.discard(connection)

    def _find_place(self, name: str) -> bool:
        load: dict[int, int] = dict.fromkeys(range(self._connections_maximum), 0)
        for place in self._place.values():
            load[place] += 1
        for connection, count in load.items():
            if count < self._room and connection not in self._disabled:
                self._place[name] = connection
                return True
        return False


def instruments_per_connection(channels_per_connection: int, channels_of_instrument: int) -> int:
    """Return how many instruments fit on a connection beside the few channels that concern them all."""
    return max(1, math.floor((channels_per_connection - 4) / max(1, channels_of_instrument)))
