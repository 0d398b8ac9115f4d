"""Runs the programs of the demo under supervisord: in order, watched, restarted when they die, and gone when we are.

supervisord is a child of this process, and each program is a child of supervisord, both under a guard (see `guard`):
when this process or supervisord is killed, even by kill -9, the programs end too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from xmlrpc.client import Error, Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from tapekeeper.errors import Stop
from tapekeeper.local.guard import LEFT_OVER_GRACE_SECONDS, guarded
from tapekeeper.local.private_files import private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ANSWER_SECONDS: Final = 20.0
"""How long supervisord itself may take to start."""
LOG_LINES_SHOWN: Final = 15
_PAUSE_SECONDS: Final = 0.1
_SHUTDOWN_SECONDS: Final = 180
_GIVEN_UP: Final = frozenset({"FATAL", "STOPPED"})
_ENDED: Final = _GIVEN_UP | {"BACKOFF", "EXITED"}


@dataclass(frozen=True, slots=True)
class Program:
    """One program: what to run and how to end it."""

    name: str
    """Also the name of its log file."""
    command: Sequence[str]
    directory: Path
    group: str
    """Programs of one group are stopped together, groups in the reverse order of their appearance."""
    environment_file: Path | None = None
    """JSON of its own environment variables, secrets among them."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: int = 20
    """How long it may take to stop before it is killed."""
    user: str | None = None
    once: bool = False
    """Whether it does one job and ends, like a migration."""


