"""Files as they are published: zipped, always the same bytes for the same rows, with the checksum of what they hold."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import Final

from simulator.archive_faults import (
    ArchiveAlteredRows,
    ArchiveFact,
    ArchiveHeader,
    ArchiveMissingFile,
    ArchiveTruncated,
    ArchiveWrongChecksum,
)
from simulator.binance_archive.files import ArchiveFile, ArchiveTerms
from simulator.binance_archive.tables import HEADERS, Making, stretches
from simulator.binance_um.request import UmRequest
from simulator.fault_basics import StandingFact
from simulator.recent import Recent

_BYTES_KEPT: Final = 256_000_000
_FASTEST: Final = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """A file and the checksum that is published beside it."""

    body: bytes
    checksum: str


class Shelf:
    """The files of the archive, made when they are first asked for."""

    def __init__(self, terms: ArchiveTerms) -> None:
        self._terms = terms
        self._lock = asyncio.Lock()
        self._packed: Recent[object, Packed] = Recent(_BYTES_KEPT, lambda packed: len(packed.body))

    async def find(self, file: ArchiveFile, request: UmRequest) -> Packed | None:
        """Return the file as it is published now, or None where there is none."""
        contract = request.data.contracts.find(file.symbol, request.now)
        if contract is None or not file.is_published(contract, self._terms, request.now):
            return None
        facts = [
            one for one in _facts(file, request) if not isinstance(one, ArchiveAlteredRows) or one.is_due(request.now)
        ]
        if any(isinstance(one, ArchiveMissingFile) for one in facts):
            return None
        key = (file.name, file.period, tuple(one.model_dump_json() for one in facts))
        async with self._lock:
            packed = self._packed.held(key)
            if packed is None:
                made = await self._pack(Making(request, file, contract), facts)
                packed = self._packed.get(key, lambda: made)
        return packed

    async def _pack(self, making: Making, facts: list[StandingFact]) -> Packed:
        file, buffer = making.file, io.BytesIO()
        has_header = file.has_header(self._terms)
        for fact in facts:
            if isinstance(fact, ArchiveHeader):
                has_header = fact.present
        # An entry that is opened by its name is dated 1980-01-01, whenever it is made.
        with (
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_FASTEST) as archive,
            archive.open(f"{file.name}.csv", "w", force_zip64=True) as table,
        ):
            if has_header:
                table.write(HEADERS[file.dataset])
            for lines in stretches(making):
                table.write(lines)
                await asyncio.sleep(0)
        return _published(buffer.getvalue(), facts)


def _facts(file: ArchiveFile, request: UmRequest) -> list[StandingFact]:
    """Return the facts that a file depends on."""
    standing = [one for one in request.conditions.faults if isinstance(one, StandingFact)]
    return [
        one
        for one in standing
        if (
            one.is_about_file(file.symbol, file.dataset, file.period, file.date)
            if isinstance(one, ArchiveFact)
            else one.is_about(file.symbol)
        )
    ]


def _published(body: bytes, facts: list[StandingFact]) -> Packed:
    checksum = hashlib.sha256(body).hexdigest()
    for fact in facts:
        match fact:
            case ArchiveTruncated():
                body = body[: len(body) // 2]
                checksum = hashlib.sha256(body).hexdigest() if fact.checksum_fits else checksum
            case ArchiveWrongChecksum():
                checksum = hashlib.sha256(checksum.encode()).hexdigest()
    return Packed(body, checksum)
