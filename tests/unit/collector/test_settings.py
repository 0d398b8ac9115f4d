from __future__ import annotations

from pathlib import Path

import pytest

from collector.settings import CollectorSettings, read_collector_settings, settings_table
from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_collector_settings({"PATH": "/bin", "TAPEKEEPER_DATABASE_URL": "postgresql://h/d"})
    assert settings == CollectorSettings()
    assert (settings.top_n_instruments, settings.buffer_size_quotes, settings.buffer_size_trades) == (
        50,
        200_000,
        100_000,
    )
    assert (settings.shard_number, settings.shard_count) == (1, 1)


def test_the_names_that_users_have_are_understood() -> None:
    settings = read_collector_settings(
        {
            "TOP_N_INSTRUMENTS": "all",
            "BUFFER_SIZE_QUOTES": "10",
            "BUFFER_SIZE_TRADES": "20",
            "FLUSH_INTERVAL_SEC": "0.2",
            "SHARD": "2/3",
            "TAPEKEEPER_COLLECTOR_CHANNELS": "book, trades",
            "TAPEKEEPER_COLLECTOR_METRICS_PORT": "0",
        }
    )
    assert settings.top_n_instruments is None
    assert (settings.buffer_size_quotes, settings.buffer_size_trades, settings.flush_interval_sec) == (10, 20, 0.2)
    assert (settings.shard_number, settings.shard_count) == (2, 3)
    assert settings.channels == ("book", "trades")
    assert settings.metrics_port == 0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TOP_N_INSTRUMENTS", "many", r"TOP_N_INSTRUMENTS='many': .*integer"),
        ("TOP_N_INSTRUMENTS", "0", r"TOP_N_INSTRUMENTS='0': .*greater than or equal to 1"),
        ("SHARD", "0/3", r"SHARD='0/3': must look like 1/3, 2/3 or 3/3"),
        ("SHARD", "4/3", r"SHARD='4/3': must look like 1/3"),
        ("SHARD", "one of three", r"SHARD='one of three': must look like 1/3"),
        ("FLUSH_INTERVAL_SEC", "0", r"FLUSH_INTERVAL_SEC='0': .*greater than or equal to 0.05"),
        ("TAPEKEEPER_COLLECTOR_CHANNELS", "book,greeks", r"TAPEKEEPER_COLLECTOR_CHANNELS='book,greeks': .*'trades'"),
        ("TAPEKEEPER_COLLECTOR_CHANELS", "book", r"is not a setting of the collector: did you mean .*_CHANNELS\?"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigInvalid, match=sentence):
        read_collector_settings({name: value})


def test_the_core_leaves_the_names_of_the_collector_alone() -> None:
    settings = read_settings({"TAPEKEEPER_COLLECTOR_CHANNELS": "book", "TAPEKEEPER_DERIBIT_WEBSOCKET_URL": "ws://h/ws"})
    assert settings.deribit.websocket_url == "ws://h/ws"
    with pytest.raises(ConfigInvalid, match="must look like wss://host/path"):
        read_settings({"TAPEKEEPER_DERIBIT_WEBSOCKET_URL": "https://h"})


def test_the_table_of_settings_is_the_one_that_the_program_prints() -> None:
    readme = Path(__file__).parents[3] / "collector" / "README.md"
    assert settings_table() in readme.read_text(encoding="utf-8")
    assert settings_table().count("TAPEKEEPER_COLLECTOR_") > 10
