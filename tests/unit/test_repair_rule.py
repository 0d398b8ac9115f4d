"""When a gap is repaired, permanent, or looked at again."""

from __future__ import annotations

import pytest

from tapekeeper.repair.rule import Look, Next, PermanentRule, Verdict

HOUR = 3_600_000_000
RULE = PermanentRule(permanent_after=24 * HOUR, pause=HOUR // 4)
AT_ONCE = PermanentRule(permanent_after=0, pause=HOUR // 4)
NOW = 1_000 * HOUR


def judged(
    rule: PermanentRule,
    *,
    missing: int = 3,
    is_clean: bool = True,
    found_empty_at: int | None = None,
    is_in_outage: bool = False,
) -> Verdict:
    return rule.judge(Look(NOW, missing, is_clean), found_empty_at=found_empty_at, is_in_outage=is_in_outage)


@pytest.mark.parametrize("rule", [RULE, AT_ONCE])
@pytest.mark.parametrize("found_empty_at", [None, NOW - 48 * HOUR])
def test_nothing_missing_is_repaired_whatever_was_before(rule: PermanentRule, found_empty_at: int | None) -> None:
    assert judged(rule, missing=0, is_clean=False, found_empty_at=found_empty_at).next is Next.REPAIRED


@pytest.mark.parametrize("rule", [RULE, AT_ONCE])
def test_an_answer_that_cannot_be_believed_proves_nothing(rule: PermanentRule) -> None:
    verdict = judged(rule, is_clean=False, found_empty_at=NOW - 48 * HOUR, is_in_outage=True)
    assert (verdict.next, verdict.next_attempt_at, verdict.empty_at) == (Next.WAIT, NOW + HOUR // 4, ())


def test_the_first_empty_look_waits_for_the_second() -> None:
    verdict = judged(RULE)
    assert (verdict.next, verdict.next_attempt_at, verdict.empty_at) == (Next.WAIT, NOW + 24 * HOUR, (NOW,))


def test_a_second_look_too_soon_keeps_the_first() -> None:
    verdict = judged(RULE, found_empty_at=NOW - HOUR)
    assert (verdict.next, verdict.next_attempt_at, verdict.empty_at) == (Next.WAIT, NOW + 23 * HOUR, (NOW - HOUR,))


def test_two_empty_looks_so_far_apart_are_the_evidence() -> None:
    verdict = judged(RULE, found_empty_at=NOW - 24 * HOUR)
    assert (verdict.next, verdict.empty_at) == (Next.PERMANENT, (NOW - 24 * HOUR, NOW))


def test_with_nothing_between_them_the_second_look_is_at_once() -> None:
    first = judged(AT_ONCE)
    assert (first.next, first.empty_at) == (Next.LOOK_AGAIN, (NOW,))
    second = judged(AT_ONCE, found_empty_at=NOW)
    assert (second.next, second.empty_at) == (Next.PERMANENT, (NOW, NOW))


@pytest.mark.parametrize("rule", [RULE, AT_ONCE])
def test_an_outage_is_the_other_witness(rule: PermanentRule) -> None:
    verdict = judged(rule, is_in_outage=True)
    assert (verdict.next, verdict.empty_at) == (Next.PERMANENT, (NOW,))
