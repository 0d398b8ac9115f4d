"""Runs one command and leaves nothing behind: `python -m tapekeeper.local.guard [options] -- command ...`.

A guard ends its command when it is told to (SIGTERM) and when its own parent dies, even by kill -9. Whatever the
command has started is adopted by the guard and ended too: worker processes, and those that made themselves independent.
The two kernel features behind this (PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER, prctl(2)) are Linux's; elsewhere a
guard still passes on its signals and ends the command's children, but cannot notice the sudden death of its parent.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pwd
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import psutil

if TYPE_CHECKING:
    from types import FrameType

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
LEFT_OVER_GRACE_SECONDS: Final = 3.0
"""How long what the command left behind may take to end before it is killed."""


def guarded(
    command: list[str],
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    grace_seconds: int = 20,
    user: str | None = None,
    environment_file: Path | None = None,
    parent: int | None = None,
) -> list[str]:
    """Return the command line that runs `command` under a guard.

    Args:
        command: the program and its arguments.
        stop_signal: what the command gets when the guard is told to stop.
        grace_seconds: how long it may take then, before it is killed.
        user: the user to run it as, with an empty environment; only root can ask for one.
        environment_file: JSON of more environment variables: secrets have no place in a command line.
        parent: the process that starts the guard, where known: the guard ends at once when that is gone already.
    """
    options = ["--stop-signal", stop_signal.name, "--grace-seconds", str(grace_seconds)]
    options += ["--user", user] if user else []
    options += ["--environment-file", str(environment_file)] if environment_file else []
    options += ["--parent", str(parent)] if parent else []
    # -P: nothing is imported from the folder it is started in.
    return [sys.executable, "-P", "-m", "tapekeeper.local.guard", *options, "--", *command]


def main() -> NoReturn:
    """Run the command of the command line and exit as it did; 128 + n when signal n ended it."""
    options = _parse(sys.argv[1:])
    _process_control(PR_SET_CHILD_SUBREAPER, 1)
    _process_control(PR_SET_PDEATHSIG, signal.SIGTERM)
    if options.parent is not None and os.getppid() != options.parent:
        sys.exit("the process that started this guard is gone")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        _become(options)
    _pass_on_signals(child, options.stop_signal, options.grace_seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    status = _wait_for(child)
    _end_descendants()
    sys.exit(status if status >= 0 else 128 - status)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tapekeeper.local.guard")
    parser.add_argument("--stop-signal", type=lambda name: signal.Signals[name], default=signal.SIGTERM)
    parser.add_argument("--grace-seconds", type=int, default=20)
    parser.add_argument("--user")
    parser.add_argument("--environment-file", type=Path)
    parser.add_argument("--parent", type=int)
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


def _process_control(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")


def _become(options: argparse.Namespace) -> NoReturn:
    """Turn the forked process into the command; an own process that outlives the fork would be a second guard."""
    try:
        # Another user could read what our own environment holds.
        environment = {"PATH": os.defpath} if options.user else dict(os.environ)
        if options.environment_file:
            environment |= json.loads(options.environment_file.read_text(encoding="utf-8"))
        if options.user:
            account = pwd.getpwnam(options.user)
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        # After the change of user, which clears it.
        _process_control(PR_SET_PDEATHSIG, options.stop_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.execvpe(options.command[0], options.command, environment)  # noqa: S606 - the point of this module
    except OSError as error:
        print(f"{options.command[0]} cannot be started: {error}", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        os._exit(127)


def _pass_on_signals(child: int, stop_signal: signal.Signals, grace_seconds: int) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.alarm(grace_seconds)
        os.kill(child, stop_signal)

    def kill(_number: int, _frame: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)

    def stay(_number: int, _frame: FrameType | None) -> None:
        """A terminal tells the whole group; the command gets its own copy, and its guard waits for it."""

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGINT, stay)
    signal.signal(signal.SIGHUP, stay)


def _wait_for(child: int) -> int:
    """Wait for the command, burying what it orphaned meanwhile; returns its exit code, or -n for signal n."""
    while True:
        process, status = os.wait()
        if process == child:
            # From here on a signal would hit a process id that is free for others.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.alarm(0)
            return os.waitstatus_to_exitcode(status)


def _end_descendants() -> None:
    deadline = time.monotonic() + LEFT_OVER_GRACE_SECONDS
    for process in _descendants():
        _send(process, signal.SIGTERM)
    while left := _descendants():
        if time.monotonic() > deadline:
            for process in left:
                _send(process, signal.SIGKILL)
        time.sleep(0.02)


def _descendants() -> list[psutil.Process]:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return []
    return psutil.Process().children(recursive=True)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    main()
