"""Faults on demand: what goes wrong, how often, for whom and when; the same seed gives the same faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulator.errors import ControlError
from simulator.hashing import uniform
from simulator.moments import DAY

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Moment = Annotated[int, Field(ge=0, description="milliseconds since 1970")]


class Fault(BaseModel):
    """What all faults share."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    instrument: str | None = None
    """Only this instrument."""


class RequestFault(Fault):
    """Befalls requests: some or all of them. Matching requests are counted from 1 since the fault was set."""

    method: str | None = None
    """Only this method, with or without `public/`."""
    probability: Fraction = 1.0
    burst: Annotated[int, Field(ge=1)] = 1
    """So many requests in a row share one throw of the dice: a storm."""
    from_request: Annotated[int, Field(ge=1)] = 1
    to_request: Annotated[int, Field(ge=1)] | None = None
    """Included."""
    from_second: Seconds = 0.0
    to_second: Seconds | None = None
    """Both since the fault was set."""

    def concerns(self, method: str, instrument: str | None) -> bool:
        """Return whether a request for this method and instrument is meant."""
        method_matches = self.method is None or self.method.removeprefix("public/") == method.removeprefix("public/")
        return method_matches and self.instrument in (None, instrument)

    def is_due(self, seed: int, position: int, request: int, seconds: float) -> bool:
        """Return whether it fires for the n-th matching request (from 1), `seconds` after it was set."""
        if request < self.from_request or (self.to_request is not None and request > self.to_request):
            return False
        if seconds < self.from_second or (self.to_second is not None and seconds > self.to_second):
            return False
        throw = (request - 1) // self.burst
        return self.probability >= 1.0 or uniform(seed, "fault", position, throw) < self.probability


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
    | MissingMinutes
    | StopData,
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


@dataclass(slots=True)
class _Set:
    """A fault since it was set."""

    fault: Fault
    at: float
    matching_requests: int = 0


class FaultPlan:
    """The faults that are set now; moments in seconds of any clock that never goes back."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._set: list[_Set] = []

    def replace(self, faults: Iterable[Fault], now: float) -> None:
        """Set these faults and no others; their requests and seconds count from `now`."""
        self._set = [_Set(fault, now) for fault in faults]

    def add(self, fault: Fault, now: float) -> None:
        """Set one more; the others go on as they were."""
        self._set.append(_Set(fault, now))

    def standing(self) -> tuple[StandingFact, ...]:
        """Return the facts about the data."""
        return tuple(one.fault for one in self._set if isinstance(one.fault, StandingFact))

    def fire(self, method: str, instrument: str | None, now: float) -> list[RequestFault]:
        """Return the faults that befall this request, and count it."""
        fired = []
        for position, one in enumerate(self._set):
            if isinstance(one.fault, RequestFault) and one.fault.concerns(method, instrument):
                one.matching_requests += 1
                if one.fault.is_due(self._seed, position, one.matching_requests, now - one.at):
                    fired.append(one.fault)
        return fired

    def as_json(self) -> dict[str, object]:
        """Return the document that would set the same faults."""
        return {"faults": [one.fault.model_dump(mode="json", exclude_defaults=True) for one in self._set]}
