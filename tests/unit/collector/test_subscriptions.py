from __future__ import annotations

from collector.subscriptions import Spread, instruments_per_connection, of_shard

NAMES = [f"ETH-27DEC30-{strike}-C" for strike in range(1_000, 11_000, 100)]


def test_shards_share_all_instruments_and_no_instrument_twice() -> None:
    shards = [of_shard(NAMES, number, 3) for number in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(NAMES)
    assert all(20 <= len(shard) <= 50 for shard in shards)


def test_the_shard_of_a_name_is_the_same_for_ever() -> None:
    strikes = [name.split("-")[2] for name in of_shard(NAMES[:8], 1, 2)]
    assert strikes == ["1000", "1100", "1300", "1400", "1500"]


def test_instruments_fill_one_connection_after_the_other() -> None:
    spread = Spread(instruments_per_connection=40, connections_maximum=3)
    assert spread.change_to(NAMES[:90]) == []
    assert [len(spread.names_on(number)) for number in spread.connections] == [40, 40, 10]
    assert spread.change_to(NAMES) == []
    assert [len(spread.names_on(number)) for number in spread.connections] == [40, 40, 20]


def test_a_change_moves_nobody_who_stays() -> None:
    spread = Spread(instruments_per_connection=40, connections_maximum=3)
    spread.change_to(NAMES)
    spread.change_to(NAMES[10:])
    assert [spread.names_on(number) for number in spread.connections] == [NAMES[10:40], NAMES[40:80], NAMES[80:]]
    spread.change_to([*NAMES[10:], "ETH-NEW-1-C"])
    assert "ETH-NEW-1-C" in spread.names_on(0)


def test_what_finds_no_room_is_told() -> None:
    spread = Spread(instruments_per_connection=40, connections_maximum=2)
    assert spread.change_to(NAMES) == NAMES[80:]


def test_a_connection_that_does_not_work_gives_its_instruments_away() -> None:
    spread = Spread(instruments_per_connection=40, connections_maximum=4)
    spread.change_to(NAMES)
    assert spread.give_away(0) == []
    assert spread.names_on(0) == []
    assert sum(len(spread.names_on(number)) for number in spread.connections) == 100
    spread.works_again(0)
    spread.change_to([*NAMES, "ETH-NEW-1-C"])
    assert "ETH-NEW-1-C" in spread.names_on(0)


def test_without_another_connection_they_stay() -> None:
    spread = Spread(instruments_per_connection=100, connections_maximum=1)
    spread.change_to(NAMES)
    assert spread.give_away(0) == NAMES
    assert spread.names_on(0) == NAMES


def test_a_connection_keeps_room_for_the_channels_that_concern_all() -> None:
    assert instruments_per_connection(400, 3) == 132
    assert instruments_per_connection(4, 3) == 1
