"""Recorded answers of the venues, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

# Taken out of the environment: it is no setting of tapekeeper, whose programs refuse names that they do not know.
FOLDER: Final = os.environ.pop("TAPEKEEPER_PAYLOADS", None)


def recorded(name: str) -> Path:
    """Return the path of a recording, or skip the test where there are none."""
    if FOLDER is None:
        pytest.skip("no recorded answers: set TAPEKEEPER_PAYLOADS to the folder that holds them")
    return Path(FOLDER) / name
