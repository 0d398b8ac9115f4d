"""The venue's limits: credits that refill all the time, and a number of requests at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from simulator.errors import TOO_MANY_REQUESTS, VenueError

RefusalStatus: TypeAlias = Literal["alternate", "400", "429"]
"""The HTTP status of an exhausted bucket; the venue's own is not documented, so both have to be met."""

DEFAULT_COST: Final = 500
CONNECTIONS_PER_ADDRESS: Final = 32


@dataclass(frozen=True, slots=True)
class BucketTerms:
    """Credits: what a request costs, how many there are at most, and how many come back each second."""

    cost: float
    pool: float
    refill_per_second: float


DEFAULT_TERMS: Final = BucketTerms(DEFAULT_COST, 50_000, 10_000)
INSTRUMENTS_TERMS: Final = BucketTerms(10_000, 500_000, 10_000)
SUBSCRIBE_TERMS: Final = BucketTerms(3_000, 30_000, 10_000)
STRICT_INSTRUMENTS_TERMS: Final = BucketTerms(10_000, 50_000, 1_000)
"""One request in 10 seconds, five at once: what the venue's older documents say."""


@dataclass(slots=True)
class Bucket:
    """The credits of one address."""

    terms: BucketTerms
    credits: float
    filled_at: float

    def take(self, now: float) -> bool:
        """Take the cost of a request at `now` (seconds of any clock that never goes back); False if it is not there."""
        self.credits = min(self.terms.pool, self.credits + (now - self.filled_at) * self.terms.refill_per_second)
        self.filled_at = now
        if self.credits < self.terms.cost:
            return False
        self.credits -= self.terms.cost
        return True


@dataclass(slots=True)
class Limits:
    """All limits of the venue, per address; `now` is in seconds."""

    clock: Callable[[], float]
    enabled: bool = True
    default_terms: BucketTerms = DEFAULT_TERMS
    instruments_terms: BucketTerms = INSTRUMENTS_TERMS
    status: RefusalStatus = "alternate"
    in_flight: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)
    _refusals: int = 0

    def has_room(self, address: str) -> bool:
        """Return whether the address may have one more request or socket at the same time."""
        return not self.enabled or self.in_flight[address] < CONNECTIONS_PER_ADDRESS

    def spend(self, address: str, method: str) -> None:
        """Take the credits of a request.

        Raises:
            VenueError: 10028, they are not there; the connection is to be closed.
        """
        if not self.enabled:
            return
        name, terms = "default", self.default_terms
        if method == "public/get_instruments":
            name, terms = method, self.instruments_terms
        elif method == "public/subscribe":
            name, terms = method, SUBSCRIBE_TERMS
        now = self.clock()
        bucket = self._buckets.get((address, name))
        if bucket is None:
            bucket = self._buckets[address, name] = Bucket(terms, terms.pool, now)
        if not bucket.take(now):
            raise self.refusal()

    def refusal(self, status: int | None = None) -> VenueError:
        """Return the error 10028 with this HTTP status, or with the one set, which may be 429 and 400 in turn."""
        self._refusals += 1
        if status is None:
            in_turn = 429 if self._refusals % 2 else 400
            status = in_turn if self.status == "alternate" else int(self.status)
        return VenueError(TOO_MANY_REQUESTS, status=status)

    def change(self, *, enabled: bool, default_terms: BucketTerms) -> None:
        """Set new limits; every address begins with full buckets."""
        self.enabled = enabled
        self.default_terms = default_terms
        self._buckets.clear()
