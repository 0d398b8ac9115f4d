"""One installation at a time in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekeeper.errors import Stop
from tapekeeper.local import lock

if TYPE_CHECKING:
    from pathlib import Path

# Takes the lock, hands it to a child that ends with standard input, and dies by kill -9.
KILLED_HOLDER = """
import os, pathlib, signal, subprocess, sys
from tapekeeper.local import lock
with lock.held(pathlib.Path(sys.argv[1]), waiting=lambda: None) as descriptor:
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], pass_fds=[descriptor])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with lock.held(file, waiting=lambda: None):
        refused = lock.held(file, waiting=lambda: pytest.fail("there is nothing to wait for"))
        with pytest.raises(Stop, match=rf"process {os.getpid()} .*stop that one first"), refused:
            pass
    with lock.held(file, waiting=lambda: pytest.fail("it is free again")):
        assert file.read_text() == str(os.getpid())


def test_after_a_killed_holder_the_end_of_its_programs_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", KILLED_HOLDER, str(file)], stdin=subprocess.PIPE) as holder:
        holder.wait()
        assert holder.stdin is not None
        # The killed holder's child lives until its input ends, which happens only when we are told to wait.
        with lock.held(file, waiting=holder.stdin.close):
            assert holder.stdin.closed
