"""A folder on a disk that is full after so many bytes: a disk of its own where we may make one, else a limit."""

from __future__ import annotations

import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Callable[[int], None]]:
    """Make the folder, and yield what has to be called with the id of the process that is to write there.

    Where a memory disk can be mounted, the kernel says ENOSPC. Elsewhere that process may make no file larger than
    `size` bytes, and the kernel says EFBIG.
    """
    directory.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:

        def limit(process: int) -> None:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        yield limit
        return
    try:
        yield lambda _: None
    finally:
        subprocess.run(["umount", str(directory)], capture_output=True, check=True)
