"""The service's limit: so many calls of a key in a window that slides.

Source: the words of its refusals, which are those of Django REST framework; that forgets a call when it is older than
the window, and counts no refused one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Throttle:
    """The calls of all keys; the clock gives seconds and never goes back."""

    clock: Callable[[], float]
    enabled: bool = True
    calls: float = 600.0
    window_seconds: float = 3_600.0
    allowed: int = 0
    throttled: int = 0
    _histories: dict[str, deque[float]] = field(default_factory=dict)

    def wait(self, key: str) -> int | None:
        """Count a call and return None, or return for how many seconds it has to wait."""
        if not self.enabled:
            return None
        now, history = self.clock(), self._histories.setdefault(key, deque())
        while history and history[0] <= now - self.window_seconds:
            history.popleft()
        if len(history) < self.calls:
            history.append(now)
            self.allowed += 1
            return None
        self.throttled += 1
        return max(1, math.ceil(history[0] + self.window_seconds - now))

    def change(self, *, enabled: bool, calls: float, window_seconds: float) -> None:
        """Set new limits; every key begins anew."""
        self.enabled, self.calls, self.window_seconds = enabled, calls, window_seconds
        self._histories.clear()

    def as_json(self) -> dict[str, object]:
        """Return the limits, and how many calls they let through and refused."""
        return {
            "enabled": self.enabled,
            "calls": self.calls,
            "window_seconds": self.window_seconds,
            "allowed": self.allowed,
            "throttled": self.throttled,
        }


def refusal(seconds: int) -> str:
    """Return what a refused call is told."""
    unit = "second" if seconds == 1 else "seconds"
    return f"Request was throttled. Expected available in {seconds} {unit}."
