"""The simulator's WebSocket as a process: requests, subscriptions, the truth, and how connections end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.processes import wait_for
from tests.support.simulator import PROJECT, Simulator, running_simulator
from tests.support.stream import Stream, control, options, streaming, truth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOOK: Final = "book.BTC-PERPETUAL.100ms"


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator without limits, with busy books."""
    with running_simulator("--limits", "off", "--quote-changes-per-second", "5") as running:
        yield running


@pytest.fixture
def impatient(simulator: Simulator) -> Iterator[Simulator]:
    """The same while it waits a fiftieth of the time."""
    control(simulator, "streams", time_scale=0.02)
    yield simulator
    control(simulator, "streams", time_scale=1)


@pytest.fixture(scope="module")
def strict() -> Iterator[Simulator]:
    """A simulator with the limits of the venue."""
    with running_simulator() as running:
        yield running


def closing(stream: Stream) -> ConnectionClosed:
    """Read until the connection ends, and return how it did."""
    with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012
        while True:
            stream.read()
    return caught.value


def close_code(stream: Stream) -> int | None:
    """Return the code of the close frame that came, None if none did."""
    end = closing(stream).rcvd
    return None if end is None else end.code


# Requests


def test_public_methods_answer_as_over_http(simulator: Simulator) -> None:
    window: dict[str, Any] = {
        "start_timestamp": 1_709_251_200_000,
        "end_timestamp": 1_709_251_500_000,
        "resolution": "1",
    }
    with streaming(simulator) as stream:
        answer = stream.ask("public/get_tradingview_chart_data", instrument_name="ETH-PERPETUAL", **window)
        assert stream.ask("public/test")["result"] == {"version": "1.2.26"}
        assert "version" in stream.ask("public/hello", client_name="tests", client_version="1")["result"]
    url = f"{simulator.base_url}/api/v2/public/get_tradingview_chart_data"
    over_http = requests.get(url, params={"instrument_name": "ETH-PERPETUAL", **window}, timeout=30).json()
    assert answer["result"] == over_http["result"]
    assert answer["usDiff"] == answer["usOut"] - answer["usIn"] >= 0
    assert set(answer) == {"jsonrpc", "id", "result", "usIn", "usOut", "usDiff", "testnet"}


@pytest.mark.parametrize("text", ["{", "hello", '{"method"'])
def test_what_is_no_json_is_answered_without_an_id_and_the_socket_stays(simulator: Simulator, text: str) -> None:
    with streaming(simulator) as stream:
        stream.socket.send(text)
        answer = stream.read()
        assert answer["error"] == {"code": 11050, "message": "bad_request", "data": "invalid json"}
        assert "id" not in answer
        assert stream.ask("public/test")["result"]


def test_a_request_without_an_id_is_answered_without_one(simulator: Simulator) -> None:
    with streaming(simulator) as stream:
        stream.socket.send('{"jsonrpc": "2.0", "method": "public/get_time"}')
        answer = stream.read()
        assert answer["result"] > 0
        assert "id" not in answer


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("private/subscribe", {"channels": ["user.portfolio.btc"]}, 13009),
        ("public/auth", {"grant_type": "client_credentials"}, 13004),
        ("public/dance", {}, -32601),
        ("public/ticker", {"instrument_name": "ETH-NOTHING"}, -32602),
        ("public/subscribe", {}, -32602),
        ("public/subscribe", {"channels": "book.BTC-PERPETUAL.100ms"}, -32602),
        ("public/subscribe", {"channels": [f"quote.X{number}" for number in range(501)]}, -32602),
        ("public/subscribe", {"channels": [BOOK, "ticker.BTC-PERPETUAL.raw"]}, 13778),
        ("public/set_heartbeat", {"interval": 9}, -32602),
    ],
)
def test_what_is_refused(simulator: Simulator, method: str, params: dict[str, Any], code: int) -> None:
    with streaming(simulator) as stream:
        assert stream.ask(method, **params)["error"]["code"] == code
        assert stream.ask("public/unsubscribe", channels=[BOOK])["result"] == []


