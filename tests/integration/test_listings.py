"""The instruments of a venue follow its list: new ones come, those that are gone are delisted, nothing is deleted."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tapekeeper.backfill.listings import VENUES, sync_instruments
from tapekeeper.errors import AuthRejected, InvariantBroken, KeyMissing
from tapekeeper.model.instrument import Instrument, Listing
from tapekeeper.settings import (
    BinanceUmSettings,
    CryptoDataDownloadSettings,
    DatabaseSettings,
    DeribitSettings,
    Settings,
)
from tapekeeper.store.catalogue import ListingChange, replace_listing
from tapekeeper.store.database import Database
from tests.support.truth import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.simulator import Simulator

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def perpetual(name: str, *, expires_at: int | None = None) -> Instrument:
    return Instrument("venue", name, "perpetual", name, listed_at=NOW - 900 * HOUR, expires_at=expires_at)


def listing(*instruments: Instrument) -> Listing:
    return Listing(instruments, frozenset(instrument.name for instrument in instruments))


def change(database: Database, *names: str, now: int = NOW) -> ListingChange:
    return database.run(lambda cursor: replace_listing(cursor, "venue", listing(*map(perpetual, names)), now=now))


def delisted(url: str) -> dict[str, bool]:
    return dict(query(url, "SELECT name, delisted_at IS NOT NULL FROM instruments WHERE venue = 'venue'"))


def test_what_is_gone_is_delisted_and_what_is_back_is_not(database: Database, database_url: str) -> None:
    assert change(database, "A", "B", "C") == ListingChange(listed=3, new=3, delisted=0, back=0)
    assert change(database, "A", "B", "D") == ListingChange(listed=3, new=1, delisted=1, back=0)
    assert delisted(database_url) == {"A": False, "B": False, "C": True, "D": False}
    assert change(database, "A", "B", "C", "D") == ListingChange(listed=4, new=0, delisted=0, back=1)
    assert not any(delisted(database_url).values())


def test_what_expired_is_not_delisted_and_other_venues_are_left_alone(database: Database, database_url: str) -> None:
    expiring = [perpetual(name, expires_at=NOW + HOUR) for name in ("X", "Y", "Z")]
    elsewhere = Instrument("elsewhere", "A", "perpetual", "A", listed_at=NOW)
    database.run(lambda cursor: replace_listing(cursor, "elsewhere", listing(elsewhere), now=NOW))
    database.run(lambda cursor: replace_listing(cursor, "venue", listing(*expiring), now=NOW))
    assert change(database, "A", now=NOW + 2 * HOUR).delisted == 0
    assert not any(delisted(database_url).values())
    assert query(database_url, "SELECT delisted_at FROM instruments WHERE venue = 'elsewhere'") == [(None,)]


def test_what_is_listed_and_cannot_be_understood_is_not_delisted(database: Database, database_url: str) -> None:
    change(database, "A", "B", "C")
    partly = Listing((perpetual("A"), perpetual("B")), frozenset({"A", "B", "C"}))
    database.run(lambda cursor: replace_listing(cursor, "venue", partly, now=NOW))
    assert not any(delisted(database_url).values())


def test_a_list_that_cannot_be_whole_changes_nothing(database: Database, database_url: str) -> None:
    change(database, "A", "B", "C")
    with pytest.raises(InvariantBroken, match="the list of venue lacks 2 of 3 instruments that should live"):
        change(database, "A")
    assert not any(delisted(database_url).values())


def test_names_without_a_description_keep_what_is_known_by_them(database: Database, database_url: str) -> None:
    change(database, "A", "B", "C")
    chain = Listing((perpetual("ALL"),), frozenset({"ALL", "A", "B", "never seen"}))
    found = [database.run(lambda cursor: replace_listing(cursor, "venue", chain, now=NOW)) for _ in range(2)]
    assert found == [
        ListingChange(listed=4, new=1, delisted=1, back=0),
        ListingChange(listed=4, new=0, delisted=0, back=0),
    ]
    assert delisted(database_url) == {"A": False, "B": False, "C": True, "ALL": False}


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> Settings:
    """Of the simulator, without a key."""
    return Settings(
        database=DatabaseSettings.model_validate({"url": database_url}),
        deribit=DeribitSettings(rest_url=simulator.base_url),
        binance_um=BinanceUmSettings(rest_url=simulator.base_url),
        cryptodatadownload=CryptoDataDownloadSettings(url=simulator.base_url),
    )


def test_every_venue_is_asked_for_its_list(settings: Settings, database_url: str) -> None:
    key = settings.cryptodatadownload.model_copy(update={"api_key": SecretStr("simulated-key")})
    settings = settings.model_copy(update={"cryptodatadownload": key})
    for venue in VENUES:
        found = sync_instruments(settings, venue)
        assert found is not None
        assert found.listed >= found.new > 0
        assert sync_instruments(settings, venue) == (found.listed, 0, 0, 0)
        assert query(database_url, f"SELECT count(*) FROM instruments WHERE venue = '{venue}'") == [(found.new,)]


def test_without_a_key_the_venue_that_wants_one_is_left_alone(
    settings: Settings, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    before = simulator.state()["requests"]
    with caplog.at_level("INFO"):
        assert sync_instruments(settings, "cryptodatadownload") is None
    assert simulator.state()["requests"] == before
    assert "no key is set for cryptodatadownload: nothing is asked (CryptoDataDownload cannot be" in caplog.text
    assert "set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY to" in caplog.text


def test_a_key_that_the_venue_refuses_is_not_passed_over(settings: Settings) -> None:
    key = settings.cryptodatadownload.model_copy(update={"api_key": SecretStr("of-somebody-else")})
    with pytest.raises(AuthRejected, match="HTTP 401") as told:
        sync_instruments(settings.model_copy(update={"cryptodatadownload": key}), "cryptodatadownload")
    assert not isinstance(told.value, KeyMissing)
    assert "of-somebody-else" not in str(told.value)
