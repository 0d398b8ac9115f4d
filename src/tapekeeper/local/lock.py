"""One installation at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psutil

from tapekeeper.errors import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREDECESSOR_SECONDS: Final = 120.0
"""How long what is left of a killed predecessor may take to stop its programs."""
_PAUSE_SECONDS: Final = 0.1


@contextmanager
def held(file: Path, *, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold the lock of a file, and yield its descriptor.

    Whoever inherits the descriptor keeps the lock too. So it stays taken while the programs of a killed holder are
    being stopped: then `waiting` is called once, and the lock is taken as soon as they are gone.

    Raises:
        Stop: the process that holds it is alive.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, file, waiting)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, file: Path, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    told = False
    while not _try(descriptor):
        holder = int(os.pread(descriptor, 20, 0) or b"0")
        if psutil.pid_exists(holder) or time.monotonic() > deadline:
            raise Stop(f"it runs already in this folder, as process {holder} (lock {file}): stop that one first")
        if not told:
            waiting()
            told = True
        time.sleep(_PAUSE_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
