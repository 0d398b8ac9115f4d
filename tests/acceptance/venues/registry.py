"""All venues, found by their folders: a new one has no tests only until somebody runs them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tapekeeper.venues

if TYPE_CHECKING:
    from tests.acceptance.venues.subject import Subject, Venue

FOLDERS: Final = sorted(
    path.parent.name for path in Path(tapekeeper.venues.__path__[0]).glob("*/__init__.py") if path.is_file()
)
"""The names of the folders in `venues/`."""
UNKNOWN: Final = [name for name in FOLDERS if find_spec(f"tests.acceptance.venues.{name}") is None]
"""Those that the cases know nothing of."""
VENUES: Final[tuple[Venue, ...]] = tuple(
    import_module(f"tests.acceptance.venues.{name}").VENUE for name in FOLDERS if name not in UNKNOWN
)
SUBJECTS: Final[tuple[tuple[Venue, Subject], ...]] = tuple(
    (venue, subject) for venue in VENUES for subject in venue.subjects
)
