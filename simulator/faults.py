"""Faults on demand: what goes wrong, how often, for whom and when; the same seed gives the same faults."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulator.errors import ControlError
from simulator.fault_basics import ChanceFault, Fault, Fraction, Moment, Seconds
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
from simulator.moments import DAY


class RequestFault(ChanceFault):
    """Befalls requests: some or all of them."""

    method: str | None = None
    """Only this method, with or without `public/`."""
    from_request: Annotated[int, Field(ge=1)] = 1
    to_request: Annotated[int, Field(ge=1)] | None = None
    """Included."""

    def counts(self) -> tuple[int, int | None]:
        """Return the first and the last request that it can befall."""
        return self.from_request, self.to_request

    def concerns(self, method: str, instrument: str | None) -> bool:
        """Return whether a request for this method and instrument is meant."""
        method_matches = self.method is None or self.method.removeprefix("public/") == method.removeprefix("public/")
        return method_matches and self.instrument in (None, instrument)


class TooManyRequests(RequestFault):
    """Error 10028, then the connection is closed."""

    kind: Literal["too_many_requests"]
    status: Literal[400, 429] | None = None
    """Without it, in turn."""


class ServerError(RequestFault):
    """An HTML page with a 5xx status, as a proxy in front of the venue sends it."""

    kind: Literal["server_error"]
    status: Literal[500, 502, 503, 504, 520] = 502


class Settlement(RequestFault):
    """Error 10041."""

    kind: Literal["settlement"]


class Maintenance(RequestFault):
    """Error 11051."""

    kind: Literal["maintenance"]


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


class WrongWindow(RequestFault):
    """Candles or trades of another window than the one asked for."""

    kind: Literal["wrong_window"]
    shift: int = -DAY
    """In milliseconds."""


class NoData(RequestFault):
    """Status no_data and empty arrays, where there are candles."""

    kind: Literal["no_data"]


class BadCandle(RequestFault):
    """Candles that cannot be believed: those listed, a fraction of them, or without either the middle one."""

    kind: Literal["bad_candle"]
    mode: Literal["high_below_low", "null", "nan", "text"] = "high_below_low"
    open_times: tuple[Moment, ...] = ()
    fraction: Fraction | None = None


class NumberForms(RequestFault):
    """The same numbers in other words: 2200.0 becomes 2200 or 2.2e3."""

    kind: Literal["number_forms"]


class ExclusiveStart(RequestFault):
    """A start exactly on a candle leaves that candle out."""

    kind: Literal["exclusive_start"]


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


class StandingFact(Fault):
    """What is so of the data themselves, the truth included; it has no chance and no time limit."""

    def is_about(self, instrument: str) -> bool:
        """Return whether it is about this instrument."""
        return self.instrument in (None, instrument)


class MissingMinutes(StandingFact):
    """True holes: minutes that the venue does not have; those listed and a fraction of all.

    A longer candle is missing where all of its minutes are.
    """

    kind: Literal["missing_minutes"]
    open_times: tuple[Moment, ...] = ()
    fraction: Fraction = 0.0
    start: Moment = 0
    end: Moment | None = None
    """The fraction counts inside `[start, end)`."""


class StopData(StandingFact):
    """The venue makes no candle and no trade from this moment on."""

    kind: Literal["stop_data"]
    at: Moment


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
    | NumberForms
    | ExclusiveStart
    | ClockSkew
    | LostChannels
    | MissingMinutes
    | StopData
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
