"""Programs under supervisord: started, watched, and gone together with whoever started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tapekeeper.errors import Stop
from tapekeeper.local.supervisor import Program, Supervisor
from tests.support.processes import ended, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# Starts a child of its own and one that makes itself independent; both ignore SIGTERM, unless they are told to be mild.
# Then writes all process ids.
FAMILY = """
import os, pathlib, signal, sys, time
def live():
    if "mild" not in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
child = os.fork()
if child == 0:
    live()
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    independent = os.fork()
    if independent == 0:
        live()
    os.write(write, str(independent).encode())
    os._exit(0)
independent = int(os.read(read, 20))
draft = pathlib.Path(sys.argv[1] + ".draft")
draft.write_text(f"{os.getpid()} {child} {independent}")
draft.rename(sys.argv[1])
time.sleep(600)
"""

# Runs a supervisor with a family until its standard input ends; prints the process id of supervisord's guard.
HOLDER = """
import os, pathlib, sys
from tapekeeper.local.supervisor import Program, Supervisor
folder = pathlib.Path(sys.argv[1])
family = [sys.executable, sys.argv[2], str(folder / "family")]
held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
supervisor = Supervisor(folder, folder / "c", [Program("family", family, folder, group="one")], dict(os.environ), held)
supervisor.start()
supervisor.start_program("family")
print("started", flush=True)
sys.stdin.read()
supervisor.stop()
"""


def python(folder: Path, *lines: str) -> list[str]:
    script = folder / f"script_{len(list(folder.iterdir()))}.py"
    script.write_text("\n".join(lines))
    return [sys.executable, str(script)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # The address of a control socket is short.
    return tmp_path


@pytest.fixture
def lock(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def supervise(folder: Path, lock: int, *programs: Program) -> Supervisor:
    supervisor = Supervisor(folder, folder / "c", programs, dict(os.environ), keep_open=lock)
    supervisor.start()
    return supervisor


def test_a_program_gets_its_environment_from_its_file_and_not_from_its_command_line(folder: Path, lock: int) -> None:
    secrets = folder / "secrets.json"
    secrets.write_text(json.dumps({"SECRET": "50% of; #nothing"}))
    tell = python(
        folder, "import os, pathlib, time", "pathlib.Path('told').write_text(os.environ['SECRET'])", "time.sleep(600)"
    )
    supervisor = supervise(folder, lock, Program("teller", tell, folder, group="one", environment_file=secrets))
    try:
        supervisor.start_program("teller")
        told = folder / "told"
        supervisor.wait_until(["teller"], lambda: told.exists() and told.read_text() != "", seconds=30)
        assert told.read_text() == "50% of; #nothing"
    finally:
        supervisor.stop()
    assert "nothing" not in (folder / "supervisord.conf").read_text()
    assert (folder / "supervisord.conf").stat().st_mode & 0o077 == 0


def test_a_program_that_dies_at_its_start_shows_the_end_of_its_log(folder: Path, lock: int) -> None:
    supervisor = supervise(
        folder, lock, Program("broken", python(folder, "raise SystemExit('no such port')"), folder, "one")
    )
    try:
        supervisor.start_program("broken")
        with pytest.raises(Stop, match=r"(?s)broken has ended.*broken\.log:.*no such port"):
            supervisor.wait_until(["broken"], lambda: False, seconds=30)
    finally:
        supervisor.stop()


def test_a_command_that_does_not_exist_is_told(folder: Path, lock: int) -> None:
    supervisor = supervise(folder, lock, Program("nothing", ["/nowhere/at/all"], folder, group="one"))
    try:
        supervisor.start_program("nothing")
        with pytest.raises(Stop, match="/nowhere/at/all cannot be started"):
            supervisor.wait_until(["nothing"], lambda: False, seconds=30)
    finally:
        supervisor.stop()


def test_a_job_runs_to_its_end_and_its_failure_is_told(folder: Path, lock: int) -> None:
    good = Program("good", python(folder, "open('done', 'w').close()"), folder, group="jobs", once=True)
    bad = Program("bad", python(folder, "raise SystemExit(3)"), folder, group="jobs", once=True)
    supervisor = supervise(folder, lock, good, bad)
    try:
        supervisor.run_to_its_end("good", seconds=30)
        assert (folder / "done").exists()
        with pytest.raises(Stop, match="bad failed with exit code 3"):
            supervisor.run_to_its_end("bad", seconds=30)
    finally:
        supervisor.stop()


def test_a_killed_program_is_started_again(folder: Path, lock: int) -> None:
    # The stubborn are waited for; how they end is seen below.
    family = Program("family", [*python(folder, FAMILY), "family", "mild"], folder, group="one")
    supervisor = supervise(folder, lock, family)
    try:
        supervisor.start_program("family")
        first = processes_of(folder)
        # Until then supervisord takes an end for a failed start.
        wait_for(lambda: supervisor.is_running("family"))
        first[0].kill()
        ended(first)
        assert processes_of(folder)[0] != first[0]
    finally:
        supervisor.stop()


def test_groups_stop_in_the_reverse_order_of_their_start(folder: Path, lock: int) -> None:
    def program(name: str) -> Program:
        lines = (
            "import pathlib, signal, sys, time",
            "def stop(*_):",
            f"    open('order', 'a').write('{name} ')",
            "    sys.exit(0)",
            "signal.signal(signal.SIGTERM, stop)",
            f"pathlib.Path('{name}').touch()",
            "time.sleep(600)",
        )
        return Program(name, python(folder, *lines), folder, group=name)

    supervisor = supervise(folder, lock, program("database"), program("venue"), program("airflow"))
    try:
        for name in ("database", "venue", "airflow"):
            supervisor.start_program(name)
            supervisor.wait_until([name], (folder / name).exists, seconds=30)
    finally:
        supervisor.stop()
    assert (folder / "order").read_text().split() == ["airflow", "venue", "database"]


@pytest.mark.parametrize("victim", ["holder", "guard of supervisord", "supervisord", "guard of the program"])
def test_kill_9_anywhere_leaves_no_process(folder: Path, victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), python(folder, FAMILY)[1]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "started\n"
        family = processes_of(folder)
        tree = psutil.Process(holder.pid).children(recursive=True)
        assert set(family) <= set(tree)
        by_name = {
            "holder": psutil.Process(holder.pid),
            "guard of supervisord": tree[0],
            "supervisord": tree[0].children()[0],
            "guard of the program": family[0].parent(),
        }
        killed = by_name[victim]
        assert killed is not None
        killed.send_signal(signal.SIGKILL)
        if victim == "guard of the program":
            # supervisord starts the program again under a new guard; the old one is gone all the same.
            assert holder.stdin is not None
            holder.stdin.close()
        ended([*tree, *family])


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the family: its head, the child, the independent one."""
    file = folder / "family"
    wait_for(file.exists)
    found = [psutil.Process(int(number)) for number in file.read_text().split()]
    file.unlink()
    return found
