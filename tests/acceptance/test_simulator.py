"""The venue simulator as a process: envelopes, limits and faults as they cross a socket."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.simulator import PROJECT, Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINUTE: Final = 60_000
DAY: Final = 1_440 * MINUTE
START: Final = 1_709_251_200_000
"""2024-03-01 00:00 UTC."""
CHART: Final[dict[str, Any]] = {
    "instrument_name": "BTC-PERPETUAL",
    "start_timestamp": START,
    "end_timestamp": START + 999 * MINUTE,
    "resolution": "1",
}


def get(simulator: Simulator, method: str, **params: Any) -> requests.Response:
    return requests.get(f"{simulator.base_url}/api/v2/public/{method}", params=params, timeout=30)


def control(simulator: Simulator, path: str, body: object) -> requests.Response:
    return requests.post(f"{simulator.base_url}/control/{path}", json=body, timeout=30)


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator without limits, for the tests that are about something else."""
    with running_simulator("--limits", "off") as running:
        yield running


def test_an_answer_has_the_envelope_of_the_venue(simulator: Simulator) -> None:
    answer = get(simulator, "get_time")
    envelope = answer.json()
    assert (answer.status_code, envelope["jsonrpc"], envelope["testnet"]) == (200, "2.0", False)
    assert envelope["usOut"] - envelope["usIn"] == envelope["usDiff"] >= 0
    assert envelope["result"] == pytest.approx(envelope["usIn"] // 1_000, abs=1_000)
    assert "id" not in envelope
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/", "/api/v2/public/get_tradingview_chart_data"])
def test_a_post_gets_what_a_get_gets_and_its_id_back(simulator: Simulator, path: str) -> None:
    call = {"jsonrpc": "2.0", "id": 42, "method": "public/get_tradingview_chart_data", "params": CHART}
    posted = requests.post(f"{simulator.base_url}{path}", json=call, timeout=30).json()
    assert posted["id"] == 42
    assert posted["result"] == get(simulator, "get_tradingview_chart_data", **CHART).json()["result"]


def test_an_error_is_http_400_with_a_json_rpc_body(simulator: Simulator) -> None:
    answer = get(simulator, "ticker", instrument_name="BTC-NOTHING")
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "code": -32602,
        "message": "Invalid params",
        "data": {"reason": "instrument not found", "param": "instrument_name"},
    }
    assert "result" not in answer.json()
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize(("body", "code"), [("{", -32700), ("[]", 11050), ('{"method": 5}', 11050)])
def test_a_body_that_is_no_call(simulator: Simulator, body: str, code: int) -> None:
    answer = requests.post(f"{simulator.base_url}/api/v2", data=body, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_the_truth_is_what_the_venue_answers_without_the_open_minute(simulator: Simulator) -> None:
    truth = simulator.truth_candles(instrument="BTC-PERPETUAL", start=str(START), end=str(START + 1_000 * MINUTE))
    answer = get(simulator, "get_tradingview_chart_data", **CHART).json()["result"]
    for column in ("ticks", "open", "high", "low", "close", "volume", "cost"):
        assert truth[column] == answer[column]
    assert truth["missing"] == [False] * 1_000
    now = simulator.state()["now"]
    newest = simulator.truth_candles(instrument="BTC-PERPETUAL", start=str(now - 5 * MINUTE), end=str(now + DAY))
    assert all(tick + MINUTE <= simulator.state()["now"] for tick in newest["ticks"])
    assert newest["ticks"][-1] >= now - 2 * MINUTE


def test_the_truth_of_years_comes_at_once_and_without_a_cap(simulator: Simulator) -> None:
    truth = simulator.truth_candles(instrument="ETH-PERPETUAL", start=str(START), end=str(START + 200 * DAY))
    assert truth["ticks"] == list(range(START, START + 200 * DAY, MINUTE))
    assert {len(truth[column]) for column in ("open", "volume", "missing")} == {200 * 1_440}
    hours = simulator.truth_candles(instrument="ETH-PERPETUAL", start="0", end=str(START), resolution="60")
    assert hours["ticks"][0] == 1_552_568_454_000 // (60 * MINUTE) * 60 * MINUTE


def test_holes_are_in_the_truth_with_a_flag(simulator: Simulator) -> None:
    holes = [START + 3 * MINUTE, START + 4 * MINUTE]
    simulator.set_faults([{"kind": "missing_minutes", "open_times": holes}])
    truth = simulator.truth_candles(instrument="BTC-PERPETUAL", start=str(START), end=str(START + 10 * MINUTE))
    assert [tick for tick, is_missing in zip(truth["ticks"], truth["missing"], strict=True) if is_missing] == holes
    ticks = get(simulator, "get_tradingview_chart_data", **CHART).json()["result"]["ticks"]
    assert not set(holes) & set(ticks)


def test_the_true_tape_is_what_the_venue_answers(simulator: Simulator) -> None:
    window: dict[str, Any] = {"instrument": "ETH-PERPETUAL", "start": START, "end": START + 30 * MINUTE}
    truth = requests.get(f"{simulator.base_url}/truth/trades", params=window, timeout=30).json()
    asked: dict[str, Any] = {
        "instrument_name": "ETH-PERPETUAL",
        "start_timestamp": START,
        "end_timestamp": START + 30 * MINUTE - 1,
    }
    trades = get(simulator, "get_last_trades_by_instrument_and_time", **asked, count=1_000).json()["result"]["trades"]
    for column in ("trade_seq", "trade_id", "timestamp", "price", "amount", "direction"):
        assert truth[column] == [trade[column] for trade in trades]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"instrument": "NOTHING"}, "there is no instrument 'NOTHING'"),
        ({"instrument": "BTC-PERPETUAL", "resolution": "7"}, "resolution is '7': it has to be one of 1, 3, 5"),
        ({"instrument": "BTC-PERPETUAL", "start": "yesterday"}, "milliseconds since 1970"),
    ],
)
def test_a_truth_that_cannot_be_told_is_explained(simulator: Simulator, query: dict[str, str], message: str) -> None:
    answer = requests.get(f"{simulator.base_url}/truth/candles", params=query, timeout=30)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize("status", [500, 502, 503, 520])
