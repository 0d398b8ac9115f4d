"""Faults on demand: what goes wrong, how often, for whom and when; the same seed gives the same faults."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulator.archive_faults import (
    ArchiveAlteredRows,
    ArchiveHeader,
    ArchiveLeftOutRows,
    ArchiveMissingFile,
    ArchiveTruncated,
    ArchiveWrongChecksum,
)
from simulator.data_faults import (
    BadCandle,
    DuplicatedRows,
    ExclusiveStart,
    LeftOutCandles,
    LeftOutRows,
    MissingMinutes,
    MissingTrades,
    NoData,
    OmittedPeriods,
    PriceJump,
    RetoldTrades,
    StopData,
    WrongVolume,
    WrongWindow,
)
from simulator.errors import ControlError
from simulator.fault_basics import Fault, Fraction, RequestFault, Seconds
from simulator.frame_faults import (
    VenueRestart,
    WsCut,
    WsDelay,
    WsDrop,
    WsDuplicate,
    WsHuge,
    WsMalformed,
    WsReorder,
    WsSequenceBreak,
    WsStall,
)


class TooManyRequests(RequestFault):
    """Refused as the service refuses: Deribit with error 10028 and a closed connection, the others with 429 or 418."""

    kind: Literal["too_many_requests"]
    status: Literal[400, 418, 429] | None = None
    """Without it, Deribit takes 429 and 400 in turn, the others 429; a 418 of Binance begins a ban."""
    retry_after: Seconds = 1.0
    """What the others ask to wait, in seconds, and how long a ban takes."""


class ServerError(RequestFault):
    """An HTML page with a 5xx status, as a proxy in front of the venue sends it."""

    kind: Literal["server_error"]
    status: Literal[500, 502, 503, 504, 520] = 502


class Settlement(RequestFault):
    """Error 10041."""

    kind: Literal["settlement"]
    service: Literal["deribit"] = "deribit"


class Maintenance(RequestFault):
    """Error 11051."""

    kind: Literal["maintenance"]
    service: Literal["deribit"] = "deribit"


class Slow(RequestFault):
    """The answer comes late."""

    kind: Literal["slow"]
    seconds: Seconds = 2.0


class Cut(RequestFault):
    """The connection breaks, before the answer or in the middle of its body."""

    kind: Literal["cut"]
    where: Literal["before", "middle"] = "before"


class Truncated(RequestFault):
    """Half of the JSON, with a Content-Length that says it is all."""

    kind: Literal["truncated"]


class Malformed(RequestFault):
    """A body that is no JSON at all, under the content type of JSON."""

    kind: Literal["malformed"]


class NumberForms(RequestFault):
    """The same numbers in other words: 2200.0 becomes 2200 or 2.2e3."""

    kind: Literal["number_forms"]


class ClockSkew(RequestFault):
    """The venue's clock, in get_time and in usIn and usOut, is ahead by so many milliseconds."""

    kind: Literal["clock_skew"]
    skew: int


class LostChannels(RequestFault):
    """A subscription leaves out some channels without a word."""

    kind: Literal["lost_channels"]
    fraction: Fraction = 0.5

    def concerns(self, method: str, instrument: str | None) -> bool:
        """Return whether it is a subscription."""
        return method == "public/subscribe" and super().concerns(method, instrument)


AnyFault: TypeAlias = Annotated[
    TooManyRequests
    | ServerError
    | Settlement
    | Maintenance
    | Slow
    | Cut
    | Truncated
    | Malformed
    | WrongWindow
    | NoData
    | BadCandle
    | LeftOutCandles
    | LeftOutRows
    | OmittedPeriods
    | WrongVolume
    | PriceJump
    | DuplicatedRows
    | NumberForms
    | ExclusiveStart
    | ClockSkew
    | LostChannels
    | MissingMinutes
    | MissingTrades
    | RetoldTrades
    | StopData
    | ArchiveMissingFile
    | ArchiveWrongChecksum
    | ArchiveTruncated
    | ArchiveHeader
    | ArchiveLeftOutRows
    | ArchiveAlteredRows
    | WsCut
    | WsStall
    | WsDrop
    | WsDuplicate
    | WsReorder
    | WsDelay
    | WsMalformed
    | WsHuge
    | WsSequenceBreak
    | VenueRestart,
    Field(discriminator="kind"),
]


class FaultDocument(BaseModel):
    """What a faults file and `POST /control/faults` hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    faults: tuple[AnyFault, ...]


_DOCUMENT = TypeAdapter(FaultDocument)


def parse_faults(text: bytes) -> tuple[Fault, ...]:
    """Return the faults of a JSON document `{"faults": [...]}`.

    Raises:
        ControlError: it is none, or a fault is wrong; the message says where and what is allowed.
    """
    try:
        return _DOCUMENT.validate_json(text).faults
    except ValidationError as error:
        problems = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        raise ControlError(f'not a document {{"faults": [...]}}: {"; ".join(problems)}') from None
