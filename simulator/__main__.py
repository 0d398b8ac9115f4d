"""The command line: `python -m simulator`, from the root of the repository."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

from simulator.errors import ControlError
from simulator.fault_basics import Fault
from simulator.faults import parse_faults
from simulator.limits import DEFAULT_COST, DEFAULT_TERMS, INSTRUMENTS_TERMS, STRICT_INSTRUMENTS_TERMS, Limits
from simulator.moments import Clock
from simulator.options import make_parser, problem_of, terms_of
from simulator.server import Address, make_application, serve


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 for a bad option."""
    options = make_parser().parse_args()
    try:
        faults = _read_faults(options.faults)
    except (ControlError, OSError) as error:
        print(f"--faults {options.faults}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if problem := problem_of(options):
        print(problem, file=sys.stderr)  # noqa: T201
        return 2
    limits = Limits(
        clock=time.monotonic,
        enabled=options.limits == "on",
        default_terms=replace(DEFAULT_TERMS, refill_per_second=options.requests_per_second * DEFAULT_COST),
        instruments_terms=STRICT_INSTRUMENTS_TERMS if options.strict_instruments_limit else INSTRUMENTS_TERMS,
        status=options.rate_limit_status,
    )
    clock = Clock(round(options.clock_offset_seconds * 1_000))
    try:
        application = make_application(terms_of(options), clock, limits, faults)
    except (ControlError, OSError) as error:
        print(f"--replay {options.replay}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(serve(application, Address(options.host, options.port)))
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _read_faults(path: Path | None) -> tuple[Fault, ...]:
    return () if path is None else parse_faults(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
