"""Runs a command of tapekeeper and looks every few milliseconds at what its workers are doing.

`python -m benchmarks.sampled backfill perpetuals ...` prints, as its last line, the share of each place as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tapekeeper
from tapekeeper.cli import main as tapekeeper_main

if TYPE_CHECKING:
    from types import FrameType

PLACES: Final = {
    ("http/transport.py", ""): "venue: wait for the answer and read it",
    ("venues/deribit/decisions.py", ""): "parse: JSON",
    ("venues/deribit/parse.py", ""): "parse: columns and checks",
    ("http/client.py", "_wait"): "wait for a permit",
    ("store/series_lock.py", ""): "write: wait for another writer of the series",
    ("store/grid_rows.py", ""): "write: candles and coverage",
    ("backfill/worker.py", "do"): "write: commit",
    ("backfill/runner.py", "_wait_for_more"): "wait for the last chunks of other workers",
    ("store/runs.py", ""): "bookkeeping: lease and settle chunks",
    ("backfill/worker.py", "claim"): "bookkeeping: lease and settle chunks",
    ("store/rate_budgets.py", ""): "bookkeeping: rate budget",
    ("store/api_requests.py", ""): "bookkeeping: record of requests",
}
"""By file and function, an empty one for the whole file. The innermost call that is listed here counts."""
OTHER: Final = "other"
_PAUSE_SECONDS: Final = 0.005
_PACKAGE: Final = Path(tapekeeper.__file__).parent
_WORKER: Final = "chunk"


class Sampler:
    """Counts the places of all workers until it is stopped."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stopped.wait(_PAUSE_SECONDS):
            workers = {thread.ident for thread in threading.enumerate() if thread.name.startswith(_WORKER)}
            for ident, frame in sys._current_frames().items():  # noqa: SLF001 - documented, for debuggers
                place = _place_of(frame) if ident in workers else None
                if place:
                    self.places[place] += 1


def _place_of(frame: FrameType | None) -> str | None:
    """Return the place, or None for a worker that has ended."""
    inside = False
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(_PACKAGE):
            name = file.relative_to(_PACKAGE).as_posix()
            place = PLACES.get((name, frame.f_code.co_name)) or PLACES.get((name, ""))
            if place:
                return place
            inside = True
        frame = frame.f_back
    return OTHER if inside else None


def main() -> None:
    """Run the command of the command line."""
    sampler = Sampler()
    sampler.start()
    try:
        tapekeeper_main(sys.argv[1:], standalone_mode=False)
    finally:
        sampler.stop()
    total = sampler.places.total() or 1
    print(json.dumps({place: count / total for place, count in sampler.places.most_common()}))


if __name__ == "__main__":
    main()
