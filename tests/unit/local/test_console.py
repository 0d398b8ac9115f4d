"""What the demo prints where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.local.console import Console

if TYPE_CHECKING:
    import pytest


def test_beside_json_nothing_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(to_standard_error=True)
    with console.step("one"), console.progress("candles", 1_000) as update:
        update(1_000)
    told = capsys.readouterr()
    assert told.out == ""
    assert "one (" in told.err
    assert "candles: 1,000 of 1,000" in told.err


def test_without_a_terminal_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(to_standard_error=False)
    with console.progress("candles", 2_000) as update:
        update(1)
        update(2_000)
    assert capsys.readouterr().out == "  candles: 2,000 of 2,000\n"


def test_text_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Console(to_standard_error=False).say("task[0] " + "x" * 200)
    assert capsys.readouterr().out == "task[0] " + "x" * 200 + "\n"
