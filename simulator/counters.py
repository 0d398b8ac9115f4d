"""What the simulator has been asked: for tests and benchmarks that count requests."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts since the start; moments in seconds of any clock that never goes back."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By method and outcome: an HTTP status, or `cut` for a connection that was aborted."""
    faults: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    most_in_one_second: int = 0
    _arrivals: deque[float] = field(default_factory=deque)

    def arrive(self, now: float) -> None:
        """Count a request that begins."""
        self.arrived += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._arrivals.append(now)
        while self._arrivals[0] <= now - 1.0:
            self._arrivals.popleft()
        self.most_in_one_second = max(self.most_in_one_second, len(self._arrivals))

    def leave(self, method: str, outcome: str) -> None:
        """Count a request that ends."""
        self.in_flight -= 1
        self.requests[method, outcome] += 1

    def as_json(self) -> dict[str, object]:
        """Return everything counted, requests as {method: {outcome: count}}."""
        requests: dict[str, dict[str, int]] = {}
        for (method, outcome), count in sorted(self.requests.items()):
            requests.setdefault(method, {})[outcome] = count
        return {
            "requests": requests,
            "requests_total": self.arrived,
            "faults_fired": dict(self.faults),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "most_requests_in_one_second": self.most_in_one_second,
        }