def test_faults_of_requests_befall_these_too(simulator: Simulator) -> None:
    simulator.set_faults(
        [
            {"kind": "settlement", "method": "get_time", "to_request": 1},
            {"kind": "maintenance", "method": "get_time", "from_request": 2, "to_request": 2},
            {"kind": "malformed", "method": "status"},
            {"kind": "too_many_requests", "method": "get_currencies"},
        ]
    )
    with streaming(simulator) as stream:
        assert stream.ask("public/get_time")["error"]["code"] == 10041
        assert stream.ask("public/get_time")["error"]["code"] == 11051
        assert stream.ask("public/get_time")["result"]
        stream.begin("public/status")
        with pytest.raises(json.JSONDecodeError):
            stream.read()
        assert stream.ask("public/get_currencies")["error"]["code"] == 10028
        assert close_code(stream) == 1000


# Subscriptions


def test_an_answer_leaves_out_what_is_unknown_and_has_its_own_order(simulator: Simulator) -> None:
    wanted = [f"ticker.{name}.100ms" for name in options(simulator, 40)]
    with streaming(simulator) as stream:
        accepted = stream.subscribe(*wanted, "book.ETH-NOTHING.100ms", "ticker.BTC-PERPETUAL.1s")
        assert accepted != wanted
        assert sorted(accepted) == sorted(wanted)
        assert stream.subscribe("quote.NOTHING") == []


def test_a_second_subscription_brings_no_second_snapshot(simulator: Simulator) -> None:
    with streaming(simulator) as stream:
        assert stream.subscribe(BOOK) == [BOOK]
        stream.notices(lambda heard: bool(heard))
        assert stream.subscribe(BOOK) == [BOOK]
        notices = stream.notices(lambda heard: len(heard) >= 8)
    assert {notice["data"]["type"] for notice in notices} == {"change"}


def test_leaving_tells_what_was_left(simulator: Simulator) -> None:
    with streaming(simulator) as stream:
        stream.subscribe(BOOK, "quote.BTC-PERPETUAL")
        assert stream.ask("public/unsubscribe", channels=[BOOK, "quote.ETH-PERPETUAL"])["result"] == [BOOK]
        assert stream.ask("public/unsubscribe", channels=[BOOK])["result"] == []
        stream.kept.clear()
        assert {one["channel"] for one in stream.notices(lambda heard: len(heard) > 3)} == {"quote.BTC-PERPETUAL"}
        assert stream.ask("public/unsubscribe_all")["result"] == "ok"
        assert simulator.state()["subscriptions"] == 0
        assert stream.subscribe(BOOK) == [BOOK]
        assert stream.notices(lambda heard: bool(heard))[0]["data"]["type"]


def test_channels_can_be_lost_without_a_word_until_asked_again(simulator: Simulator) -> None:
    wanted = [f"book.{name}.100ms" for name in options(simulator, 40)]
    simulator.set_faults([{"kind": "lost_channels", "fraction": 0.3, "to_request": 1}])
    with streaming(simulator) as stream:
        accepted = stream.subscribe(*wanted)
        assert 0 < len(accepted) < len(wanted)
        lost = sorted(set(wanted) - set(accepted))
        assert sorted(stream.subscribe(*lost)) == lost


@pytest.mark.parametrize(("offered", "granted"), [(None, False), ("deflate", True)])
def test_frames_are_deflated_only_if_that_is_offered(simulator: Simulator, offered: str | None, granted: bool) -> None:
    with streaming(simulator, compression=offered) as stream:
        response = stream.socket.response
        assert response is not None
        assert ("Sec-WebSocket-Extensions" in response.headers) is granted
        stream.subscribe(BOOK)
        notices = stream.notices(lambda heard: len(heard) > 5)
    assert notices[0]["data"]["type"] == "snapshot"


# The truth


def test_every_quote_is_the_truth(simulator: Simulator) -> None:
    names = options(simulator, 50)
    with streaming(simulator) as stream:
        stream.subscribe(*(f"book.{name}.100ms" for name in names))
        notices = stream.notices(lambda heard: len(heard) >= 50 * 11)
    by_name: dict[str, list[Any]] = {name: [] for name in names}
    for notice in notices:
        by_name[notice["data"]["instrument_name"]].append(notice["data"])
    for name, (snapshot, *changes) in by_name.items():
        last = snapshot["change_id"]
        for change in changes:
            assert change["prev_change_id"] == last
            last = change["change_id"]
        window = {"start": snapshot["timestamp"], "end": changes[-1]["timestamp"] + 1}
        told = truth(simulator, "quotes", instrument=name, **window)
        quoted = [one for one in (snapshot, *changes) if one["bids"] or one["asks"]]
        assert told["timestamp"] == [one["timestamp"] for one in quoted]
        assert told["change_id"] == [one["change_id"] for one in quoted]


