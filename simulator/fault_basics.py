"""What all faults share: whom they concern, how often they come, and when."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from simulator.hashing import uniform

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Service: TypeAlias = Literal["deribit", "binance_um", "binance_archive", "cryptodatadownload"]
Moment = Annotated[int, Field(ge=0, description="milliseconds since 1970")]


class Fault(BaseModel):
    """What all faults share."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    instrument: str | None = None
    """Only this instrument."""


class ChanceFault(Fault):
    """Befalls some or all of what matches, counted from 1 since the fault was set."""

    probability: Fraction = 1.0
    burst: Annotated[int, Field(ge=1)] = 1
    """So many in a row share one throw of the dice: a storm."""
    from_second: Seconds = 0.0
    to_second: Seconds | None = None
    """Both since the fault was set."""

    def counts(self) -> tuple[int, int | None]:
        """Return the first and the last that it can befall, both included."""
        raise NotImplementedError

    def is_due(self, seed: int, position: int, number: int, seconds: float) -> bool:
        """Return whether it fires for the n-th that matches (from 1), `seconds` after it was set."""
        first, last = self.counts()
        if number < first or (last is not None and number > last):
            return False
        if seconds < self.from_second or (self.to_second is not None and seconds > self.to_second):
            return False
        throw = (number - 1) // self.burst
        return self.probability >= 1.0 or uniform(seed, "fault", position, throw) < self.probability


class RequestFault(ChanceFault):
    """Befalls requests: some or all of them."""

    service: Service | None = None
    """Only requests to this service."""
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


class StandingFact(Fault):
    """What is so of the data themselves, in every answer and stream; it has no chance and no time limit."""

    def is_about(self, instrument: str) -> bool:
        """Return whether it is about this instrument."""
        return self.instrument in (None, instrument)
