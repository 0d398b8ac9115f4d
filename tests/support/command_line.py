"""The `tapekeeper` command as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings and no others of tapekeeper."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAPEKEEPER_")}
    return {**inherited, **settings}


def start_tapekeeper(arguments: list[str], settings: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the command; what it prints can be read from its pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "tapekeeper", *arguments],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_tapekeeper(
    arguments: list[str], settings: Mapping[str, str], *, exit_code: int = 0, seconds: float = 300
) -> tuple[str, str]:
    """Run the command to its end and return what it printed on standard output and on standard error."""
    process = start_tapekeeper(arguments, settings)
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == exit_code, f"exit code {process.returncode}:\n{output}\n{errors}"
    return output, errors


def json_of(output: str) -> Any:
    """Return the object in the last line of an output."""
    return json.loads(output.splitlines()[-1])
