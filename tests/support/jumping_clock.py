"""`python -m tests.support.jumping_clock FILE stream`: the collector on a machine whose clock somebody changes.

FILE tells by how many seconds the clock is wrong, from now on; the monotonic clock goes on as ever.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from tapekeeper import clock


def _run() -> None:
    file, true_time = Path(sys.argv[1]), clock.now_microseconds
    del sys.argv[1]
    clock.now_microseconds = lambda: true_time() + round(float(file.read_text()) * clock.MICROSECONDS_PER_SECOND)
    # Every module of the collector is imported only now, and takes the wrong clock.
    runpy.run_module("collector", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run()
