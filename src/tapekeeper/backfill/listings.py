"""Listings: which instruments the venues have, brought up to date."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.tools import tools_for
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import KeyMissing
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.series import DATASETS
from tapekeeper.store import catalogue
from tapekeeper.store.migrate import check_schema

if TYPE_CHECKING:
    from tapekeeper.settings import Settings
    from tapekeeper.store.catalogue import ListingChange

VENUES: Final = tuple(dict.fromkeys(dataset.venue for dataset in DATASETS.values()))
"""The venues that are asked."""
_log = logging.getLogger(__name__)


def sync_instruments(settings: Settings, venue: str) -> ListingChange | None:
    """Ask a venue for all instruments that live, and write down what is new, what changed, and what is gone.

    Returns:
        What it changed; None where nothing was asked, as the venue wants a key and none is set.

    Raises:
        RetryLater: the venue cannot be asked now.
        InvariantBroken: its list cannot be whole; nothing is changed.
        Stop: a person has to change something first.
    """
    dataset = next(dataset for dataset in DATASETS.values() if dataset.venue == venue)
    tools = tools_for(dataset, settings, Priority.LIVE)()
    try:
        tools.database.run(lambda cursor: check_schema(cursor.connection))
        listing = tools.venue.listing()
        return tools.database.run(
            lambda cursor: catalogue.replace_listing(cursor, venue, listing, now=now_microseconds())
        )
    except KeyMissing as error:
        _log.info("no key is set for %s: nothing is asked (%s)", venue, error)
        return None
    finally:
        tools.close()
