"""Deletes the data of `make demo` and `make up`: `python -m tapekeeper.local.clean .tapekeeper`."""

from __future__ import annotations

import sys
from pathlib import Path

from tapekeeper.errors import TapekeeperError
from tapekeeper.local import lock
from tapekeeper.local.postgresql import remove_data


def clean(folder: Path) -> None:
    """Delete what lies outside the folder of all installations; the folder itself is the caller's to delete.

    Raises:
        Stop: one of them is running.
    """
    for installation in sorted(entry for entry in folder.iterdir() if (entry / "postgresql").is_dir()):
        with lock.held(installation / "lock", waiting=lambda: None):
            remove_data(installation / "postgresql")


if __name__ == "__main__":
    try:
        clean(Path(sys.argv[1]))
    except TapekeeperError as error:
        sys.exit(f"error: {error}")
