"""The small parts of the live check: what they make of a query or of a configuration, as Grafana and Prometheus do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prometheus_client.samples import Sample

from tests.observability.live.grafana_macros import expand_macros
from tests.observability.live.grafana_time import TimeRange, range_of, rate_interval, seconds_of
from tests.observability.live.grafana_variables import Language, Variables
from tests.observability.live.history import moments, parts
from tests.observability.live.past import MINUTE, Past, told_before
from tests.observability.live.recorded import held_for, in_turns
from tests.observability.live.seconds import seconds_for_minutes

SIX_HOURS = TimeRange(1_700_000_000, 1_700_021_600)


@pytest.mark.parametrize(
    ("hours", "panel", "step"),
    [
        (1, {}, 15),
        (6, {}, 20),
        (24, {}, 60),
        (24, {"maxDataPoints": 100}, 900),
        (24, {"interval": "5m"}, 300),
        (7 * 24, {}, 600),
        (30 * 24, {}, 1_800),
        (365 * 24, {}, 21_600),
    ],
)
def test_the_distance_of_points_is_round_and_no_shorter_than_a_scrape(
    hours: int, panel: dict[str, Any], step: int
) -> None:
    assert TimeRange(0, hours * 3_600).step(panel) == step


def test_a_rate_always_has_two_samples() -> None:
    assert [rate_interval(step) for step in (15, 45, 60, 600)] == [60, 60, 75, 615]


def test_ranges_and_intervals_are_read() -> None:
    assert range_of({"time": {"from": "now-6h", "to": "now"}}, 21_700) == TimeRange(100, 21_700)
    assert [seconds_of(text) for text in ("30s", "5m", "2h", "7d", "'1w'", "1M")] == [
        30, 300, 7_200, 604_800, 604_800, 2_592_000
    ]  # fmt: skip
    for wrong in ("now/d", "now-6", "yesterday"):
        with pytest.raises(ValueError, match="is no"):
            range_of({"time": {"from": wrong, "to": "now"}}, 0)


@pytest.fixture
def variables() -> Variables:
    chosen = Variables(SIX_HOURS)
    chosen.choose({"name": "dataset", "multi": True, "includeAll": True}, ["a.b", "it's"])
    chosen.choose({"name": "one", "multi": True}, ["a.b", "c"])
    chosen.choose({"name": "single"}, ["a.b", "c"])
    chosen.choose({"name": "any", "includeAll": True, "allValue": ".*"}, ["a", "b"])
    return chosen


@pytest.mark.parametrize(
    ("query", "language", "expanded"),
    [
        ('x{d=~"$dataset"}', Language.PROMQL, r'x{d=~"(a\\.b|it' + "'" + 's)"}'),
        ('x{d=~"${one}"}', Language.PROMQL, r'x{d=~"a\\.b"}'),
        ('x{d="$single"}', Language.PROMQL, 'x{d="a.b"}'),
        ('x{d=~"$any"}', Language.PROMQL, 'x{d=~".*"}'),
        ('x{d=~"${any:pipe}"}', Language.PROMQL, 'x{d=~"a|b"}'),
        ('x{d=~"b$"}', Language.PROMQL, 'x{d=~"b$"}'),
        ("rate(x[$__rate_interval])", Language.PROMQL, "rate(x[60s])"),
        ("increase(x[$__range]) / $__range_s", Language.PROMQL, "increase(x[21600s]) / 21600"),
        ("IN (${dataset:sqlstring})", Language.SQL, "IN ('a.b','it''s')"),
        ("IN ($dataset)", Language.SQL, "IN ('a.b','it''s')"),
        ("= '$single'", Language.SQL, "= 'a.b'"),
        ("= '$5 a day' AND $__timeFilter(at)", Language.SQL, "= '$5 a day' AND $__timeFilter(at)"),
    ],
)
def test_values_are_put_in_as_the_data_source_does(
    variables: Variables, query: str, language: Language, expanded: str
) -> None:
    assert variables.expand(query, language, 15) == expanded


@pytest.mark.parametrize("query", ["x{d='$datset'}", "${datset}", "${dataset:sql}", "$__rate_intervall"])
def test_what_nobody_has_chosen_is_told(variables: Variables, query: str) -> None:
    with pytest.raises(ValueError, match=r"there is no variable|is no format"):
        variables.expand(query, Language.PROMQL, 15)


@pytest.mark.parametrize(
    ("query", "expanded"),
    [
        ("$__timeFilter(at)", "at BETWEEN '2023-11-14T22:13:20.000Z' AND '2023-11-15T04:13:20.000Z'"),
        ("at < $__timeTo()", "at < '2023-11-15T04:13:20.000Z'"),
        ("SELECT $__time(at)", 'SELECT at AS "time"'),
        ("$__timeGroup(at, '5m')", "floor(extract(epoch from at)/300)*300"),
        ("$__timeGroupAlias(at, 1h)", 'floor(extract(epoch from at)/3600)*3600 AS "time"'),
        ("$__unixEpochFilter(at)", "at >= 1700000000 AND at <= 1700021600"),
    ],
)
def test_macros_become_sql(query: str, expanded: str) -> None:
    assert expand_macros(query, SIX_HOURS) == expanded


@pytest.mark.parametrize("query", ["$__timeFiltered(at)", "$__timeGroup(at)", "$__timeGroup(at, 5 minutes)"])
def test_a_macro_that_does_not_exist_is_told(query: str) -> None:
    with pytest.raises(ValueError, match=r"no macro|lacks an argument|no interval"):
        expand_macros(query, SIX_HOURS)


@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [
        ("for: 2m", "for: 2s"),
        ("avg_over_time(x:rate5m[3d]) offset 1h", "avg_over_time(x:rate5m[4320s]) offset 60s"),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("x:p99_5m > scalar(y_in_15m:threshold) * 0.5", "x:p99_5m > scalar(y_in_15m:threshold) * 0.5"),
        ("vector(2e9) # 120", "vector(2e9) # 120"),
    ],
)
def test_waits_and_windows_become_sixty_times_as_short_and_names_stay(minutes: str, seconds: str) -> None:
    assert seconds_for_minutes(minutes) == seconds


def test_a_history_gets_rarer_with_age_and_has_no_moment_twice() -> None:
    end = 1_700_000_007.5
    times = moments(parts(end, 3.5))
    distances = np.diff(times)
    assert (distances > 0).all()
    assert (distances.max(), distances.min()) == (150, 30)
    assert end - 30 <= times[-1] <= end
    assert 0 <= times[0] - (end - 3.5 * 86_400) < 150


def test_an_alert_fires_when_it_has_held_for_so_long() -> None:
    times = np.arange(0.0, 600, 60)
    values = np.array([1, 1, 1, 1, np.nan, 1, 1, 1, 1, 1])
    assert held_for(times, values, 0).tolist() == (~np.isnan(values)).tolist()
    assert held_for(times, values, 120).tolist() == [True] * 4 + [False] * 3 + [True] * 3


def test_rules_wait_for_what_they_look_at() -> None:
    rules = [
        {"record": "a:b:c", "expr": "d:e:f + g:h:i"},
        {"record": "d:e:f", "expr": "x"},
        {"record": "g:h:i", "expr": "d:e:f"},
    ]
    assert [[rule["record"] for rule in turn] for turn in in_turns(rules)] == [["d:e:f"], ["g:h:i"], ["a:b:c"]]
    with pytest.raises(AssertionError, match="look at each other"):
        list(in_turns([{"record": "a:b:c", "expr": "d:e:f"}, {"record": "d:e:f", "expr": "a:b:c"}]))


@pytest.fixture
def past() -> Past:
    return Past(moments(parts(1_700_000_000.0, 7)))


@pytest.mark.parametrize(
    ("name", "labels", "counted_for"),
    [
        ("tapekeeper_collector_messages_total", {"venue": "deribit", "channel": "book"}, 10.0),
        ("tapekeeper_collector_reconnects_total", {"reason": "reset"}, 10.0),
        ("tapekeeper_backfill_rows_written_total", {"dataset": "deribit.perpetual_candles"}, 604_800.0),
    ],
)
def test_a_counter_never_fell(past: Past, name: str, labels: dict[str, str], counted_for: float) -> None:
    values = told_before(Sample(name, labels, 1_000.0), past, counted_for=counted_for)
    assert values[0] >= 0
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[0]


def test_while_the_venue_was_away_nothing_came(past: Past) -> None:
    away = past.away
    assert 0 < away.sum() < away.size / 50
    messages = told_before(Sample("tapekeeper_collector_messages_total", {}, 1_000.0), past, counted_for=10.0)
    assert (np.diff(messages)[away[1:]] == 0).all()
    connected = told_before(Sample("tapekeeper_collector_connected", {}, 1.0), past, counted_for=None)
    assert (connected == ~away).all()
    newest = told_before(Sample("tapekeeper_last_tick_timestamp_seconds", {}, past.now), past, counted_for=None)
    assert (past.times - newest).max() == pytest.approx(25 * MINUTE, abs=150)


def test_a_history_ends_with_what_is_told_now(past: Past) -> None:
    for name, labels in (
        ("tapekeeper_gaps_open", {"dataset": "a", "cause": "unknown"}),
        ("tapekeeper_collector_queue_capacity", {"queue": "quotes"}),
        ("tapekeeper_quality_check_status", {"dataset": "a", "check": "b", "severity": "critical"}),
        ("tapekeeper_completeness_ratio", {"dataset": "a", "window": "24h"}),
        ("tapekeeper_backfill_chunks", {"dataset": "a", "state": "failed"}),
    ):
        for value in (0.0, 1.0):
            assert told_before(Sample(name, labels, value), past, counted_for=None)[-1] == value, name
