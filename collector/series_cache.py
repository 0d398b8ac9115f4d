"""The ids of series on disk, for a start while the database is away."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from psycopg2.extensions import parse_dsn

from tapekeeper.store.option_series import OptionSeries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME: Final = "series.json"

log = logging.getLogger(__name__)


class SeriesCache:
    """Remembers the ids of every instrument that was followed; those of another database are not ours."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self._path = directory / FILE_NAME
        parts = parse_dsn(database_url)
        self._database = " ".join(str(parts.get(name, "")) for name in ("host", "port", "dbname"))
        self._series = self._read()

    def get(self, name: str) -> OptionSeries | None:
        """Return the ids of an instrument, or None where they were never told."""
        return self._series.get(name)

    def __bool__(self) -> bool:
        return bool(self._series)

    def keep(self, series: Mapping[str, OptionSeries]) -> None:
        """Remember these as well; a disk that takes nothing costs a log line."""
        if series.items() <= self._series.items():
            return
        self._series |= series
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"database": self._database, "series": self._series}), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            log.warning("the ids of series could not be kept: %s", error)

    def _read(self) -> dict[str, OptionSeries]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["database"] != self._database:
                return {}
            return {name: OptionSeries(*map(int, ids)) for name, ids in content["series"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
