"""What an error of PostgreSQL asks a person to do, and that a connection is ready before it is used."""

from __future__ import annotations

from contextlib import closing

import pytest

from tapekeeper.errors import AuthRejected, SchemaTooOld, TapekeeperError
from tapekeeper.store.database import Database


@pytest.mark.parametrize(
    ("prepare", "statement", "kind", "sentence"),
    [
        ("SELECT", "SELECT * FROM nothing", SchemaTooOld, "lacks a table, column or function: run tapekeeper migrate"),
        ("SELECT", "SELECT nothing()", SchemaTooOld, "run tapekeeper migrate .*does not exist"),
        ("SET ROLE tapekeeper_reader", "DELETE FROM candles", AuthRejected, "grant it tapekeeper_writer to fetch"),
        (
            "SET default_transaction_read_only = on",
            "DELETE FROM candles",
            AuthRejected,
            "let TAPEKEEPER_DATABASE_URL name the primary server and a login that may write",
        ),
    ],
)
def test_an_error_says_what_to_do(
    prepare: str, statement: str, kind: type[TapekeeperError], sentence: str, database_url: str
) -> None:
    with (
        closing(Database(database_url, prepare=prepare)) as database,
        pytest.raises(kind, match=sentence) as raised,
    ):
        database.run(lambda cursor: cursor.execute(statement))
    assert raised.type is kind


def test_a_connection_that_could_not_be_prepared_is_not_used(database_url: str) -> None:
    with closing(Database(database_url, prepare="SELECT * FROM nothing")) as database:
        for _ in range(2):
            with pytest.raises(SchemaTooOld, match="nothing"):
                database.run(lambda cursor: cursor.execute("SELECT 1"))
