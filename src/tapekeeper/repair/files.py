"""What a gap lacks and the venue tells no more over REST: looked for in the files of its archive."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from tapekeeper.backfill.file_load import write_file
from tapekeeper.backfill.landing import make_room
from tapekeeper.errors import ArchiveDefect
from tapekeeper.repair.fetched import RepairPurpose
from tapekeeper.store.archive_files import loaded_sha256

if TYPE_CHECKING:
    from tapekeeper.backfill.offers import Archive
    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.window import Window
    from tapekeeper.store.repair_claims import Claim

_log = logging.getLogger(__name__)


def load_files(tools: WorkerTools, claim: Claim, archive: Archive, window: Window, *, now: int) -> None:
    """Load what the published files have of a window, one transaction for each file.

    A file that is not there, or not what its checksum says, tells nothing, and neither does one that was loaded
    already and is what it was then: the gap stays as it is.

    Raises:
        RetryLater: the archive cannot be asked now; what came before is kept.
    """
    for file, part in archive.files_of(claim.instrument_name, window, claim.resolution):
        if archive.published_at(file) > now:
            continue
        tools.about_to_fetch(RepairPurpose(claim.gap.series_id, part))
        try:
            kept = tools.database.run(partial(loaded_sha256, series_id=claim.gap.series_id, name=file.name))
            is_taken = kept is not None and kept.window.intersect(part) == part
            if kept is not None and is_taken and tools.archive().checksum(file) == kept.sha256:
                continue
            tools.database.run(partial(make_room, dataset=claim.dataset, window=part))
            with tools.archive().fetch(file) as verified:
                tools.database.run(
                    partial(
                        write_file,
                        dataset=claim.dataset,
                        series_id=claim.gap.series_id,
                        window=part,
                        file=file,
                        verified=verified,
                    )
                )
        except ArchiveDefect as error:
            _log.warning("gap %d of %s: %s", claim.gap.gap_id, claim.instrument_name, error)
