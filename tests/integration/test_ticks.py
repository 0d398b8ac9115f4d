"""Ticks and their account: exact, idempotent, and never apart."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, from_microseconds
from tapekeeper.errors import DatabaseUnavailable, InvariantBroken, SchemaTooOld, Stop
from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade
from tapekeeper.store import option_series, ticks
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.database import Database
from tapekeeper.store.option_series import OptionSeries, Position
from tapekeeper.store.poison import write_ticks_or_quarantine
from tapekeeper.store.ticks import TickCounts, write_ticks
from tests.support.tape import table_out_of_sight
from tests.support.ticks import MIDNIGHT, SECOND, check_account, option, quote, rows, trade

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg2.extensions import cursor as Cursor


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=ticks.INCOMING_TABLES)) as database:
        yield database


@pytest.fixture
def options(database: Database) -> list[OptionSeries]:
    known = database.run(lambda cursor: option_series.ensure_option_series(cursor, map(option, range(3))))
    return [known[option(number).name] for number in range(3)]


def write(database: Database, quotes: Sequence[Quote] = (), trades: Sequence[Trade] = ()) -> TickCounts:
    return database.run(lambda cursor: write_ticks(cursor, quotes, trades))


def some_quotes(instrument_id: int, count: int, *, start: int = MIDNIGHT, seed: int = 1) -> list[Quote]:
    generator = random.Random(seed)

    def value() -> float | None:
        return generator.choice([None, generator.uniform(-1, 5_000), 0.0, 5e-324, 1.7976931348623157e308])

    return [
        quote(
            instrument_id,
            start + number * 100_000,
            7_000_000_000 + number,
            received_at=start + number * 100_000 + generator.randrange(1_000_000),
            from_ticker=generator.random() < 0.5,
            **{name: value() for name in Quote._fields[4:-1]},
        )
        for number in range(count)
    ]


def held(database: Database, table: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
    moments = {"event_time", "received_at"}
    columns = ", ".join(
        f"(extract(epoch FROM {name}) * 1000000)::bigint" if name in moments else name for name in fields
    )
    return rows(database, f"SELECT {columns} FROM {table} ORDER BY event_time, instrument_id, received_at")


def test_every_quote_comes_back_bit_for_bit(database: Database, options: list[OptionSeries]) -> None:
    quotes = some_quotes(options[0].instrument_id, 2_000)
    shuffled = random.Random(2).sample(quotes, len(quotes))
    assert write(database, shuffled) == TickCounts(quotes_inserted=2_000)
    assert held(database, "option_quotes", Quote._fields) == quotes
    database.run(check_account)


def test_every_trade_comes_back_bit_for_bit(database: Database, options: list[OptionSeries]) -> None:
    trades = [
        trade(options[0].instrument_id, MIDNIGHT, 1),
        trade(options[0].instrument_id, MIDNIGHT + 1, 2, side="sell", liquidation="MT", block_trade_id="BLOCK-61"),
        trade(options[0].instrument_id, MIDNIGHT + 2, 3, iv=None, index_price=None, mark_price=None),
        trade(options[0].instrument_id, MIDNIGHT + 3, 4, trade_id="Ünï-✓", combo_id="", price=-0.0005),
    ]
    assert write(database, trades=trades) == TickCounts(trades_inserted=4)
    assert held(database, "option_trades", Trade._fields) == trades
    database.run(check_account)


def test_the_same_ticks_again_change_nothing(database: Database, options: list[OptionSeries]) -> None:
    quotes = some_quotes(options[0].instrument_id, 300)
    trades = [trade(options[1].instrument_id, MIDNIGHT + number, number) for number in range(1, 50)]
    write(database, quotes, trades)
    everything = "SELECT t.xmin, t.ctid, t::text FROM {} AS t ORDER BY 3"
    tables = ("option_quotes", "option_trades")
    before = [rows(database, everything.format(table)) for table in tables]
    account = [rows(database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("coverage", "series_totals")]
    assert write(database, quotes, trades) == TickCounts()
    assert [rows(database, everything.format(table)) for table in tables] == before
    assert [
        rows(database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("coverage", "series_totals")
    ] == account


def test_only_what_is_new_of_a_batch_is_inserted_and_counted(database: Database, options: list[OptionSeries]) -> None:
    quotes = some_quotes(options[0].instrument_id, 300)
    trades = [trade(options[0].instrument_id, MIDNIGHT + number, number) for number in range(1, 101)]
    assert write(database, quotes[:200], trades[50:]) == TickCounts(200, 50)
    assert write(database, quotes[100:], trades) == TickCounts(100, 50)
    assert write(database, quotes[:50] * 2, []) == TickCounts()
    assert write(database, [quote(options[1].instrument_id, MIDNIGHT, 1)] * 3, []) == TickCounts(1)
    database.run(check_account)
    trades_series = options[0].trades_series_id
    assert rows(database, f"SELECT expected, held, rows_held FROM series_totals WHERE series_id = {trades_series}") == [
        (100, 100, 100)
    ]


def test_ticks_of_two_days_count_for_their_days(database: Database, options: list[OptionSeries]) -> None:
    instrument_id = options[0].instrument_id
    times = (MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT)
    trades = [trade(instrument_id, moment, number) for number, moment in enumerate(times, start=1)]
    write(database, [quote(instrument_id, moment, 1) for moment in times], trades)
    assert rows(
        database, "SELECT day, expected, held, first_event_time, last_event_time FROM coverage ORDER BY series_id, day"
    ) == [
        (date(2024, 11, 20), 0, 0, from_microseconds(MIDNIGHT - 2), from_microseconds(MIDNIGHT - 1)),
        (date(2024, 11, 21), 0, 0, from_microseconds(MIDNIGHT), from_microseconds(MIDNIGHT)),
        (date(2024, 11, 20), 2, 2, from_microseconds(MIDNIGHT - 2), from_microseconds(MIDNIGHT - 1)),
        (date(2024, 11, 21), 1, 1, from_microseconds(MIDNIGHT), from_microseconds(MIDNIGHT)),
    ]
    database.run(check_account)


def test_positions_never_go_back(database: Database, options: list[OptionSeries]) -> None:
    first, second, third = (known.instrument_id for known in options)
    write(database, [quote(first, MIDNIGHT + 9, 1)], [trade(first, MIDNIGHT + 5, 12), trade(second, MIDNIGHT, 3)])
    write(database, [quote(first, MIDNIGHT + 7, 1)], [trade(first, MIDNIGHT + 1, 11)])
    assert database.run(lambda cursor: option_series.positions(cursor, [first, second, third, 999])) == {
        first: Position(last_trade_seq=12, last_trade_time=MIDNIGHT + 5, last_quote_time=MIDNIGHT + 9),
        second: Position(last_trade_seq=3, last_trade_time=MIDNIGHT),
        third: Position(),
    }


def test_writers_of_the_same_ticks_count_them_once(
    database_url: str, database: Database, options: list[OptionSeries]
) -> None:
    quotes = [one for known in options for one in some_quotes(known.instrument_id, 400)]
    trades = [trade(known.instrument_id, MIDNIGHT + number, number) for known in options for number in range(1, 201)]

    def writer(number: int) -> TickCounts:
        generator = random.Random(number)
        counts = TickCounts()
        with closing(Database(database_url, prepare=ticks.INCOMING_TABLES)) as own:
            for _ in range(5):
                counts += write(own, generator.sample(quotes, 600), generator.sample(trades, 300))
            return counts + write(own, quotes, trades)

    with ThreadPoolExecutor(4) as pool:
        counts = sum(pool.map(writer, range(4)), TickCounts())
    assert counts == TickCounts(len(quotes), len(trades))
    database.run(check_account)


def test_a_failed_transaction_leaves_neither_rows_nor_account(database: Database, options: list[OptionSeries]) -> None:
    def work(cursor: Cursor) -> None:
        write_ticks(cursor, some_quotes(options[0].instrument_id, 10), [trade(options[0].instrument_id, MIDNIGHT, 1)])
        raise RuntimeError("killed before the commit")

    with pytest.raises(RuntimeError):
        database.run(work)
    assert rows(database, "SELECT FROM option_quotes UNION ALL SELECT FROM option_trades") == []
    assert rows(database, "SELECT * FROM coverage") == []


def test_an_instrument_without_series_is_refused_with_what_to_do(database: Database) -> None:
    with pytest.raises(Stop, match=r"no series of deribit.option_quotes: call ensure_option_series"):
        write(database, [quote(4_711, MIDNIGHT, 1)])
    with pytest.raises(Stop, match=r"call ensure_option_series"):
        write_ticks_or_quarantine(database, [], [trade(4_711, MIDNIGHT, 1, price=float("nan"))])


POISON = {
    "a NUL in a text": {"trade_id": "ETH-1\x00"},
    "half of a character": {"trade_id": "ETH-\ud800"},
    "a long text": {"block_trade_id": "x" * 100_000},
    "a price that is none": {"price": float("nan")},
    "an endless size": {"size": float("inf")},
    "no price": {"price": None},
    "no number": {"iv": "expired"},
    "no side": {"side": None},
    "a side that is none": {"side": "hold"},
    "milliseconds": {"event_time": MIDNIGHT // 1_000},
    "no moment": {"received_at": 2**63 - 1},
    "a sequence number beyond 64 bits": {"trade_seq": 2**63},
    "no event time": {"event_time": 10**30},
}


@pytest.mark.parametrize("changes", POISON.values(), ids=POISON.keys())
def test_a_poison_row_is_alone_in_quarantine(
    database: Database, options: list[OptionSeries], changes: dict[str, Any]
) -> None:
    instrument_id = options[0].instrument_id
    quotes = some_quotes(instrument_id, 30)
    trades = [trade(instrument_id, MIDNIGHT + number, number) for number in range(1, 41)]
    trades[17] = trades[17]._replace(**changes)
    for counts in (TickCounts(30, 39, quarantined=1), TickCounts(quarantined=1)):
        assert write_ticks_or_quarantine(database, quotes, trades) == counts
    assert rows(database, "SELECT trade_seq FROM option_trades ORDER BY 1") == [
        (number,) for number in range(1, 41) if number != 18
    ]
    ((series_id, reason, received_at, times_seen),) = rows(
        database, "SELECT series_id, reason, content->>'received_at', times_seen FROM quarantine"
    )
    assert (series_id, received_at, times_seen) == (options[0].trades_series_id, str(trades[17].received_at), 2)
    assert reason
    database.run(check_account)
    if trades[17].trade_seq == 18:
        assert rows(database, "SELECT first_sequence, last_sequence, missing, state FROM data_gaps") == [
            (18, 18, 1, "open")
        ]
        assert rows(
            database, f"SELECT expected, held FROM series_totals WHERE series_id = {options[0].trades_series_id}"
        ) == [(40, 39)]


def test_poison_quotes_are_all_found(database: Database, options: list[OptionSeries]) -> None:
    quotes = some_quotes(options[0].instrument_id, 200)
    for position in (0, 1, 77, 199):
        quotes[position] = quotes[position]._replace(bid_price=float("nan"))
    assert write_ticks_or_quarantine(database, quotes, []) == TickCounts(196, quarantined=4)
    assert rows(database, "SELECT content->>'bid_price', event_time FROM quarantine ORDER BY 2") == [
        ("nan", from_microseconds(quotes[position].event_time)) for position in (0, 1, 77, 199)
    ]


def test_what_is_no_fault_of_a_row_passes_through(
    database: Database, database_url: str, options: list[OptionSeries]
) -> None:
    ticks_of_one = [quote(options[0].instrument_id, MIDNIGHT, 1)]
    with closing(Database("postgresql://x@127.0.0.1:1/x")) as away, pytest.raises(DatabaseUnavailable):
        write_ticks_or_quarantine(away, ticks_of_one, [])
    with table_out_of_sight(database_url, "coverage"), pytest.raises(SchemaTooOld):
        write_ticks_or_quarantine(database, ticks_of_one, [])
    assert rows(database, "SELECT FROM quarantine") == []


def partitions(database: Database) -> list[str]:
    found = rows(database, "SELECT relname FROM pg_class WHERE relname ~ '^option_[a-z]+_[0-9]+$' AND relkind = 'r'")
    return sorted(name for (name,) in found)


def test_partitions_are_made_ahead_and_once(database: Database) -> None:
    for _ in range(2):
        database.run(lambda cursor: ticks.ensure_partitions_ahead(cursor, date(2024, 12, 31), 1))
    assert partitions(database) == [
        "option_quotes_20241231",
        "option_quotes_20250101",
        "option_trades_20241231",
        "option_trades_20250101",
    ]


def test_a_partition_is_made_while_somebody_reads(
    database_url: str, database: Database, options: list[OptionSeries]
) -> None:
    write(database, some_quotes(options[0].instrument_id, 3))

    def read(cursor: Cursor) -> None:
        cursor.execute("SELECT count(*) FROM option_quotes")
        write(database, some_quotes(options[0].instrument_id, 3, start=MIDNIGHT + MICROSECONDS_PER_DAY))

    with closing(Database(database_url)) as reader:
        reader.run(read)
    assert len(partitions(database)) == 2


def test_following_opens_and_closes_windows(database: Database, options: list[OptionSeries]) -> None:
    both = options[0][1:]

    def work(cursor: Cursor) -> list[Any]:
        option_series.follow_from(cursor, both, MIDNIGHT)
        option_series.follow_from(cursor, both, MIDNIGHT + 5 * SECOND)
        option_series.follow_from(cursor, options[1][1:], MIDNIGHT)
        option_series.unfollow(cursor, both, MIDNIGHT + 9 * SECOND)
        option_series.follow_from(cursor, both, MIDNIGHT + 20 * SECOND)
        option_series.unfollow(cursor, both, MIDNIGHT + 20 * SECOND)
        followed = option_series.followed_options(cursor)
        assert followed == {option(1).name: options[1]}
        cursor.execute("SELECT series_id, window_start, window_end FROM followed ORDER BY 1, 2")
        return list(cursor.fetchall())

    start, end = from_microseconds(MIDNIGHT), from_microseconds(MIDNIGHT + 9 * SECOND)
    expected: list[Any] = [(series_id, start, end) for series_id in both]
    expected += [(series_id, start, None) for series_id in options[1][1:]]
    assert database.run(work) == sorted(expected)


def test_seconds_are_accounted_from_where_following_begins(database: Database, options: list[OptionSeries]) -> None:
    known = options[0]

    def until(cursor: Cursor) -> int | None:
        return option_series.positions(cursor, [known.instrument_id])[known.instrument_id].accounted_until

    def work(cursor: Cursor) -> list[int | None]:
        found = [until(cursor)]
        option_series.follow_from(cursor, known[1:], MIDNIGHT)
        found.append(until(cursor))
        seconds = [Seconds(known.quotes_series_id, date(2024, 11, 21), 10, 10)]
        account_seconds(cursor, seconds, until=MIDNIGHT + 10 * SECOND)
        found.append(until(cursor))
        option_series.follow_from(cursor, known[1:], MIDNIGHT + 3 * SECOND)
        return [*found, until(cursor)]

    ten = MIDNIGHT + 10 * SECOND
    assert database.run(work) == [None, MIDNIGHT, ten, ten]
    database.run(check_account)


def test_more_verified_than_followed_seconds_are_refused(database: Database, options: list[OptionSeries]) -> None:
    seconds = [Seconds(options[0].quotes_series_id, date(2024, 11, 21), 9, 10)]
    with pytest.raises(InvariantBroken, match="10 of 9 followed seconds"):
        database.run(lambda cursor: account_seconds(cursor, seconds, until=MIDNIGHT))


def test_the_options_of_a_thousand_listings_are_made_once_and_brought_up_to_date(database: Database) -> None:
    listed = [option(number) for number in range(1_200)]

    def ensure(cursor: Cursor) -> dict[str, OptionSeries]:
        return option_series.ensure_option_series(cursor, listed)

    known = database.run(ensure)
    assert len(known) == 1_200
    listed[7] = type(listed[7])(**{name: getattr(listed[7], name) for name in listed[7].__slots__} | {"tick_size": 0.5})
    before = rows(database, "SELECT xmin FROM instruments WHERE tick_size <> 0.5")
    assert database.run(ensure) == known
    assert rows(database, "SELECT name FROM instruments WHERE tick_size = 0.5") == [(listed[7].name,)]
    assert len(rows(database, "SELECT xmin FROM instruments WHERE tick_size <> 0.5")) == len(before) - 1
    assert rows(database, "SELECT count(*) FROM series") == rows(database, "SELECT count(*) FROM series_totals")


def test_the_views_that_users_query_have_their_columns_and_rows(
    database: Database, options: list[OptionSeries]
) -> None:
    bitcoin = option(1, currency="BTC")
    other = database.run(lambda cursor: option_series.ensure_option_series(cursor, [bitcoin]))[bitcoin.name]
    for instrument_id in (options[0].instrument_id, other.instrument_id):
        write(database, [quote(instrument_id, MIDNIGHT, 1)], [trade(instrument_id, MIDNIGHT, 1)])
    now = from_microseconds(MIDNIGHT)
    names = "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns"
    assert rows(database, f"{names} WHERE table_name = 'eth_option_quotes'") == [
        ("timestamp instrument bid_price bid_size ask_price ask_size underlying_price mark_price",)
    ]
    assert rows(database, "SELECT * FROM eth_option_quotes") == [
        (now, option(0).name, None, None, 0.0515, 112.0, 3_130.25, 0.0509)
    ]
    assert rows(database, f"{names} WHERE table_name = 'eth_option_trades'") == [
        ("timestamp instrument trade_id price size side iv underlying_price",)
    ]
    assert rows(database, "SELECT * FROM eth_option_trades") == [
        (now, option(0).name, "ETH-1", 0.0515, 3.0, "buy", 62.3, 3_130.25)
    ]


def test_the_writer_role_can_do_all_of_it_and_the_reader_can_read_it(
    database_url: str, options: list[OptionSeries], database: Database
) -> None:
    temporary = "GRANT TEMPORARY ON DATABASE {} TO tapekeeper_writer"
    ((name,),) = rows(database, "SELECT current_database()")
    database.run(lambda cursor: cursor.execute(temporary.format(name)))
    with closing(Database(database_url, prepare=f"SET ROLE tapekeeper_writer; {ticks.INCOMING_TABLES}")) as writer:
        writer.run(lambda cursor: option_series.ensure_option_series(cursor, [option(1), option(9)]))
        both = some_quotes(options[0].instrument_id, 3), [trade(options[0].instrument_id, MIDNIGHT, 1)]
        assert write(writer, *both) == TickCounts(3, 1)
        assert write(writer, *both) == TickCounts()
        writer.run(lambda cursor: option_series.follow_from(cursor, options[0][1:], MIDNIGHT))
    with closing(Database(database_url, prepare="SET ROLE tapekeeper_reader")) as reader:
        assert len(rows(reader, "SELECT * FROM eth_option_quotes")) == 3
        assert len(rows(reader, "SELECT * FROM eth_option_trades")) == 1
        assert len(rows(reader, "SELECT * FROM stream_positions")) == 8


BATCHES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 2)), max_size=12),
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), max_size=12),
    ),
    max_size=6,
)


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


@given(BATCHES)
@settings(max_examples=40)
def test_any_batches_in_any_order_leave_the_union_of_them_and_a_true_account(
    database: Database, options: list[OptionSeries], batches: list[Any]
) -> None:
    hours = 3_600 * SECOND

    def example(cursor: Cursor) -> None:
        inserted = TickCounts()
        for some, others in batches:
            quotes = [quote(options[at].instrument_id, MIDNIGHT + hour * hours, change) for at, hour, change in some]
            trades = [trade(options[at].instrument_id, MIDNIGHT + seq * hours, seq) for at, seq in others]
            inserted += write_ticks(cursor, quotes, trades)
        wanted = TickCounts(len({key for some, _ in batches for key in some}), len({k for _, o in batches for k in o}))
        assert inserted == wanted
        cursor.execute("SELECT (SELECT count(*) FROM option_quotes), (SELECT count(*) FROM option_trades)")
        assert TickCounts(*(cursor.fetchone() or ())) == wanted
        check_account(cursor)
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)
