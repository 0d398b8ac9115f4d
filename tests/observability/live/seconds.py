"""The same rules and routes with seconds where there are minutes, so that a test need not wait for hours."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(?<![\w.])(\d+)([smhdw])\b")
"""Not the end of a name such as `rate5m`."""


def seconds_for_minutes(text: str) -> str:
    """Return a configuration with every duration a sixtieth of what it is, and no less than a second.

    Durations are the waits, windows, intervals and offsets. Thresholds are numbers and stay: what is too old
    stays too old, however fast somebody looks.
    """
    return _DURATION.sub(_sixtieth, text)


def _sixtieth(duration: re.Match[str]) -> str:
    return f"{max(1, int(duration[1]) * _SECONDS[duration[2]] // 60)}s"