def test_a_server_error_is_a_page(simulator: Simulator, status: int) -> None:
    simulator.set_faults([{"kind": "server_error", "status": status}])
    answer = get(simulator, "get_time")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, "text/html")


@pytest.mark.parametrize(("kind", "code"), [("settlement", 10041), ("maintenance", 11051)])
def test_a_venue_that_cannot_serve_now(simulator: Simulator, kind: str, code: int) -> None:
    simulator.set_faults([{"kind": kind, "to_request": 1}])
    answer = get(simulator, "get_time")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert get(simulator, "get_time").status_code == 200


def test_a_storm_of_10028_comes_as_429_and_400_and_closes_the_connection(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "too_many_requests"}])
    answers = [get(simulator, "get_time") for _ in range(4)]
    assert sorted(answer.status_code for answer in answers) == [400, 400, 429, 429]
    assert {answer.json()["error"]["code"] for answer in answers} == {10028}
    assert {answer.headers["Connection"] for answer in answers} == {"close"}


def test_a_slow_answer_takes_its_time(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "slow", "seconds": 0.5}])
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{simulator.base_url}/api/v2/public/get_time", timeout=0.2)
    began = time.monotonic()
    assert get(simulator, "get_time").status_code == 200
    assert time.monotonic() - began >= 0.5


def test_a_connection_is_cut_before_the_answer(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "cut"}])
    with pytest.raises(requests.ConnectionError):
        get(simulator, "get_time")
    simulator.clear_faults()
    assert simulator.state()["requests"]["public/get_time"]["cut"] >= 1


