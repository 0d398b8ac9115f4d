"""The lineage of a moment in plain sentences."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.cli.gap_words import short_json, to_the_second, told, words_of_gap
from tapekeeper.clock import format_moment
from tapekeeper.store.explanation import Verdict
from tapekeeper.store.origins import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekeeper.store.explanation import SeriesLineage
    from tapekeeper.store.origins import CollectorSession, CoveringChunk, SourceFile
    from tapekeeper.store.request_origins import ApiRequest

_FROM: Final = {"archive": " of a file"}
LIVE: Final = timedelta(minutes=1)
"""A tick that came later than this after it happened did not come live."""


def words_of_lineage(known: SeriesLineage) -> Iterator[tuple[int, str]]:
    """Yield how far to indent a line, and the line."""
    yield 0, f"{known.series.instrument.name}, {known.series.dataset.name}, {_subject(known)}: {known.verdict}"
    if known.row is not None:
        yield 2, ", ".join(f"{name} {_value(value)}" for name, value in known.row.items())
    if known.verdict in _WHY:
        yield 2, _WHY[known.verdict](known)
    for quarantined in known.quarantined:
        seen = f"seen {quarantined.times_seen:,} times, first at {to_the_second(quarantined.first_seen_at)}"
        yield 2, f"In quarantine, {seen}: {quarantined.reason}"
        yield 4, short_json(quarantined.content)
    for story in known.gaps:
        first, *rest = words_of_gap(story)
        yield 2, first
        yield from ((4, line) for line in rest)
    yield from _words_of_chunks(known)
    for file in known.files:
        yield 2, _words_of_file(file)
    for changed in known.corrections:
        yield (
            2,
            f"It was corrected at {to_the_second(changed.corrected_at)}, as told by {changed.source}. Before it was:",
        )
        yield 4, short_json(changed.before)
    yield from _words_of_arrival(known)
    if known.day is not None:
        day = known.day
        counts = f"{day.held:,} held and {day.explained:,} explained of {day.expected:,} expected"
        yield 2, f"The day {day.day} of this series: {counts}, {day.state}."


def _subject(known: SeriesLineage) -> str:
    start = told(known.window_start)
    if known.series.instrument.kind == "option_chain":
        return f"the options' candles of the day {known.window_start:%Y-%m-%d}"
    if not known.has_candles:
        return f"the last up to {start}"
    if known.series.dataset.table.endswith("candles"):
        return f"the candle of {known.series.resolution} that opens at {start}"
    return f"the row of {start}, one of every {known.series.resolution}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return told(value)
    return "-" if value is None else str(value)


def _why_before(known: SeriesLineage) -> str:
    return f"The venue listed it at {format_moment(known.series.instrument.listed_at)}: before that there is nothing."


def _why_after(known: SeriesLineage) -> str:
    return f"It expired at {format_moment(known.series.instrument.expires_at or 0)}: after that there is nothing."


def _why_not_over(known: SeriesLineage) -> str:
    return f"It can be told from {told(known.window_end)} on; now it is {to_the_second(known.now)}."


def _why_not_followed(known: SeriesLineage) -> str:
    before = [window for window in known.followed if window.window_start <= known.window_start]
    after = [window for window in known.followed if window.window_start > known.window_start]
    parts = [f"it was followed until {told(window.window_end)}" for window in before[-1:] if window.window_end]
    parts += [f"it is followed from {told(window.window_start)} on" for window in after[:1]]
    return f"Nobody asked us to hold this moment: {' and '.join(parts) or 'no window of it was ever followed'}."


def _why_under_way(known: SeriesLineage) -> str:
    if known.has_candles or known.is_asked_for:
        return "A backfill has yet to fetch it."
    until = "nothing" if known.accounted_until is None else told(known.accounted_until)
    return f"A collector has accounted for everything up to {until}; what comes after is known when it goes on."


def _why_quiet(known: SeriesLineage) -> str:
    since = [window.window_start for window in known.followed if window.holds(known.window_start)]
    return f"It is followed since {told(since[-1])} without a hole, and nothing happened up to this moment."


_WHY: Final[dict[Verdict, Callable[[SeriesLineage], str]]] = {
    Verdict.BEFORE_LISTING: _why_before,
    Verdict.AFTER_EXPIRY: _why_after,
    Verdict.NOT_OVER: _why_not_over,
    Verdict.NOT_FOLLOWED: _why_not_followed,
    Verdict.UNDER_WAY: _why_under_way,
    Verdict.QUIET: _why_quiet,
    Verdict.FAILED: lambda _: "The backfill that was to bring it failed: run the same again.",
    Verdict.MISSING: lambda known: (
        f"It is {'followed and was never told' if known.is_asked_for else 'expected and not held'},"
        " and no gap is recorded yet: `tapekeeper check` records it, `tapekeeper repair` fetches it."
    ),
}


def _words_of_chunks(known: SeriesLineage) -> Iterator[tuple[int, str]]:
    is_fetched = known.has_candles or known.is_asked_for
    if known.row is not None and is_fetched and known.first_change is None:
        yield 2, "It came with a repair." if known.requests else "No backfill is known that brought it."
    for chunk in known.chunks:
        yield 2, f"{_what_a_chunk_did(chunk, known)} {_words_of_chunk(chunk)}"
        yield from ((4, _words_of_request(request)) for request in chunk.requests)


def _what_a_chunk_did(chunk: CoveringChunk, known: SeriesLineage) -> str:
    run = f"run {chunk.run_id}"
    if known.row is None and known.quarantined and chunk.fetched:
        return f"The row in quarantine may have come with {run}:"
    if known.row is None:
        return f"The answer to {run} lacked it:" if chunk.fetched else f"Nothing came with {run}:"
    if chunk is known.first_change and known.is_first_change_certain:
        return f"It came with {run}:"
    words = {
        Effect.BROUGHT: f"It came with {run}:",
        Effect.MAY_HAVE_CHANGED: f"It may have come with {run}, or been changed by it:",
        Effect.LEFT_ALONE: f"As it is, it came again with {run}:",
        Effect.NOTHING: f"Nothing came with {run}:",
        Effect.SUPERSEDED: f"Before it was found to be missing there was {run}:",
    }
    return words[chunk.effect]


def _words_of_chunk(chunk: CoveringChunk) -> str:
    names = ("inserted", "updated", "unchanged", "rejected")
    counts = ", ".join(f"{count:,} {name}" for name in names if (count := getattr(chunk, name)))
    ended = "" if chunk.finished_at is None else f" at {to_the_second(chunk.finished_at)}"
    trouble = f"; last error: {chunk.error}" if chunk.error else ""
    window = f"[{told(chunk.window_start)}, {told(chunk.window_end)})"
    return (
        f"{chunk.run_key}, {chunk.mode}; chunk{_FROM.get(chunk.source, '')} {window} {chunk.state}"
        f"{ended}, {chunk.fetched:,} rows fetched{': ' if counts else ''}{counts}{trouble}"
    )


def _words_of_file(file: SourceFile) -> str:
    window = f"[{told(file.window_start)}, {told(file.window_end)})"
    return (
        f"File {file.name}, {file.size_bytes:,} bytes, sha256 {file.sha256}: {window} of it was loaded at"
        f" {to_the_second(file.loaded_at)}, its checksum last compared at {to_the_second(file.checked_at)}"
    )


def _words_of_request(request: ApiRequest) -> str:
    came = "no answer" if request.status is None else f"HTTP {request.status}"
    reason = f" ({request.reason})" if request.reason else ""
    asked = f"{to_the_second(request.requested_at)} {request.method} {short_json(request.parameters)}"
    return (
        f"{asked} -> {came}, {request.outcome}{reason}, {request.bytes:,} bytes"
        f" after {request.latency_seconds:.3f} s, try {request.attempt}"
    )


def _words_of_arrival(known: SeriesLineage) -> Iterator[tuple[int, str]]:
    is_fetched = known.has_candles or known.is_asked_for
    if not is_fetched:
        yield 2, _how_a_tick_came(known) if known.row is not None else _how_many_open(known, "at this moment")
    for session in known.sessions:
        yield 4, _words_of_session(session)
    if known.requests:
        yield 2, "Asked for by a repair:" if is_fetched else "Asked for right before it came:"
        yield from ((4, _words_of_request(request)) for request in known.requests)


def _how_a_tick_came(known: SeriesLineage) -> str:
    row = known.row or {}
    lag = row["received_at"] - row["event_time"]
    after = f"It came {lag.total_seconds():,.3f} s after it happened"
    if known.requests or lag > LIVE:
        return f"{after}, so it may have been asked for. {_how_many_open(known, 'then')}"
    return f"{after}. {_how_many_open(known, 'then')}"


def _how_many_open(known: SeriesLineage, when: str) -> str:
    if not known.sessions:
        return f"No live connection was open {when}."
    return f"Live connections that were open {when}: {len(known.sessions)}."


def _words_of_session(session: CollectorSession) -> str:
    until = (
        "still open"
        if session.closed_at is None
        else f"until {to_the_second(session.closed_at)} ({session.close_reason})"
    )
    return (
        f"session {session.session_id} of {session.collector}, {session.channels:,} channels,"
        f" from {to_the_second(session.opened_at)}, {until}"
    )
