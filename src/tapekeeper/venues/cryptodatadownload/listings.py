"""The list of all options that are told of, and the chains that they make.

The list holds names alone, of options that live and of many that are long expired; most have no rows.
"""

from __future__ import annotations

import logging
import reprlib
from typing import Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_start
from tapekeeper.errors import ParseFailure
from tapekeeper.model.instrument import Instrument
from tapekeeper.venues.cryptodatadownload.limits import FIRST_DAY
from tapekeeper.venues.cryptodatadownload.names import VENUE, parse_option

HISTORY_BEGINS: Final = day_start(FIRST_DAY)

log = logging.getLogger(__name__)


class AvailableOptions:
    """The options of one list.

    Args:
        result: the venue's, parsed JSON.

    Raises:
        ParseFailure: the answer is not of the known shape, or names no option at all.
    """

    def __init__(self, result: object) -> None:
        listed = result.get("result") if isinstance(result, dict) else None
        if not isinstance(listed, list) or not listed:
            raise ParseFailure(f"the list of options should have their names in 'result': {reprlib.repr(result)}")
        self.names = frozenset(name for name in listed if isinstance(name, str))
        """All of them, also those that cannot be understood."""
        self._options = {
            name: option for name in self.names if (option := parse_option(name, HISTORY_BEGINS)) is not None
        }
        self.left_out = sum(not isinstance(name, str) for name in listed) + len(self.names) - len(self._options)
        """How many cannot be understood."""
        if self.left_out:
            log.warning("%d of %d options of CryptoDataDownload cannot be understood", self.left_out, len(listed))

    def names_of(self, currency: str) -> frozenset[str]:
        """Return the names of the options of a currency; none where it is not known."""
        return frozenset(name for name, option in self._options.items() if option.currency == currency)

    def living_names(self, now: int) -> frozenset[str]:
        """Return the names of all but those that are known to be expired.

        Args:
            now: microseconds since 1970.
        """
        return self.names - {name for name, option in self._options.items() if (option.expires_at or now) <= now}

    def chains(self) -> dict[str, Instrument]:
        """Return the chains by currency.

        A chain ends with the day on which the last of its options expires: nothing can be told of it after that, until
        the list has later ones.
        """
        latest: dict[str, int] = {}
        for option in self._options.values():
            latest[option.currency] = max(latest.get(option.currency, 0), option.expires_at or 0)
        return {
            currency: Instrument(
                venue=VENUE,
                name=currency,
                kind="option_chain",
                currency=currency,
                listed_at=HISTORY_BEGINS,
                expires_at=_midnight_after(expires_at),
            )
            for currency, expires_at in sorted(latest.items())
        }


def _midnight_after(moment: int) -> int:
    return (moment // MICROSECONDS_PER_DAY + 1) * MICROSECONDS_PER_DAY
