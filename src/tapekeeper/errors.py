"""Errors, named by what to do about them.

    TapekeeperError
    ├── RetryLater(after_seconds)      nothing is wrong with the request: ask again
    │   ├── RateLimited                the venue or our own budget says: slower
    │   ├── VenueUnavailable           the venue answers, but cannot serve now
    │   ├── NetworkFailure             no answer, or half of one
    │   └── DatabaseUnavailable        PostgreSQL cannot be reached, or is starting or stopping
    ├── BadData                        the answer cannot be believed: quarantine, count, ask again a few times
    │   ├── ParseFailure               not JSON, or not of the documented shape
    │   ├── WindowMismatch             rows of another window than the one asked for
    │   ├── InvariantBroken            a row that contradicts itself, such as high < low
    │   └── ArchiveDefect              a file of an archive that is not what its checksum says, or cannot be read
    │       └── FileAbsent             the archive has no such file, or not yet
    └── Stop                           a person has to change something first
        ├── ConfigInvalid              a setting or a parameter is wrong
        ├── RequestRejected            the venue refuses this request for good
        ├── AuthRejected               the venue or the database refuses us
        │   └── KeyMissing             the venue wants a key, and none is set
        ├── SchemaTooOld               the database needs `tapekeeper migrate`
        └── StorageFull                the database, or the folder for fetched files, has no room left

A message says what is wrong, with which value, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class TapekeeperError(Exception):
    """The base of all errors that tapekeeper raises on purpose."""


class RetryLater(TapekeeperError):
    """Nothing is wrong with the request; ask again after `after_seconds`."""

    def __init__(self, message: str, *, after_seconds: float) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class RateLimited(RetryLater):
    """The venue, or our own rate budget, asks for a slower pace."""


class VenueUnavailable(RetryLater):
    """The venue answers but cannot serve: 5xx, settlement, maintenance."""


class NetworkFailure(RetryLater):
    """There was no answer, or only a part of one."""


class DatabaseUnavailable(RetryLater):
    """PostgreSQL cannot be reached, or is starting or stopping."""


class BadData(TapekeeperError):
    """An answer that cannot be believed."""


class ParseFailure(BadData):
    """An answer that is not JSON, or not of the documented shape."""


class WindowMismatch(BadData):
    """An answer that speaks of another window than the one asked for."""


class InvariantBroken(BadData):
    """A row that contradicts itself, such as a high below its low."""


class ArchiveDefect(BadData):
    """A file of an archive that is not there, is not what its checksum says, or cannot be read."""

    def __init__(self, message: str, *, evidence: Mapping[str, object]) -> None:
        """`evidence` is kept with the gap: the file, what its checksum says, and what came."""
        super().__init__(message)
        self.evidence = evidence


class FileAbsent(ArchiveDefect):
    """A file of an archive, or its checksum, that is not there; it may come later."""


class Stop(TapekeeperError):
    """A person has to change something before it makes sense to go on."""


class ConfigInvalid(Stop):
    """A setting or a parameter is wrong; the message names it and what is allowed."""


class RequestRejected(Stop):
    """The venue refuses this request, and would refuse it again."""


class AuthRejected(Stop):
    """The venue or the database refuses who we say we are."""


class KeyMissing(AuthRejected):
    """The venue answers nobody without a key, and none is set: it was not asked."""


class SchemaTooOld(Stop):
    """The database lacks migrations; run `tapekeeper migrate`."""


class StorageFull(Stop):
    """The database, or the folder for fetched files, has no room left; nothing that was committed is lost."""
