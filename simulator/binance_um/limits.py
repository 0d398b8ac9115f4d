"""The venue's limits: weight in fixed minutes, two pools beside it, and a ban for who goes on when refused.

Source: "Limits" of the venue's general information. 429 asks to wait until the window ends; who does not is answered
418, from two minutes up to three days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Pool: TypeAlias = Literal["weight", "data", "funding"]
LONGEST_BAN: Final = 3 * 86_400.0


@dataclass(frozen=True, slots=True)
class UmTerms:
    """How much one address may ask for."""

    weight: float = 2_400.0
    weight_window_seconds: float = 60.0
    data_requests: float = 1_000.0
    """Of /futures/data, in each of its windows."""
    data_window_seconds: float = 300.0
    funding_requests: float = 500.0
    """Of fundingRate and fundingInfo together."""
    funding_window_seconds: float = 300.0
    refusals_before_ban: float = 10.0
    """So many 429 in one window are answered before a 418."""
    ban_seconds: float = 120.0
    """The first ban of an address; each later one takes twice as long as the one before, up to three days."""

    def of(self, pool: Pool) -> tuple[float, float]:
        """Return how much a pool has, and how long its windows are."""
        match pool:
            case "weight":
                return self.weight, self.weight_window_seconds
            case "data":
                return self.data_requests, self.data_window_seconds
        return self.funding_requests, self.funding_window_seconds


class Refused(Exception):
    """The limits do not allow a request; moments and lengths in seconds."""

    def __init__(self, status: Literal[429, 418], retry_after: float, until: float) -> None:
        super().__init__(f"{status}, wait {retry_after:.1f} s")
        self.status = status
        self.retry_after = retry_after
        self.until = until


@dataclass(slots=True)
class _Window:
    number: int = -1
    used: int = 0
    refusals: int = 0


@dataclass(slots=True)
class _Address:
    windows: dict[Pool, _Window] = field(default_factory=dict)
    banned_until: float = 0.0
    bans: int = 0


@dataclass(slots=True)
class UmLimits:
    """The limits of all addresses; the clock gives seconds since 1970, as windows begin on whole minutes."""

    clock: Callable[[], float]
    enabled: bool = True
    terms: UmTerms = field(default_factory=UmTerms)
    refused: dict[int, int] = field(default_factory=lambda: {429: 0, 418: 0})
    bans: int = 0
    most_used: dict[Pool, int] = field(default_factory=dict)
    """The most that was asked for in any one window."""
    _addresses: dict[str, _Address] = field(default_factory=dict)

    def charge(self, address: str, pool: Pool, weight: int) -> None:
        """Count a request.

        Raises:
            Refused: there is no room for it in this window, or the address is banned.
        """
        if not self.enabled:
            return
        now, known = self.clock(), self._address(address)
        self._refuse_banned(known, now)
        most, seconds = self.terms.of(pool)
        window = self._window(known, pool, now)
        window.used += weight
        self.most_used[pool] = max(self.most_used.get(pool, 0), window.used)
        if window.used <= most:
            return
        window.refusals += 1
        if window.refusals > self.terms.refusals_before_ban:
            self.ban(address, min(self.terms.ban_seconds * 2**known.bans, LONGEST_BAN))
            self._refuse_banned(known, now)
        until = (window.number + 1) * seconds
        self.refused[429] += 1
        raise Refused(429, until - now, until)

    def ban(self, address: str, seconds: float) -> None:
        """Answer this address with 418 for so long, from now on."""
        known = self._address(address)
        known.banned_until = self.clock() + seconds
        known.bans += 1
        self.bans += 1

    def used_weight(self, address: str) -> int:
        """Return the weight that an address has used in this window."""
        return self._window(self._address(address), "weight", self.clock()).used

    def change(self, *, enabled: bool, terms: UmTerms) -> None:
        """Set new limits; every address begins anew, and no ban is left."""
        self.enabled = enabled
        self.terms = terms
        self._addresses.clear()

    def as_json(self) -> dict[str, object]:
        """Return what was refused, and the most that was used of each pool in one window."""
        return {
            "enabled": self.enabled,
            "refused": {str(status): count for status, count in self.refused.items()},
            "bans": self.bans,
            "most_used_in_a_window": dict(self.most_used),
        }

    def _refuse_banned(self, known: _Address, now: float) -> None:
        if now < known.banned_until:
            self.refused[418] += 1
            raise Refused(418, known.banned_until - now, known.banned_until)

    def _address(self, address: str) -> _Address:
        return self._addresses.setdefault(address, _Address())

    def _window(self, known: _Address, pool: Pool, now: float) -> _Window:
        number = int(now // self.terms.of(pool)[1])
        window = known.windows.setdefault(pool, _Window())
        if window.number != number:
            known.windows[pool] = window = _Window(number)
        return window
