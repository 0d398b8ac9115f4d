"""Names of options, which are Deribit's: ETH-7APR23-1800-C, XRP_USDC-10MAY24-0d569-P.

The day of the expiry is not padded, and `d` stands for the decimal point of a strike.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, day_start
from tapekeeper.model.instrument import Instrument

VENUE: Final = "cryptodatadownload"
EXPIRY_TIME: Final = 8 * 3_600 * MICROSECONDS_PER_SECOND
"""Options expire at 08:00 UTC."""

_NAME: Final = re.compile(
    r"(?P<currency>[A-Z0-9_]{1,20})-(?P<day>[1-9][0-9]?)(?P<month>[A-Z]{3})(?P<year>[0-9]{2})"
    r"-(?P<strike>[0-9]{1,12}(?:d[0-9]{1,12})?)-(?P<type>[CP])"
)
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_CENTURY: Final = 2000


def parse_option(name: str, listed_at: int) -> Instrument | None:
    """Return the option of that name, or None where it cannot be understood.

    Args:
        name: as the venue writes it.
        listed_at: microseconds since 1970; the name does not tell it.
    """
    found = _NAME.fullmatch(name)
    expiry = _expiry(found) if found else None
    if found is None or expiry is None:
        return None
    return Instrument(
        venue=VENUE,
        name=name,
        kind="option",
        currency=found["currency"],
        listed_at=listed_at,
        expires_at=day_start(expiry) + EXPIRY_TIME,
        strike=float(found["strike"].replace("d", ".")),
        option_type="call" if found["type"] == "C" else "put",
    )


def _expiry(found: re.Match[str]) -> date | None:
    if found["month"] not in _MONTHS:
        return None
    try:
        return date(_CENTURY + int(found["year"]), _MONTHS.index(found["month"]) + 1, int(found["day"]))
    except ValueError:
        return None
