"""Files and folders that only one user may read: state, passwords, keys."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from tapekeeper.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path


def short_mark(path: Path) -> str:
    """Return a short name for a path: the same for the same user and path, and different for all others."""
    return hashlib.sha256(f"{os.geteuid()}:{path.resolve()}".encode(errors="surrogateescape")).hexdigest()[:12]


def private_folder(path: Path, *, owner: int | None = None) -> Path:
    """Make a folder of mode 700, or check that an existing one is ours, and return it.

    `owner` is the user id that it has to belong to, by default that of this process. The check matters in folders where
    everybody may write: a name that somebody else has taken beforehand is refused, not used.

    Raises:
        ConfigInvalid: the folder cannot be made, or belongs to somebody else.
    """
    wanted = os.geteuid() if owner is None else owner
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
            os.chown(path, wanted, -1)
        except FileExistsError:
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted:
                raise ConfigInvalid(f"{path} belongs to somebody else or is no folder: move it away") from None
        path.chmod(0o700)
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be made ({error.strerror}): the folder above must be writable") from None
    return path


def write_private(path: Path, text: str, *, owner: int | None = None) -> None:
    """Write a file of mode 600, whole or not at all.

    Raises:
        ConfigInvalid: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            file.write(text)
        if owner is not None:
            os.chown(draft, owner, -1)
        draft.replace(path)
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be written ({error.strerror})") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds, or nothing where there is none.

    Raises:
        ConfigInvalid: the file is there but is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{path} cannot be read ({error}): move it away") from None
    if not isinstance(found, dict):
        raise ConfigInvalid(f"{path} holds no JSON object: move it away")
    return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, 0o600)