def test_every_trade_is_the_truth_and_comes_in_its_time(simulator: Simulator) -> None:
    name = "ETH-27DEC30-2100-C"
    control(simulator, "list", instrument_name=name, trades_per_day=2_000_000)
    with streaming(simulator) as stream:
        stream.subscribe(f"trades.{name}.100ms")
        notices = stream.notices(lambda heard: sum(len(one["data"]) for one in heard) >= 30)
        now = simulator.state()["now"]
    rows = [row for notice in notices for row in notice["data"]]
    assert max(row["timestamp"] for row in rows) <= now
    window = {"start": rows[0]["timestamp"], "end": rows[-1]["timestamp"] + 1}
    told = truth(simulator, "trades", instrument=name, **window)
    for column in ("trade_seq", "trade_id", "timestamp", "price", "amount", "direction"):
        assert told[column] == [row[column] for row in rows]


def test_a_listing_and_a_settlement_are_heard(simulator: Simulator) -> None:
    name = "ETH-27DEC30-2300-P"
    book, ticker, states = f"book.{name}.100ms", f"ticker.{name}.100ms", "instrument.state.option.ETH"
    with streaming(simulator) as stream:
        stream.subscribe("instrument.creation.any.any", states)
        control(simulator, "list", instrument_name=name, trades_per_day=100)
        created = stream.notices(lambda heard: any("creation" in one["channel"] for one in heard))
        assert created[0]["data"]["instrument_name"] == name
        assert sorted(stream.subscribe(book, ticker)) == [book, ticker]
        heard = stream.notices(lambda heard: sum(one["channel"] == book for one in heard) >= 2)
        first = next(one["data"] for one in heard if one["channel"] == book)
        assert (first["type"], first["prev_change_id"]) == ("change", 0)
        control(simulator, "settle", instrument_names=[name])
        over = stream.notices(lambda heard: any(one["data"].get("state") == "closed" for one in heard))
        last = over[-1]["data"]
        assert (last["estimated_delivery_price"], last["best_bid_price"]) == ("expired", 0.0)
        state = [one["data"]["state"] for one in over if one["channel"] == states]
        assert state == ["settlement", "delivered"]
        assert stream.subscribe(f"quote.{name}") == []


# How connections end


def test_an_idle_socket_dies_without_a_close_frame(impatient: Simulator) -> None:
    with streaming(impatient) as stream:
        assert close_code(stream) is None
    assert impatient.state()["connections_closed"]["idle"] >= 1


def test_one_quiet_subscription_keeps_a_socket(impatient: Simulator) -> None:
    before = impatient.state()["connections_closed"].get("idle", 0)
    with streaming(impatient) as quiet, streaming(impatient) as idle:
        quiet.subscribe("instrument.creation.spot.any")
        assert close_code(idle) is None
        assert quiet.ask("public/test")["result"]
    assert impatient.state()["connections_closed"]["idle"] == before + 1


def test_an_unanswered_heartbeat_is_the_end(impatient: Simulator) -> None:
    with streaming(impatient) as stream:
        assert stream.ask("public/set_heartbeat", interval=10)["result"] == "ok"
        assert stream.read()["params"] == {"type": "heartbeat"}
        assert stream.read()["params"] == {"type": "test_request"}
        end = closing(stream).rcvd
    assert end is not None
    assert (end.code, end.reason) == (4000, "heartbeat close")


