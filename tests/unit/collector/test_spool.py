"""The spool needs a folder, and nothing else that is real."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.spool import FILE_NAME, Spool, SpoolFull
from tapekeeper.errors import ConfigInvalid

MEGABYTE = 1_000_000


def drained(spool: Spool) -> list[bytes]:
    contents = []
    while (spooled := spool.first()) is not None:
        contents.append(spooled.content)
        spool.remove(spooled)
    return contents


def test_batches_come_back_in_order_also_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new", MEGABYTE)
    spool.put(b"one")
    spool.put(b"two")
    spool.close()
    spool = Spool(tmp_path / "new", MEGABYTE)
    assert (spool.batches, spool.bytes) == (2, 6)
    spool.put(b"three")
    assert drained(spool) == [b"one", b"two", b"three"]
    assert (spool.batches, spool.bytes) == (0, 0)
    spool.close()


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from collector.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1_000_000)\n"
        "for number in range(1000):\n"
        "    spool.put(str(number).encode()); print(number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 20:
                os.kill(process.pid, signal.SIGKILL)
                break
        seen = max([20, *map(int, process.stdout.read().split())])
    spool = Spool(tmp_path, MEGABYTE)
    kept = [int(content) for content in drained(spool)]
    spool.close()
    assert kept == list(range(len(kept)))
    assert seen < len(kept) <= seen + 2


def test_a_full_spool_refuses_rows_but_finds_room_for_the_account_of_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    spool.put(bytes(990))
    with pytest.raises(SpoolFull, match=r"holds 990 bytes, and 1,000 are allowed"):
        spool.put(bytes(20))
    spool.put(bytes(20), has_rows=False)
    assert [len(content) for content in drained(spool)] == [990, 20]
    spool.put(bytes(990))
    spool.close()


def put_all(spool: Spool, batches: list[bytes]) -> None:
    for batch in batches:
        spool.put(batch)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that takes nothing more, as far as this process is concerned."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_emptied_all_the_same(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.refuse(b"never", "why")
    batches = [bytes([number]) * 10_000 for number in range(100)]
    with no_file_larger_than(100_000):
        with pytest.raises(SpoolFull, match="takes nothing more"):
            put_all(spool, batches)
        assert 0 < spool.batches < 100
        batches = batches[: spool.batches]
        assert spool.bytes == sum(map(len, batches))
        assert drained(spool) == batches
        assert (spool.batches, spool.bytes) == (0, 0)
        spool.put(b"again")
        assert drained(spool) == [b"again"]
    assert spool._connection.execute("SELECT reason, content FROM refused").fetchall() == [("why", b"never")]
    spool.close()


def test_only_one_process_may_have_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.put(b"mine")
    with pytest.raises(ConfigInvalid, match="TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY"):
        Spool(tmp_path, MEGABYTE)
    spool.close()


def test_a_file_that_is_no_spool_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    spool = Spool(tmp_path, MEGABYTE)
    spool.put(b"one")
    assert drained(spool) == [b"one"]
    spool.close()
    assert len(list(tmp_path.glob("*.broken-*"))) == 1


def test_a_folder_that_cannot_be_is_refused_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match="TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY"):
        Spool(tmp_path / "file", MEGABYTE)