class Supervisor:
    """supervisord and its programs.

    Args:
        folder: holds the configuration and `logs/`.
        control: a private folder with a short path for the control socket: its address may have 107 characters at most.
        programs: in the order of start.
        environment: of supervisord and of every program.
        keep_open: a file that supervisord keeps open as long as it lives, such as a lock.
    """

    def __init__(
        self,
        folder: Path,
        control: Path,
        programs: Sequence[Program],
        environment: Mapping[str, str],
        keep_open: int,
    ) -> None:
        self.logs = private_folder(folder / "logs")
        self._configuration = folder / "supervisord.conf"
        self._control = private_folder(control)
        self._socket = self._control / "supervisord.sock"
        self._programs = {program.name: program for program in programs}
        self._environment = dict(environment)
        self._keep_open = keep_open
        self._transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        self._remote = ServerProxy(f"http://{self._socket.name}", transport=self._transport)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start supervisord, without any program yet.

        Raises:
            Stop: it does not answer.
        """
        write_private(self._configuration, self._configuration_text())
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self._configuration)]
        with (self.logs / "supervisord.output.log").open("ab") as output:
            self._process = subprocess.Popen(
                guarded(command, grace_seconds=_SHUTDOWN_SECONDS, parent=os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self._control,
                pass_fds=[self._keep_open],
                # Ctrl-C in a terminal is for us alone: we stop the programs in their order.
                start_new_session=True,
            )
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Stop(self._with_log("the process manager supervisord does not answer", "supervisord.output"))
            time.sleep(_PAUSE_SECONDS)

    def stop(self) -> None:
        """Stop every program and supervisord, and wait until they are gone; twice is once."""
        if self._process is not None:
            self._process.terminate()
            while self._process.poll() is None:
                # It looks after ended programs once a second, and at once after a question.
                self._answers()
                time.sleep(_PAUSE_SECONDS)
            self._transport.close()
            self._process = None
            shutil.rmtree(self._control, ignore_errors=True)

    def start_program(self, name: str) -> None:
        """Start a program.

        Raises:
            Stop: it cannot be started.
        """
        try:
            self._remote.supervisor.startProcess(self._full_name(name), False)
        except (Fault, OSError, HTTPException) as error:
            raise Stop(self._with_log(f"{name} cannot be started ({error})", name)) from None

    def wait_until(self, names: Sequence[str], ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until started programs are ready together.

        Raises:
            Stop: one of them ended, or they were not ready in time; the message shows the end of a log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self._refuse(names, _ENDED)
            if time.monotonic() > deadline:
                raise Stop(self._with_log(f"{', '.join(names)}: not ready after {seconds:.0f} seconds", names[0]))
            time.sleep(_PAUSE_SECONDS)

    def check(self, names: Sequence[str]) -> None:
        """Check that programs run, or are being started again.

        Raises:
            Stop: one of them died again and again; the message shows the end of its log.
        """
        self._refuse(names, _GIVEN_UP)

    def is_running(self, name: str) -> bool:
        """Tell whether a program has been up long enough to be started again when it dies."""
        return self._state(name)[0] == "RUNNING"

    def run_to_its_end(self, name: str, *, seconds: float) -> None:
        """Start a program that does one job, and wait for its end.

        Raises:
            Stop: it failed, or took longer; the message shows the end of its log.
        """
        self.start_program(name)
        deadline = time.monotonic() + seconds
        while (found := self._state(name))[0] not in _ENDED:
            if time.monotonic() > deadline:
                raise Stop(self._with_log(f"{name} has not ended after {seconds:.0f} seconds", name))
            time.sleep(_PAUSE_SECONDS)
        if found != ("EXITED", 0):
            raise Stop(self._with_log(f"{name} failed with exit code {found[1]}", name))

    def wait(self) -> None:
        """Wait as long as supervisord lives.

        Raises:
            Stop: it ended by itself.
        """
        if self._process is not None:
            self._process.wait()
            raise Stop(self._with_log("the process manager supervisord was ended", "supervisord"))

    def log_file(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self.logs / f"{name}.log"

    def _refuse(self, names: Sequence[str], states: frozenset[str]) -> None:
        for name in names:
            state, exit_code = self._state(name)
            if state in states:
                raise Stop(self._with_log(f"{name} has ended with exit code {exit_code}", name))

    def _answers(self) -> bool:
        try:
            self._remote.supervisor.getState()
        except (OSError, HTTPException, Error):
            self._transport.close()
            return False
        return True

    def _state(self, name: str) -> tuple[str, int]:
        try:
            found = self._remote.supervisor.getProcessInfo(self._full_name(name))
        except (Fault, OSError, HTTPException) as error:
            raise Stop(self._with_log(f"the process manager supervisord is gone ({error})", "supervisord")) from None
        if not isinstance(found, dict):
            raise Stop(f"supervisord answered {found!r} about {name}")
        return str(found["statename"]), int(found["exitstatus"])

    def _full_name(self, name: str) -> str:
        return f"{self._programs[name].group}:{name}"

    def _with_log(self, sentence: str, name: str) -> str:
        log = self.log_file(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        return "\n".join([f"{sentence}; the end of {log}:", *lines[-LOG_LINES_SHOWN:]])

    def _configuration_text(self) -> str:
        own = {
            "logfile": self.log_file("supervisord"),
            "logfile_maxbytes": "10MB",
            "logfile_backups": 1,
            "pidfile": self._control / "supervisord.pid",
            "directory": self._control,
            "childlogdir": self.logs,
        }
        if os.geteuid() == 0:
            own["user"] = "root"
        factory = "supervisor.rpcinterface:make_main_rpcinterface"
        sections = [
            _section("supervisord", own),
            _section("unix_http_server", {"file": self._socket, "chmod": "0600"}),
            _section("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory}),
        ]
        sections += [_section(f"program:{name}", self._entry(program)) for name, program in self._programs.items()]
        groups = list(dict.fromkeys(program.group for program in self._programs.values()))
        for priority, group in enumerate(groups):
            names = ",".join(name for name, program in self._programs.items() if program.group == group)
            sections.append(_section(f"group:{group}", {"programs": names, "priority": priority}))
        return "\n".join(sections)

    def _entry(self, program: Program) -> dict[str, object]:
        command = guarded(
            list(program.command),
            stop_signal=program.stop_signal,
            grace_seconds=program.grace_seconds,
            user=program.user,
            environment_file=program.environment_file,
        )
        return {
            "command": shlex.join(command),
            "directory": program.directory,
            "autostart": "false",
            "autorestart": "false" if program.once else "unexpected",
            "startsecs": 0 if program.once else 3,
            "stopsignal": "TERM",
            # The guard does the waiting and the killing; supervisord's own kill is only the last resort.
            "stopwaitsecs": int(program.grace_seconds + LEFT_OVER_GRACE_SECONDS + 5),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": self.log_file(program.name),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 2,
        }


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
