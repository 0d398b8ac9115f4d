"""What a gap may become, and which parts of a range nothing covers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import GapState, Sequences, uncovered

LEGAL = {
    ("open", "classified"),
    ("classified", "repairing"),
    ("classified", "accepted"),
    ("repairing", "classified"),
    ("repairing", "repaired"),
    ("repairing", "permanent"),
    ("repairing", "accepted"),
}


@pytest.mark.parametrize(("was", "wanted"), list(itertools.product(GapState, GapState)))
def test_a_gap_moves_only_as_drawn(was: GapState, wanted: GapState) -> None:
    if (was.value, wanted.value) in LEGAL:
        was.require(wanted)
    else:
        with pytest.raises(InvariantBroken, match=f"a gap that is {was} cannot become {wanted}: from there"):
            was.require(wanted)


def test_a_closed_gap_goes_nowhere() -> None:
    assert {state.value for state in GapState if state.is_closed} == {"repaired", "permanent", "accepted"}


def test_both_ends_of_sequences_belong_to_them() -> None:
    assert len(Sequences(5, 5)) == 1
    assert len(Sequences(5, 9)) == 5


RANGES = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda pair: (pair[0], sum(pair)))


@given(RANGES, st.lists(RANGES, max_size=6))
def test_uncovered_is_what_nothing_takes(wanted: tuple[int, int], taken: list[tuple[int, int]]) -> None:
    parts = uncovered(*wanted, taken)
    found = [number for part in parts for number in range(*part)]
    assert found == sorted(set(range(*wanted)) - {number for part in taken for number in range(*part)})
    assert all(left[1] < right[0] for left, right in itertools.pairwise(parts))