@pytest.mark.parametrize(("channel", "signs"), [(BOOK, []), ("instrument.creation.spot.any", ["heartbeat"])])
def test_an_answered_heartbeat_goes_on(impatient: Simulator, channel: str, signs: list[str]) -> None:
    control(impatient, "streams", time_scale=0.1)
    with streaming(impatient) as stream:
        stream.subscribe(channel)
        stream.ask("public/set_heartbeat", interval=10)
        kinds: list[str] = []
        while kinds.count("test_request") < 2:
            message = stream.next()
            if message.get("method") == "heartbeat":
                kinds.append(message["params"]["type"])
                if kinds[-1] == "test_request":
                    stream.begin("public/test")
        assert stream.ask("public/disable_heartbeat")["result"] == "ok"
    assert kinds == [*signs, "test_request", *signs, "test_request"]


def test_a_slow_reader_is_told_so_and_closed(simulator: Simulator) -> None:
    before = simulator.state()["connections_closed"].get("too_slow", 0)
    simulator.set_faults([{"kind": "ws_huge", "megabytes": 20, "to_frame": 3}])
    with streaming(simulator, max_queue=1) as stream:
        stream.subscribe("quote.BTC-PERPETUAL", "quote.ETH-PERPETUAL")
        wait_for(lambda: simulator.state()["connections_closed"].get("too_slow", 0) == before + 1)
        texts = []
        with pytest.raises(ConnectionClosed):  # noqa: PT012
            while True:
                texts.append(stream.socket.recv(30))
    assert '"method":"connection_too_slow"' in str(texts[-1])


def test_the_limits_of_connections_and_subscriptions(strict: Simulator) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(streaming(strict)) for _ in range(32)]
        with pytest.raises(InvalidStatus) as caught:
            stack.enter_context(streaming(strict))
        assert caught.value.response.status_code == 429
        assert requests.get(f"{strict.base_url}/api/v2/public/test", timeout=30).status_code == 429
        assert strict.state()["connections"] == 32
        answers = [streams[0].begin("public/subscribe", channels=["platform_state"]) for _ in range(12)]
        codes: dict[int, int | None] = {}
        while 10028 not in codes.values():
            message = streams[0].next()
            if message.get("id") in answers:
                codes[message["id"]] = message.get("error", {}).get("code")
        assert list(codes.values())[:10] == [None] * 10
        assert close_code(streams[0]) == 1000
    wait_for(lambda: strict.state()["connections"] == 0)
    with streaming(strict) as stream:
        assert stream.ask("public/test")["result"]


# Faults of frames


@pytest.mark.parametrize(("how", "code"), [("clean", 1001), ("reset", None)])
def test_a_connection_is_cut(simulator: Simulator, how: str, code: int | None) -> None:
    simulator.set_faults([{"kind": "ws_cut", "how": how, "from_frame": 3, "to_frame": 3}])
    with streaming(simulator) as stream:
        stream.subscribe(BOOK)
        assert close_code(stream) == code
    assert simulator.state()["faults_fired"]["ws_cut"] >= 1


def test_a_connection_that_is_half_open_says_nothing_any_more(simulator: Simulator) -> None:
    with streaming(simulator) as stream, streaming(simulator) as other:
        for one in (stream, other):
            one.subscribe(BOOK)
        numbers = simulator.state()["connections_opened"]
        assert control(simulator, "cut", how="half_open", connections=[numbers - 1]) == {"cut": 1}
        stream.begin("public/test")
        pong = stream.socket.ping()
        other.notices(lambda heard: len(heard) >= 5)
        assert not pong.is_set()
        with pytest.raises(TimeoutError):  # noqa: PT012
            while True:
                stream.socket.recv(0.2)
        assert simulator.state()["connections"] == 2


def test_a_stall_ends_with_everything_in_order(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "ws_stall", "seconds": 1, "from_frame": 3, "to_frame": 3}])
    with streaming(simulator) as stream:
        stream.subscribe(BOOK)
        notices = [one["data"] for one in stream.notices(lambda heard: len(heard) >= 10)]
    ids = [one["change_id"] for one in notices]
    assert [one["prev_change_id"] for one in notices[1:]] == ids[:-1]