def test_a_connection_is_cut_in_the_middle_of_the_body(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "cut", "where": "middle"}])
    connection = http.client.HTTPConnection(urlsplit(simulator.base_url).netloc, timeout=30)
    query = "&".join(f"{name}={value}" for name, value in CHART.items())
    connection.request("GET", f"/api/v2/public/get_tradingview_chart_data?{query}")
    answer = connection.getresponse()
    promised = int(answer.headers["Content-Length"])
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    assert (answer.status, promised > 10_000) == (200, True)
    connection.close()


def test_half_of_the_json_under_a_length_that_fits(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "truncated"}])
    answer = get(simulator, "get_tradingview_chart_data", **CHART)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.content.startswith(b'{"jsonrpc":"2.0","result":{')
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_a_body_that_is_no_json(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "malformed"}])
    answer = get(simulator, "get_time")
    assert answer.headers["Content-Type"].startswith("application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_numbers_come_in_several_forms(simulator: Simulator) -> None:
    plain = get(simulator, "get_tradingview_chart_data", **CHART)
    simulator.set_faults([{"kind": "number_forms"}])
    varied = get(simulator, "get_tradingview_chart_data", **CHART)
    assert varied.json()["result"] == plain.json()["result"]
    assert varied.content != plain.content
    costs = json.loads(varied.content, parse_float=str, parse_int=str)["result"]["cost"]
    assert any("e" in cost for cost in costs)
    assert any(cost.isdigit() and cost != "0" for cost in costs)


def test_a_skewed_clock_is_in_every_envelope(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "clock_skew", "skew": 3_600_000}])
    envelope = get(simulator, "get_time").json()
    truly = simulator.state()["now"]
    assert envelope["result"] == pytest.approx(truly + 3_600_000, abs=60_000)
    assert envelope["usIn"] == pytest.approx((truly + 3_600_000) * 1_000, abs=60_000_000)


def test_faults_are_told_replaced_and_cleared(simulator: Simulator) -> None:
    document = {"faults": [{"kind": "slow", "seconds": 0.1, "method": "ticker"}]}
    assert control(simulator, "faults", document).json() == document
    assert requests.get(f"{simulator.base_url}/control/faults", timeout=30).json() == document
    refused = control(simulator, "faults", {"faults": [{"kind": "rain"}]})
    assert refused.status_code == 400
    assert "'slow'" in refused.json()["error"]
    assert requests.get(f"{simulator.base_url}/control/faults", timeout=30).json() == document, "nothing changed"
    simulator.clear_faults()
    assert requests.get(f"{simulator.base_url}/control/faults", timeout=30).json() == {"faults": []}


def test_what_was_asked_and_what_went_wrong_is_counted() -> None:
    with running_simulator("--seed", "5") as simulator:
        simulator.set_faults([{"kind": "maintenance", "to_request": 2}])
        for _ in range(5):
            get(simulator, "get_time")
        state = simulator.state()
    assert state["requests"] == {"public/get_time": {"200": 3, "400": 2}}
    assert (state["requests_total"], state["faults_fired"]) == (5, {"maintenance": 2})
    assert (state["seed"], state["limits_enabled"], state["in_flight"]) == (5, True, 0)


def test_the_same_seed_makes_the_same_world_and_another_one_another() -> None:
    answers = []
    for seed in ("5", "5", "6"):
        with running_simulator("--seed", seed) as simulator:
            answers.append(get(simulator, "get_tradingview_chart_data", **CHART).json()["result"])
    assert answers[0] == answers[1] != answers[2]


def test_an_empty_bucket_is_10028_and_the_connection_ends() -> None:
    with running_simulator("--requests-per-second", "0.01") as simulator:
        with requests.Session() as session:
            url = f"{simulator.base_url}/api/v2/public/get_time"
            answers = [session.get(url, timeout=30) for _ in range(104)]
        refused = answers[100:]
        assert {answer.status_code for answer in answers[:100]} == {200}
        assert [answer.status_code for answer in refused] == [429, 400, 429, 400]
        assert {answer.json()["error"]["message"] for answer in refused} == {"too_many_requests"}
        assert {answer.headers["Connection"] for answer in refused} == {"close"}
        assert get(simulator, "get_instruments", currency="BTC", kind="future").status_code == 200, "its own bucket"
        changed = control(simulator, "limits", {"enabled": False}).json()
        assert changed["limits_enabled"] is False
        assert get(simulator, "get_time").status_code == 200


