"""A memory with a bound: what was used least recently is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps values up to a total weight; everything in it can be made again."""

    def __init__(self, bound: int, weigh: Callable[[Value], int]) -> None:
        self._bound = bound
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def held(self, key: Key) -> Value | None:
        """Return the value of the key if it is held, without using it."""
        return self._values.get(key)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of the key, made now if it is not held."""
        try:
            value = self._values[key]
        except KeyError:
            value = self._values[key] = make()
            self._weight += self._weigh(value)
            while self._weight > self._bound and len(self._values) > 1:
                self._weight -= self._weigh(self._values.popitem(last=False)[1])
        else:
            self._values.move_to_end(key)
        return value
