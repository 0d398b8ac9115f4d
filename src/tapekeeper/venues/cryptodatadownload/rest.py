"""CryptoDataDownload's REST interface as model objects.

Raises everywhere, beside what each method says: RetryLater when the venue cannot be asked now, Stop when it refuses,
KeyMissing without asking where there is no key.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, now_microseconds
from tapekeeper.errors import AuthRejected, KeyMissing, ParseFailure, RequestRejected
from tapekeeper.model.instrument import Listing
from tapekeeper.venues.cryptodatadownload.dailies import parse_day, parse_days_of
from tapekeeper.venues.cryptodatadownload.decisions import HOW_TO_SET_THE_KEY, Decisions
from tapekeeper.venues.cryptodatadownload.limits import OPTION_ROWS_PER_PAGE
from tapekeeper.venues.cryptodatadownload.listings import AvailableOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.http.client import HttpClient
    from tapekeeper.model.answer import Answer
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.option_candle import OptionCandles
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window

OPTIONS: Final = "v1/data/ohlc/deribit/options"
AVAILABLE: Final = f"{OPTIONS}/available"
CALL_WEIGHT: Final = 1.0
PAGES_MAXIMUM: Final = 20
"""So many rows as these hold no option and no day has."""

_KEY: Final = re.compile(r"[!-~]+")


class CryptoDataDownloadRest:
    """Asks CryptoDataDownload, for one thread.

    Args:
        client: of the venue `cryptodatadownload`, with the budget of `limits.hourly_limit`.
        api_key: of a subscription; None where there is none.
    """

    def __init__(self, client: HttpClient, api_key: str | None) -> None:
        self._client = client
        self._api_key = api_key
        self._available: AvailableOptions | None = None

    def instrument(self, name: str) -> Instrument:
        """Return the chain of all options of a currency.

        Raises:
            RequestRejected: the venue has no options of it; the message names those that it has.
        """
        chains = self._options().chains()
        if name not in chains:
            raise RequestRejected(
                f"CryptoDataDownload has no options of {name!r}: type a currency as it writes it, {' or '.join(chains)}"
            )
        return chains[name]

    def listing(self) -> Listing:
        """Return the chains; the names are also those of the options that live, which the list does not describe."""
        options = self._options()
        chains = options.chains()
        return Listing(tuple(chains.values()), options.living_names(now_microseconds()) | chains.keys())

    def available(self, currency: str) -> frozenset[str]:
        """Return the names of all options of a currency that the venue tells of; many have no rows."""
        return self._options().names_of(currency)

    def rows(
        self,
        dataset: Dataset,  # noqa: ARG002 - it has one
        instrument_name: str,
        window: Window,
        resolution: Resolution,  # noqa: ARG002 - there are days only
    ) -> Answer[OptionCandles]:
        """Return the candles of all options of a currency on one day.

        Args:
            dataset: the only one that there is.
            instrument_name: the currency, which is the name of the chain.
            window: from midnight to midnight of the date, as the venue names it.
            resolution: of the chain, which has none.

        Raises:
            ValueError: the window is not one day.
            BadData: the answer is for another day or currency, or cannot be understood.
        """
        if window.start % MICROSECONDS_PER_DAY or window.end - window.start != MICROSECONDS_PER_DAY:
            raise ValueError(f"{window} is not one day from midnight to midnight")
        asked = {"currency": instrument_name, "date": day_of(window.start).isoformat()}
        return parse_day(self._pages(asked), instrument_name, window)

    def option_rows(self, name: str, window: Window) -> Answer[OptionCandles]:
        """Return the candles of one option on the days that begin in a window; the venue is asked for all of its days.

        Raises:
            BadData: the answer is for another option, or cannot be understood.
        """
        return parse_days_of(self._pages({"symbol": name}), name, window)

    def _options(self) -> AvailableOptions:
        if self._available is None:
            self._available = AvailableOptions(self._ask(AVAILABLE, {}))
        return self._available

    def _pages(self, asked: Mapping[str, str | int]) -> list[object]:
        """Return the rows of all pages."""
        rows: list[object] = []
        offset = 0
        for _ in range(PAGES_MAXIMUM):
            page = self._ask(OPTIONS, {**asked, "limit": OPTION_ROWS_PER_PAGE, "offset": offset})
            told = page.get("result") if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(told, list):
                raise ParseFailure(f"rows of options should come as a list in 'result': {reprlib.repr(page)}")
            if offset and not told:
                raise ParseFailure(f"more rows were promised from {offset} on, and none came")
            rows += told
            following = _next_offset(page.get("pagination"), offset)
            if following is None:
                return rows
            offset = following
        raise ParseFailure(f"{PAGES_MAXIMUM} pages are more than there can be, and the venue promises another")

    def _ask(self, method: str, parameters: Mapping[str, str | int]) -> object:
        key = self._checked_key()
        return self._client.get(
            method,
            f"/{method}/",
            parameters,
            CALL_WEIGHT,
            Decisions(key).decide,
            headers={"Authorization": f"Token {key}"},
        )

    def _checked_key(self) -> str:
        if self._api_key is None:
            raise KeyMissing(f"CryptoDataDownload cannot be asked without a key: {HOW_TO_SET_THE_KEY}")
        if not _KEY.fullmatch(self._api_key):
            raise AuthRejected(
                f"the key of CryptoDataDownload is empty, or holds what no key can hold: {HOW_TO_SET_THE_KEY}"
            )
        return self._api_key


def _next_offset(pagination: object, offset: int) -> int | None:
    """Return where the next page begins; None where this was the last one.

    Raises:
        ParseFailure: the venue does not say whether there are more, or from where on.
    """
    has_more = pagination.get("has_more") if isinstance(pagination, dict) else None
    if not isinstance(pagination, dict) or not isinstance(has_more, bool):
        raise ParseFailure(f"'pagination' should say whether there are more rows: {reprlib.repr(pagination)}")
    if not has_more:
        return None
    following = pagination.get("next_offset")
    if (
        isinstance(following, bool)
        or not isinstance(following, int)
        or not offset < following <= offset + OPTION_ROWS_PER_PAGE
    ):
        raise ParseFailure(
            f"the page after that from {offset} on should begin after it and leave nothing out,"
            f" not at {reprlib.repr(following)}"
        )
    return following