def test_frames_are_dropped_doubled_swapped_and_broken(simulator: Simulator) -> None:
    faults = [
        {"kind": "ws_drop", "from_frame": 2, "to_frame": 2},
        {"kind": "ws_duplicate", "from_frame": 4, "to_frame": 4},
        {"kind": "ws_reorder", "from_frame": 6, "to_frame": 6},
        {"kind": "ws_sequence_break", "from_frame": 9, "to_frame": 9},
        {"kind": "ws_huge", "megabytes": 3, "from_frame": 10, "to_frame": 10},
    ]
    simulator.set_faults([{"channel": "book", **fault} for fault in faults])
    with streaming(simulator) as stream:
        stream.subscribe(BOOK)
        told = [one["data"] for one in stream.notices(lambda heard: len(heard) >= 11)]
    window = {"start": told[0]["timestamp"], "end": told[-1]["timestamp"] + 1}
    ids = truth(simulator, "quotes", instrument="BTC-PERPETUAL", **window)["change_id"]
    expected = [ids[0], ids[2], ids[3], ids[3], ids[4], ids[6], ids[5], *ids[7:11]]
    assert [one["change_id"] for one in told] == expected
    assert told[8]["prev_change_id"] != ids[7]
    fired = simulator.state()["faults_fired"]
    assert {fault["kind"] for fault in faults} <= set(fired)


def test_a_malformed_frame_is_no_json(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "ws_malformed", "from_frame": 2, "to_frame": 2}])
    with streaming(simulator) as stream:
        stream.subscribe("quote.BTC-PERPETUAL")
        stream.notices(lambda heard: bool(heard))
        with pytest.raises(json.JSONDecodeError):
            stream.read()
        assert stream.read()["params"]["channel"] == "quote.BTC-PERPETUAL"


def test_the_venue_restarts(simulator: Simulator) -> None:
    with streaming(simulator) as stream:
        stream.subscribe("platform_state", BOOK)
        books = stream.notices(lambda heard: any(one["channel"] == BOOK for one in heard))
        before = books[-1]["data"]["change_id"]
        simulator.set_faults([{"kind": "venue_restart", "seconds": 1}])
        stream.notices(lambda heard: any("maintenance" in one["data"] for one in heard))
        assert close_code(stream) == 1012
    with pytest.raises(InvalidStatus) as caught, streaming(simulator):
        pass
    assert caught.value.response.status_code == 503
    assert requests.get(f"{simulator.base_url}/api/v2/public/test", timeout=30).status_code == 503
    url = f"{simulator.base_url}/api/v2/public/test"
    wait_for(lambda: requests.get(url, timeout=30).status_code == 200)
    with streaming(simulator) as stream:
        stream.subscribe(BOOK)
        told = [one["data"] for one in stream.notices(lambda heard: len(heard) >= 5)]
    assert told[-1]["change_id"] < before
    assert told[-1]["prev_change_id"] == told[-2]["change_id"]
    window = {"start": told[1]["timestamp"], "end": told[-1]["timestamp"] + 1}
    ids = truth(simulator, "quotes", instrument="BTC-PERPETUAL", **window)["change_id"]
    assert ids == [one["change_id"] for one in told[1:]]


# Control, load and replay


def test_the_clock_jumps() -> None:
    with running_simulator() as jumping, streaming(jumping) as stream:
        stream.subscribe(BOOK)
        last = stream.notices(lambda heard: len(heard) >= 2)[-1]["data"]
        now = control(jumping, "clock", offset_seconds=20)["now"]
        assert now > last["timestamp"] + 15_000
        told = stream.notices(lambda heard: len(heard) >= 15)
        assert jumping.state()["now"] < now + 15_000
    chain = [last, *(one["data"] for one in told)]
    assert all(later["prev_change_id"] == earlier["change_id"] for earlier, later in itertools.pairwise(chain))


def test_the_end_of_the_simulator_is_said_to_all() -> None:
    with ExitStack() as stack:
        with running_simulator() as ending:
            stream = stack.enter_context(streaming(ending))
            stream.subscribe(BOOK)
        assert close_code(stream) == 1001


