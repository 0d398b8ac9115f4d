from __future__ import annotations

from pathlib import Path

from collector.series_cache import FILE_NAME, SeriesCache
from tapekeeper.store.option_series import OptionSeries

URL = "postgresql://keeper:secret@db:5432/ticks"


def test_it_remembers_ids_but_not_those_of_another_database(tmp_path: Path) -> None:
    cache = SeriesCache(tmp_path, URL)
    assert not cache
    cache.keep({"A": OptionSeries(1, 2, 3)})
    cache.keep({"B": OptionSeries(4, 5, 6)})
    again = SeriesCache(tmp_path, "postgresql://other:word@db:5432/ticks")
    assert again
    assert (again.get("A"), again.get("B"), again.get("C")) == (OptionSeries(1, 2, 3), OptionSeries(4, 5, 6), None)
    assert not SeriesCache(tmp_path, "postgresql://keeper:secret@db:5432/others")
    assert "secret" not in (tmp_path / FILE_NAME).read_text()


def test_a_file_that_says_nothing_is_no_memory(tmp_path: Path) -> None:
    for content in ("", "[]", '{"database": "db 5432 ticks", "series": {"A": [1]}}', '{"database": 3}'):
        (tmp_path / FILE_NAME).write_text(content)
        assert not SeriesCache(tmp_path, URL)


def test_a_disk_that_takes_nothing_costs_no_more_than_the_memory(tmp_path: Path) -> None:
    cache = SeriesCache(tmp_path / "gone", URL)
    cache.keep({"A": OptionSeries(1, 2, 3)})
    assert cache.get("A") == OptionSeries(1, 2, 3)
