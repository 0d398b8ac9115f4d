"""Frames on their way: as bytes, under faults, encoded ahead, and what time demands beside them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest

from simulator.deribit.stream.heartbeat import Heartbeat, Patience
from simulator.deribit.stream.load_frames import BookFrames, LoadFrames, TickerFrames, TradeFrames
from simulator.deribit.stream.mischief import Mischief
from simulator.deribit.stream.publisher import Frame
from simulator.deribit.stream.replay import Recording
from simulator.deribit.stream.wire import Deflate, text_frame
from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.faults import parse_faults
from tests.unit.simulator.venue import NOW, SEED, Venue

BOOK: Final = "book.ETH-PERPETUAL.100ms"


def frame(number: int, channel: str = BOOK) -> Frame:
    data = {"change_id": number, "prev_change_id": number - 1}
    payload = json.dumps({"params": {"channel": channel, "data": data}}, separators=(",", ":")).encode()
    return Frame(channel, "ETH-PERPETUAL", payload)


def plan(*faults: dict[str, Any]) -> FaultPlan:
    one = FaultPlan(SEED)
    one.replace(parse_faults(json.dumps({"faults": faults}).encode()), 0.0)
    return one


def sent(faults: FaultPlan, numbers: Iterator[int] | range, *, connection: int = 1, now: float = 0.0) -> list[bytes]:
    """Return what one connection is sent of these frames."""
    mischief, payloads = Mischief(), []
    for number in numbers:
        fired = faults.fire_at_frame(BOOK, "ETH-PERPETUAL", connection, now)
        payloads += mischief.pass_on(frame(number), fired, now)
    return payloads


def ids(payloads: list[bytes]) -> list[int]:
    return [json.loads(payload)["params"]["data"]["change_id"] for payload in payloads]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_a_text_frame_has_the_length_of_its_payload(size: int) -> None:
    wire = text_frame(b"x" * size)
    assert wire[0] == 0x81
    head, form = (2, "") if size < 126 else (4, "!H") if size < 65_536 else (10, "!Q")
    assert wire[1] < 128
    assert len(wire) == head + size
    assert (wire[1] if not form else struct.unpack(form, wire[2:head])[0]) == size


@pytest.mark.parametrize("extension", ["permessage-deflate", "permessage-deflate; server_max_window_bits=10"])
@pytest.mark.parametrize("takeover", ["", "; server_no_context_takeover"])
def test_deflated_frames_can_be_read(extension: str, takeover: str) -> None:
    deflate, inflate = Deflate(extension + takeover), zlib.decompressobj(-zlib.MAX_WBITS)
    for number in range(5):
        payload = frame(number).payload * 3
        wire = deflate.frame(payload)
        assert wire[0] == 0xC1
        body = wire[2 if wire[1] < 126 else 4 :] + b"\x00\x00\xff\xff"
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if takeover else inflate
        assert inflate.decompress(body) == payload


def test_without_a_fault_frames_pass_as_they_are() -> None:
    assert sent(plan(), range(3)) == [frame(number).payload for number in range(3)]
    assert not plan({"kind": "slow"}).befalls_frames


def test_drop_duplicate_and_reorder() -> None:
    window = {"from_frame": 2, "to_frame": 2}
    assert ids(sent(plan({"kind": "ws_drop", **window}), range(4))) == [0, 2, 3]
    assert ids(sent(plan({"kind": "ws_duplicate", **window}), range(4))) == [0, 1, 1, 2, 3]
    assert ids(sent(plan({"kind": "ws_reorder", **window}), range(4))) == [0, 2, 1, 3]


def test_a_swapped_frame_that_nothing_follows_comes_after_a_second() -> None:
    faults, mischief = plan({"kind": "ws_reorder"}), Mischief()
    assert mischief.pass_on(frame(1), faults.fire_at_frame(BOOK, None, 1, 0.0), 0.0) == []
    assert mischief.release(0.9) == []
    assert ids(mischief.release(1.1)) == [1]
    assert ids(mischief.pass_on(frame(2), [], 2.0)) == [2]
    assert mischief.release(9.0) == []


def test_a_delayed_frame_is_overtaken() -> None:
    faults, mischief = plan({"kind": "ws_delay", "seconds": 2, "to_frame": 1}), Mischief()
    passed = [mischief.pass_on(frame(number), faults.fire_at_frame(BOOK, "x", 1, 0.0), 0.0) for number in (1, 2)]
    assert [ids(payloads) for payloads in passed] == [[], [2]]
    assert mischief.release(1.9) == []
    assert ids(mischief.release(2.0)) == [1]


def test_malformed_huge_and_a_break() -> None:
    malformed = sent(plan({"kind": "ws_malformed"}), range(1))[0]
    with pytest.raises(json.JSONDecodeError):
        json.loads(malformed)
    huge = sent(plan({"kind": "ws_huge", "megabytes": 2}), range(1))[0]
    assert len(huge) > 2_000_000
    assert ids([huge]) == [0]
    broken = json.loads(sent(plan({"kind": "ws_sequence_break"}), range(1, 2))[0])
    assert broken["params"]["data"] == {"change_id": 1, "prev_change_id": 7}


@pytest.mark.parametrize(
    ("target", "fires"),
    [
        ({"channel": "book"}, True),
        ({"channel": BOOK}, True),
        ({"channel": "boo"}, False),
        ({"channel": "ticker"}, False),
        ({"instrument": "ETH-PERPETUAL"}, True),
        ({"instrument": "BTC-PERPETUAL"}, False),
        ({"connection": 1}, True),
        ({"connection": 2}, False),
        ({"from_second": 5.0}, False),
        ({"to_second": 5.0}, True),
        ({"from_frame": 2}, False),
    ],
)
def test_a_fault_befalls_whom_it_is_about(target: dict[str, Any], fires: bool) -> None:
    assert bool(sent(plan({"kind": "ws_drop", **target}), range(1))) != fires


def test_chance_is_seeded_and_storms_come_in_bursts() -> None:
    storm = {"kind": "ws_drop", "probability": 0.3}
    first, again = (ids(sent(plan(storm), range(1_000))) for _ in range(2))
    assert first == again
    assert len(first) == pytest.approx(700, abs=60)
    burst = set(range(1_000)) - set(ids(sent(plan({**storm, "burst": 10}), range(1_000))))
    assert all(number - number % 10 + other in burst for number in burst for other in range(10))


def test_a_fault_rests_for_each_connection() -> None:
    faults = plan({"kind": "ws_drop", "every_seconds": 10})
    assert ids(sent(faults, range(2), now=9.0)) == [0, 1]
    assert ids(sent(faults, range(2), now=10.0)) == [1]
    assert ids(sent(faults, range(2), connection=2, now=15.0)) == [1]
    assert ids(sent(faults, range(2), now=15.0)) == [0, 1]
    assert ids(sent(faults, range(2), now=21.0)) == [1]


def test_a_restart_is_told_once() -> None:
    faults = plan({"kind": "venue_restart", "from_second": 5, "seconds": 1})
    assert faults.restarts(4.0) == []
    assert [one.seconds for one in faults.restarts(5.0)] == [1.0]
    assert faults.restarts(6.0) == []


def test_the_document_of_frame_faults_comes_back() -> None:
    document = {"faults": [{"kind": "ws_cut", "how": "half_open", "every_seconds": 3.0, "channel": "book"}]}
    assert plan(*document["faults"]).as_json() == document


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "ws_cut", "how": "gently"}, "how"),
        ({"kind": "ws_huge", "megabytes": 0}, "greater than 0"),
        ({"kind": "ws_drop", "from_request": 1}, "from_request"),
        ({"kind": "ws_explode"}, "ws_stall"),
    ],
)
def test_a_wrong_frame_fault_is_explained(fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ControlError, match=message):
        plan(fault)


def test_the_heartbeat_of_ten_seconds() -> None:
    beat = Heartbeat(10.0, 100.0)
    assert beat.due(111.9) is None
    assert beat.due(112.0) == "test_request"
    assert beat.due(112.1) is None
    beat.answered()
    assert beat.due(122.5) is None
    assert beat.due(122.6) == "test_request"
    assert beat.due(132.5) is None
    assert beat.due(132.6) == "close"
    assert Patience(0.1).seconds(10.0) == pytest.approx(1.0)


def payload_of(wire: bytes) -> Any:
    """Return what a frame holds; its length has to be right."""
    size = wire[1] if wire[1] < 126 else struct.unpack("!H", wire[2:4])[0]
    body = wire[2:] if wire[1] < 126 else wire[4:]
    assert len(body) == size
    return json.loads(body)["params"]


def test_load_frames_are_chained_and_of_the_right_length(venue: Venue) -> None:
    option = next(one for one in venue.world.catalogue.live(NOW) if one.kind == "option" and one.base == "ETH")
    books, trades = BookFrames(option, 0.05, count(10**13)), TradeFrames(option, 0.05, count(10**10))
    snapshot: Any = books.stream().first(NOW)
    last = snapshot["change_id"]
    for turn in range(20):
        change = payload_of(books.make(NOW + turn)[0])
        assert change["channel"] == f"book.{option.name}.100ms"
        assert (change["data"]["prev_change_id"], change["data"]["timestamp"]) == (last, NOW + turn)
        assert len(change["data"]["bids"] + change["data"]["asks"]) == 1
        last = change["data"]["change_id"]
    told = [[payload_of(wire) for wire in trades.make(NOW)] for _ in range(20)]
    assert {one["channel"] for one, _ in told} == {f"trades.{option.name}.100ms"}
    assert {one["channel"] for _, one in told} == {"trades.option.ETH.100ms"}
    sequence = [one["data"][0]["trade_seq"] for one, _ in told]
    assert sequence == list(range(sequence[0], sequence[0] + 20))
    assert len({one["data"][0]["trade_id"] for one, _ in told}) == 20


def test_load_tickers_have_every_field(venue: Venue) -> None:
    option = next(one for one in venue.world.catalogue.live(NOW) if one.kind == "option" and one.base == "ETH")
    frames: LoadFrames = TickerFrames(venue.world, option, NOW)
    rows = [payload_of(frames.make(NOW + turn)[0])["data"] for turn in range(3)]
    assert [row["timestamp"] for row in rows] == [NOW, NOW + 1, NOW + 2]
    assert len({row["best_bid_amount"] for row in rows}) == 3
    assert set(rows[0]) == set(venue.ask("ticker", instrument_name=option.name))


def test_a_recording_is_read_whole(tmp_path: Any) -> None:
    path = tmp_path / "frames.jsonl"
    lines = [frame(number, f"book.X{number % 3}.100ms").payload for number in range(1_000)]
    path.write_bytes(b"\n\n".join([*lines, b'{"id": 1}']))
    recording = Recording(path)
    assert recording.channels == ["book.X0.100ms", "book.X1.100ms", "book.X2.100ms"]
    pieces = list(recording.pieces())
    assert sum(number for _, number in pieces) == 1_001
    assert b"".join(piece for piece, _ in pieces) == b"".join(text_frame(line) for line in [*lines, b'{"id": 1}'])


@pytest.mark.parametrize(("text", "message"), [("{}\n{", "line 2 is no JSON"), ("\n", "no frame")])
def test_what_is_no_recording_is_explained(tmp_path: Any, text: str, message: str) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text(text)
    with pytest.raises(ControlError, match=message):
        Recording(path)