@pytest.mark.parametrize(
    ("what", "body", "message"),
    [
        ("cut", {"how": "gently"}, "clean, reset, half_open"),
        ("cut", {"connections": 3}, "list of numbers"),
        ("restart", {"how": "half_open"}, "clean or reset"),
        ("restart", {"seconds": -1}, "above 0"),
        ("clock", {"offset_seconds": "soon"}, "has to be a number"),
        ("streams", {"time_scale": 0}, "above 0"),
        ("streams", {"pace": 1}, "time_scale, slow_reader_bytes, refuse_connections"),
        ("streams", {"refuse_connections": -1}, "whole number from 0 on"),
        ("load", {"shares": {"quotes": 1}}, "book, ticker, trades"),
        ("load", {"options": 0}, "above 0"),
        ("load", {"currency": "DOGE", "options": 1}, "take BTC or ETH"),
    ],
)
def test_a_control_that_makes_no_sense_is_explained(
    simulator: Simulator, what: str, body: dict[str, Any], message: str
) -> None:
    assert message in control(simulator, what, **body)["error"]


def test_the_state_counts_frames_connections_and_subscriptions(simulator: Simulator) -> None:
    before = simulator.state()
    with streaming(simulator) as stream, streaming(simulator):
        stream.subscribe(BOOK, "ticker.BTC-PERPETUAL.100ms")
        stream.notices(lambda heard: len(heard) >= 6)
        state = simulator.state()
        assert (state["connections"], state["subscriptions"]) == (2, 2)
        assert state["connections_opened"] == before["connections_opened"] + 2
        for kind in ("book", "ticker"):
            assert state["frames"][kind] >= before["frames"].get(kind, 0) + 2
        assert state["requests"]["public/subscribe"]["ok"] >= 1
        assert control(simulator, "streams", slow_reader_bytes=1_000_000)["slow_reader_bytes"] == 1_000_000
        assert control(simulator, "streams", slow_reader_bytes=16_000_000, time_scale=1)["time_scale"] == 1


def test_a_load_is_chained_and_counted() -> None:
    with running_simulator("--limits", "off", "--load", "0", "--load-options", "20") as loaded:
        names = options(loaded, 100)
        assert len(names) == 20
        with streaming(loaded) as stream:
            channels = [f"{kind}.{name}.100ms" for name in names for kind in ("book", "ticker", "trades")]
            assert sorted(stream.subscribe(*channels)) == sorted(channels)
            assert control(loaded, "load", frames_per_second=3_000, options=20)["frames_per_second"] == 3_000
            notices = stream.notices(lambda heard: len(heard) >= 3_000)
            load = loaded.state()["load"]
            control(loaded, "load", frames_per_second=0, options=20)
        last: dict[str, int] = {}
        for notice in notices:
            data = notice["data"]
            if notice["channel"].startswith("book"):
                assert data["type"] == "snapshot" or data["prev_change_id"] == last[notice["channel"]]
                last[notice["channel"]] = data["change_id"]
            elif notice["channel"].startswith("trades"):
                assert data[0]["trade_seq"] == last.get(notice["channel"], data[0]["trade_seq"] - 1) + 1
                last[notice["channel"]] = data[0]["trade_seq"]
        assert sum(load["frames"].values()) >= 2_900
        assert 0 < load["sender_cpu_share"] < 2
        assert "a load has begun" in control(loaded, "load", options=21)["error"]


@pytest.mark.parametrize("rate", ["0", "5000"])
def test_a_recording_is_played_to_whoever_subscribes(tmp_path: Path, rate: str) -> None:
    path = tmp_path / "frames.jsonl"
    frames = [
        {"params": {"channel": f"book.OLD-{number % 5}.raw", "data": {"number": number}}} for number in range(500)
    ]
    path.write_text("\n".join(json.dumps({"method": "subscription", **frame}) for frame in frames))
    arguments = ("--replay", str(path), "--replay-rate", rate, "--replay-times", "2")
    with running_simulator(*arguments) as replaying, streaming(replaying) as stream:
        assert stream.subscribe("book.OLD-1.raw", "book.NEVER.100ms") == ["book.OLD-1.raw"]
        told = stream.notices(lambda heard: len(heard) >= 1_000)
        assert [one["data"]["number"] for one in told] == [*range(500), *range(500)]
        assert replaying.state()["replay"]["frames_sent"] == 1_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quote-changes-per-second", "11"), "10 at most"),
        (("--time-scale", "0"), "above 0"),
        (("--load", "-1"), "--load"),
        (("--replay-times", "0"), "--replay-times"),
        (("--replay", "/nowhere/frames.jsonl"), "--replay /nowhere/frames.jsonl"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(arguments: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", *arguments]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
