"""Commands as whole processes, timed from their start to their end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.server import CLONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_SECONDS: Final = 1_200.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended well."""

    seconds: float
    """By the clock on the wall, its start included."""
    cpu_seconds: float
    result: dict[str, Any]
    """The JSON of its last line."""


def run_module(module: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Finished:
    """Run `python -m module` with settings of tapekeeper and no others, and return what its last line says.

    Raises:
        RuntimeError: it ended with another exit code than 0; the message shows what it said.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
    before, started = _children_cpu_seconds(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=CLONE,
        env=inherited | dict(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return Finished(seconds, _children_cpu_seconds() - before, json.loads(done.stdout.splitlines()[-1]))


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
