"""Reads the archive of Binance without HTTP."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import zipfile
from typing import Any

import orjson

from simulator.binance_archive.files import ArchiveTerms, file_of
from simulator.binance_archive.shelf import Packed, Shelf
from simulator.binance_um.request import UmRequest
from simulator.conditions import Conditions
from simulator.faults import parse_faults
from tests.unit.simulator.binance import Binance
from tests.unit.simulator.venue import NOW, SEED


class Reader:
    """Reads files of a shelf, and tells their rows."""

    def __init__(self) -> None:
        self.binance = Binance()
        self.shelf = Shelf(ArchiveTerms())

    def packed(self, path: str, *, now: int = NOW, faults: list[dict[str, Any]] | None = None) -> Packed | None:
        """Return the file that a path names, as it is published."""
        file = file_of(path)
        if file is None:
            return None
        parsed = parse_faults(orjson.dumps({"faults": faults or []}))
        request = UmRequest(self.binance.data, {}, now, Conditions(SEED, parsed))
        return asyncio.run(self.shelf.find(file, request))

    def rows(self, path: str, *, now: int = NOW, faults: list[dict[str, Any]] | None = None) -> list[list[str]]:
        """Return the rows of a file whose checksum is right, a header included."""
        packed = self.packed(path, now=now, faults=faults)
        assert packed is not None
        assert hashlib.sha256(packed.body).hexdigest() == packed.checksum
        with zipfile.ZipFile(io.BytesIO(packed.body)) as archive:
            [name] = archive.namelist()
            assert name == f"{path.rpartition('/')[2].removesuffix('.zip')}.csv"
            return list(csv.reader(archive.read(name).decode().splitlines()))
