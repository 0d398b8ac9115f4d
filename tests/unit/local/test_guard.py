"""One command under a guard."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekeeper.local.guard import guarded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("program", "exit_code"),
    [("raise SystemExit(0)", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_it_ends_as_its_command_does(program: str, exit_code: int) -> None:
    assert subprocess.run(guarded([sys.executable, "-c", program]), check=False).returncode == exit_code


def test_a_command_that_does_not_exist_is_told() -> None:
    done = subprocess.run(guarded(["/nowhere/at/all"]), check=False, capture_output=True, text=True)
    assert done.returncode == 127
    assert "/nowhere/at/all cannot be started" in done.stderr


def test_it_ends_at_once_when_its_parent_is_gone_already() -> None:
    done = subprocess.run(guarded(["true"], parent=1), check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "is gone" in done.stderr


def test_being_told_to_stop_it_sends_the_signal_that_the_command_understands() -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    command = guarded([sys.executable, "-c", program], stop_signal=signal.SIGUSR1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "ready\n"
        guard.terminate()
        assert guard.wait() == 7


def test_a_command_that_does_not_stop_is_killed() -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    with subprocess.Popen(
        guarded([sys.executable, "-c", program], grace_seconds=1), stdout=subprocess.PIPE, text=True
    ) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "ready\n"
        guard.terminate()
        assert guard.wait() == 137


def test_its_environment_file_is_added(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text(json.dumps({"SECRET": "%s # ;"}))
    program = "import os; print(os.environ['SECRET'], bool(os.environ.get('PATH')))"
    command = guarded([sys.executable, "-c", program], environment_file=file)
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "%s # ; True\n"
    assert "%s" not in " ".join(command)
