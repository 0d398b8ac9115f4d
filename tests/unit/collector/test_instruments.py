from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.instruments import InstrumentChoice, Listed, chosen
from collector.settings import CollectorSettings
from tapekeeper.errors import NetworkFailure
from tapekeeper.model.book_summary import BookSummary
from tapekeeper.model.instrument import Instrument

NOW = 1_000


def option(name: str, expires_at: int | None = 2_000) -> Instrument:
    return Instrument("deribit", name, "option", "ETH", 0, expires_at, 0.0005, 3_000.0, "call")


def settings(tmp_path: Path, **more: Any) -> CollectorSettings:
    return CollectorSettings(spool_directory=tmp_path, **more)


def names(instruments: list[Instrument]) -> list[str]:
    return [one.name for one in instruments]


def test_the_largest_open_interest_comes_first_and_the_dead_do_not_come(tmp_path: Path) -> None:
    listed = Listed(
        [option("A"), option("B"), option("C"), option("D", expires_at=NOW), option("E")],
        {"A": 1.0, "B": 3.0, "C": 1.0, "D": 9.0},
    )
    assert names(chosen(listed, settings(tmp_path, top_n_instruments=3), NOW)) == ["B", "A", "C"]
    assert names(chosen(listed, settings(tmp_path, top_n_instruments=None), NOW)) == ["B", "A", "C", "E"]


def test_shards_divide_the_top_of_all(tmp_path: Path) -> None:
    listed = Listed(
        [option(f"ETH-{number}") for number in range(30)], {f"ETH-{number}": number for number in range(30)}
    )
    halves = [chosen(listed, settings(tmp_path, top_n_instruments=20, shard=(number, 2)), NOW) for number in (1, 2)]
    assert sorted(names(halves[0]) + names(halves[1])) == sorted(f"ETH-{number}" for number in range(10, 30))


class Rest:
    """A venue that answers, or does not."""

    def __init__(self) -> None:
        self.is_away = False

    def instruments(self, currency: str, kind: str) -> list[Instrument]:
        return [option("A", None), option("B", 4_102_444_800_000_000)]

    def book_summaries(self, currency: str, kind: str) -> list[BookSummary]:
        return [BookSummary("B", 0, 5.0, 0.1, None, None, None, None, None)]

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        if self.is_away:
            raise NetworkFailure("away", after_seconds=1)
        return question(self)


def test_a_list_is_remembered_for_a_start_without_the_venue(tmp_path: Path) -> None:
    rest: Any = Rest()
    told = asyncio.run(InstrumentChoice(settings(tmp_path), rest).choose())
    assert names(told) == ["B", "A"]
    rest.is_away = True
    assert asyncio.run(InstrumentChoice(settings(tmp_path), rest).choose()) == told


@pytest.mark.parametrize("content", [None, "{", '{"instruments": [{"name": 1}], "open_interest": {}}'])
def test_without_the_venue_and_without_a_usable_list_there_is_no_choice(tmp_path: Path, content: str | None) -> None:
    rest: Any = Rest()
    rest.is_away = True
    if content is not None:
        (tmp_path / "instruments.json").write_text(content)
    with pytest.raises(NetworkFailure):
        asyncio.run(InstrumentChoice(settings(tmp_path), rest).choose())
