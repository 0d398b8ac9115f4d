"""Waiting for processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST_WAIT_SECONDS: Final = 90.0


def wait_for(condition: Callable[[], bool], *, seconds: float = LONGEST_WAIT_SECONDS) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it does not after `seconds`, which are many: time decides only how long a failure takes.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} seconds"
        time.sleep(0.05)


def ended(processes: Sequence[psutil.Process], *, seconds: float = LONGEST_WAIT_SECONDS) -> None:
    """Wait until the processes are gone.

    Raises:
        AssertionError: some are still alive; the message names them.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _is_alive(process)]:
        assert time.monotonic() < deadline, f"still alive: {alive}"
        time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    """A zombie has ended; that nobody has asked for its exit code yet is its parent's affair."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
