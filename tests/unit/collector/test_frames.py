from __future__ import annotations

import gzip
import json
from pathlib import Path

from collector.frames import KEPT, MalformedFrames, Recorder


def test_the_last_hundred_malformed_frames_are_kept(tmp_path: Path) -> None:
    frames = MalformedFrames(tmp_path / "malformed")
    for number in range(KEPT + 5):
        frames.keep(b"frame %d" % number, "no JSON")
    kept = {path.read_bytes() for path in (tmp_path / "malformed").iterdir()}
    assert kept == {b"no JSON\nframe %d" % number for number in range(5, KEPT + 5)}


def test_every_recorded_frame_can_be_read_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10_000_000)
    for number in range(1_000):
        recorder.keep(b'{"number":%d}' % number, "session", number)
    recorder.close()
    lines = [
        json.loads(line)
        for path in sorted(tmp_path.iterdir())
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert [line["number"] for line in lines] == list(range(1_000))
    assert lines[7] == {"number": 7, "received_at": 7, "session": "session"}
    assert recorder.left_out == 0