def test_the_33rd_request_at_once_is_refused() -> None:
    with running_simulator() as simulator:
        simulator.set_faults([{"kind": "slow", "seconds": 600.0, "method": "test"}])
        with ExitStack() as sockets:
            address = urlsplit(simulator.base_url)
            for _ in range(32):
                held = sockets.enter_context(socket.create_connection((address.hostname, address.port)))
                held.sendall(b"GET /api/v2/public/test HTTP/1.1\r\nHost: simulator\r\n\r\n")
            _wait_for_in_flight(simulator, 32)
            assert get(simulator, "get_time").status_code == 429
            assert simulator.state()["most_in_flight"] == 33
        _wait_for_in_flight(simulator, 0)
        assert get(simulator, "get_time").status_code == 200, "who hangs up gives the room back"
        assert simulator.state()["requests"]["public/test"] == {"cut": 32}


def _wait_for_in_flight(simulator: Simulator, number: int) -> None:
    deadline = time.monotonic() + 60
    while simulator.state()["in_flight"] != number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_instruments_are_listed_and_settled_at_any_instant(simulator: Simulator) -> None:
    name = "BTC-27DEC30-123456-C"
    assert get(simulator, "get_instrument", instrument_name=name).status_code == 400
    row = control(simulator, "list", {"instrument_name": name, "trades_per_day": 500}).json()
    assert (row["instrument_name"], row["is_active"]) == (name, True)
    assert control(simulator, "list", {"instrument_name": name}).status_code == 400
    assert name in _names(simulator, expired="false")
    settled = control(simulator, "settle", {"instrument_names": [name], "seconds": 60}).json()
    assert [(one["instrument_name"], one["state"]) for one in settled] == [(name, "delivered")]
    assert get(simulator, "get_time").json()["error"]["code"] == 10041
    simulator.clear_faults()
    assert name not in _names(simulator, expired="false")
    assert name in _names(simulator, expired="true")
    refused = control(simulator, "settle", {"instrument_names": [name]})
    assert (refused.status_code, "is not listed now" in refused.json()["error"]) == (400, True)


def _names(simulator: Simulator, *, expired: str) -> set[str]:
    rows = get(simulator, "get_instruments", currency="BTC", kind="option", expired=expired).json()["result"]
    return {row["instrument_name"] for row in rows}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("limits", {"enabled": "yes"}),
        ("limits", {"requests_per_second": 0}),
        ("limits", {"speed": 3}),
        ("list", {"instrument_name": "NONSENSE"}),
        ("list", {"instrument_name": "BTC-27DEC30", "expiration_timestamp": 5}),
        ("settle", {"instrument_names": "BTC-PERPETUAL"}),
        ("settle", []),
    ],
)
def test_a_control_request_that_makes_no_sense_is_refused(simulator: Simulator, path: str, body: object) -> None:
    answer = control(simulator, path, body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_told_to(number: signal.Signals, tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('{"faults": [{"kind": "no_data"}]}')
    command = [sys.executable, "-m", "simulator", "--port", "0", "--faults", str(faults)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator ready at http://127.0.0.1:")
        url = line.split()[-1]
        answer = requests.get(f"{url}/api/v2/public/get_tradingview_chart_data", params=CHART, timeout=30)
        assert answer.json()["result"]["status"] == "no_data"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--faults", "/nowhere.json"], "/nowhere.json"),
        (["--requests-per-second", "0"], "--requests-per-second has to be above 0"),
        (["--limits", "maybe"], "--limits"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
    ],
)
def test_a_bad_option_ends_it_with_a_sentence(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", *arguments]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_its_help_shows_examples() -> None:
    command = [sys.executable, "-m", "simulator", "--help"]
    text = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "examples:" in text
    for option in ("--host", "--port", "--seed", "--faults", "--limits", "--requests-per-second"):
        assert option in text
