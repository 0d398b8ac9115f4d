"""One try to repair one gap: fetch, write, count again, and say what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.backfill.offers import leaves_out_for_good, offer_of
from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment, now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.model.repair import RepairSummary
from tapekeeper.model.series import DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.repair.fetched import NOTHING_FETCHED, Fetched
from tapekeeper.repair.files import load_files
from tapekeeper.repair.rows import fetch_rows
from tapekeeper.repair.rule import Look, Next, PermanentRule, Verdict
from tapekeeper.repair.trades import fetch_agg_trades, fetch_trades
from tapekeeper.store import gaps, repair_claims
from tapekeeper.store.gap_counts import lack

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.settings import Settings
    from tapekeeper.store.repair_claims import Claim


class GapRepair:
    """One try; the gap is claimed, and its lock is held by somebody who lives as long as this."""

    def __init__(self, tools: WorkerTools, claim: Claim, settings: Settings, by: str) -> None:
        self._tools = tools
        self._claim = claim
        self._gap_id = claim.gap.gap_id
        self._by = by
        self._settings = settings
        self._rule = PermanentRule(
            permanent_after=_permanent_after(claim, settings),
            pause=round(settings.repair.attempt_pause_minutes * 60 * MICROSECONDS_PER_SECOND),
        )
        self._requests_before = tools.requests_made()
        self._found_empty_at = claim.found_empty_at

    def run(self) -> RepairSummary:
        """Look at what the venue has, a second time if nothing has to lie between two looks; return what was done.

        The venue is not asked for what came meanwhile by another way.

        Raises:
            RetryLater: the venue cannot be asked now; what came before is kept, the gap is still claimed.
            BadData: an answer cannot be believed; the gap is still claimed.
            RequestRejected: the venue refuses for good; the gap is still claimed.
        """
        while (done := self._look()) is None:
            pass
        return done

    def postpone(self, why: str, *, after_seconds: float) -> RepairSummary:
        """Give the gap back, with what came so far counted; return what was done."""
        next_attempt_at = now_microseconds() + round(after_seconds * MICROSECONDS_PER_SECOND)
        return self._tools.database.run(lambda cursor: self._postpone(cursor, next_attempt_at, why, is_trouble=True))

    def _look(self) -> RepairSummary | None:
        asked_at = now_microseconds()
        fetched = self._fetch() if self._claim.missing else NOTHING_FETCHED
        return self._tools.database.run(lambda cursor: self._settle(cursor, fetched, asked_at))

    def _fetch(self) -> Fetched:
        """Ask for what is missing: over REST what is told there, in files the rest, and all that REST lacked before."""
        claim, now = self._claim, now_microseconds()
        if claim.dataset == DERIBIT_OPTION_TRADES:
            return fetch_trades(self._tools, claim)
        offer, gap = offer_of(claim.dataset), claim.gap.window
        kept_from = offer.kept_from(now)
        archive = offer.archive_of(claim.resolution, self._settings)
        in_files = gap.end if self._found_empty_at is not None else min(kept_from, gap.end)
        if archive is not None and gap.start < in_files:
            # A trade that is missing may share the moment of the one after it, with which the window ends.
            end = in_files if claim.gap.sequences is None else in_files + 1
            load_files(self._tools, claim, archive, Window(gap.start, end), now=now)
        if claim.gap.sequences is None:
            return fetch_rows(self._tools, claim, self._settings, kept_from=kept_from)
        return fetch_agg_trades(self._tools, claim) if gap.start >= kept_from else NOTHING_FETCHED

    def _settle(self, cursor: Cursor, fetched: Fetched, asked_at: int) -> RepairSummary | None:
        """Write the rest of the rows and what became of the gap in one transaction; None: look again."""
        fetched.write_rest(cursor)
        if not repair_claims.is_ours(cursor, self._claim):
            return self._summary(skipped=1)
        look = Look(asked_at, self._missing(cursor), fetched.is_clean)
        verdict = self._rule.judge(look, found_empty_at=self._found_empty_at, is_in_outage=self._claim.is_in_outage)
        if verdict.empty_at:
            gaps.note_empty(cursor, self._gap_id, verdict.empty_at[0])
        if verdict.next is Next.LOOK_AGAIN:
            self._found_empty_at = verdict.empty_at[0]
            return None
        if verdict.next is Next.WAIT:
            return self._postpone(cursor, verdict.next_attempt_at, verdict.why, is_trouble=not look.is_clean)
        return self._close(cursor, verdict, found=self._claim.missing - look.missing)

    def _close(self, cursor: Cursor, verdict: Verdict, *, found: int) -> RepairSummary:
        empty_at = [format_moment(moment) for moment in verdict.empty_at]
        evidence = {"verdict": verdict.why, **({"found_empty_at": empty_at} if empty_at else {})}
        gaps.close_gap(cursor, self._gap_id, requests=self._requests, by=self._by, evidence=evidence)
        is_repaired = verdict.next is Next.REPAIRED
        return self._summary(repaired=int(is_repaired), permanent=int(not is_repaired), found=found)

    def _postpone(self, cursor: Cursor, next_attempt_at: int, why: str, *, is_trouble: bool) -> RepairSummary:
        if not repair_claims.is_ours(cursor, self._claim):
            return self._summary(skipped=1)
        found = self._claim.missing - self._missing(cursor)
        gaps.postpone_repair(
            cursor, self._gap_id, next_attempt_at=next_attempt_at, by=self._by, why=why, requests=self._requests
        )
        troubles = (f"gap {self._gap_id} of {self._claim.instrument_name}: {why}",) if is_trouble else ()
        return self._summary(postponed=1, found=found, troubles=troubles)

    def _missing(self, cursor: Cursor) -> int:
        gap = self._claim.gap
        return lack(cursor, gap.series_id, gap.window, gap.sequences).missing

    @property
    def _requests(self) -> int:
        return self._tools.requests_made() - self._requests_before

    def _summary(
        self,
        *,
        repaired: int = 0,
        permanent: int = 0,
        postponed: int = 0,
        skipped: int = 0,
        found: int = 0,
        troubles: tuple[str, ...] = (),
    ) -> RepairSummary:
        return RepairSummary(
            repaired, permanent, postponed, skipped, rows_found=found, requests=self._requests, troubles=troubles
        )


def _permanent_after(claim: Claim, settings: Settings) -> int:
    """Return how far apart two empty answers have to be, in microseconds; where nothing is told later, at all.

    A file of an archive may be replaced by a better one.
    """
    is_final = leaves_out_for_good(claim.dataset) and claim.gap.cause is not Cause.ARCHIVE_DEFECT
    hours = 0.0 if is_final else settings.repair.permanent_after_hours
    return round(hours * 3_600 * MICROSECONDS_PER_SECOND)
