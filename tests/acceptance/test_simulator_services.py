"""Binance, its archive and CryptoDataDownload as they cross a socket: headers, bans, files, keys and faults."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests

from tests.support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

START: Final = 1_709_251_200_000
"""2024-03-01 00:00 UTC."""
LONG: Final = 3_600.0
"""A window that does not end while a test runs, unless it begins right before the end of an hour of the clock."""
ARCHIVE: Final = "data/futures/um/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-01.zip"
OPTIONS: Final = "v1/data/ohlc/deribit/options"


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator with the limits of the venues."""
    with running_simulator("--cryptodatadownload-key", "a-key") as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh_limits(simulator: Simulator) -> None:
    simulator.set_binance_limits(weight=2_400, weight_window_seconds=LONG * 24 * 365, refusals_before_ban=10)


def get(simulator: Simulator, path: str, *, key: str | None = None, **params: Any) -> requests.Response:
    headers = {} if key is None else {"Authorization": f"Token {key}"}
    return requests.get(f"{simulator.base_url}/{path}", params=params, headers=headers, timeout=30)


def klines(simulator: Simulator, limit: int = 1) -> requests.Response:
    return get(simulator, "fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=START, limit=limit)


def test_every_answer_tells_the_weight_that_is_used(simulator: Simulator) -> None:
    used = [klines(simulator, limit).headers["X-MBX-USED-WEIGHT-1M"] for limit in (99, 499, 1_000, 1_500)]
    assert used == ["1", "3", "8", "18"]
    assert get(simulator, "fapi/v1/aggTrades", symbol="BTCUSDT").headers["X-MBX-USED-WEIGHT-1M"] == "38"
    wrong = get(simulator, "fapi/v1/klines", symbol="NOPE", interval="1m")
    assert (wrong.status_code, wrong.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})
    assert wrong.headers["X-MBX-USED-WEIGHT-1M"] == "43"
    interest = get(simulator, "futures/data/openInterestHist", symbol="BTCUSDT", period="5m")
    assert interest.status_code == 200
    assert "X-MBX-USED-WEIGHT-1M" not in interest.headers
    assert get(simulator, "fapi/v1/ping").json() == {}
    assert get(simulator, "fapi/v1/nothing").status_code == 404


def test_too_much_is_429_and_going_on_is_418(simulator: Simulator) -> None:
    simulator.set_binance_limits(weight=2, refusals_before_ban=2, ban_seconds=LONG)
    answers = [klines(simulator) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 418, 418]
    assert {answer.json()["code"] for answer in answers[2:]} == {-1003}
    assert "banned until" in answers[4].json()["msg"]
    assert int(answers[2].headers["Retry-After"]) > LONG
    assert 0 < int(answers[4].headers["Retry-After"]) <= LONG
    assert get(simulator, "futures/data/openInterestHist", symbol="BTCUSDT", period="5m").status_code == 418
    assert get(simulator, ARCHIVE).status_code == 200, "the archive is another house"
    state = simulator.state()["binance_um"]
    assert state["bans"] >= 1
    assert state["most_used_in_a_window"]["weight"] >= 5


def test_a_fault_can_begin_a_ban(simulator: Simulator) -> None:
    simulator.set_faults(
        [{"kind": "too_many_requests", "service": "binance_um", "status": 418, "retry_after": LONG, "to_request": 1}]
    )
    assert [klines(simulator).status_code for _ in range(2)] == [418, 418]
    simulator.set_binance_limits()
    assert klines(simulator).status_code == 200


def test_a_fault_befalls_the_service_that_it_names(simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "server_error", "service": "binance_archive", "status": 503}])
    assert get(simulator, ARCHIVE).status_code == 503
    assert klines(simulator).status_code == 200
    simulator.set_faults([{"kind": "truncated", "method": "fapi/v1/klines"}])
    with pytest.raises(requests.JSONDecodeError):
        klines(simulator, 10).json()
    simulator.set_faults([{"kind": "cut", "where": "middle", "method": "archive/daily/aggTrades"}])
    with pytest.raises(requests.RequestException):
        get(simulator, ARCHIVE)
    assert get(simulator, f"{ARCHIVE}.CHECKSUM").status_code == 200


def test_a_file_of_the_archive_has_its_checksum_beside_it(simulator: Simulator) -> None:
    answer, checksum = get(simulator, ARCHIVE), get(simulator, f"{ARCHIVE}.CHECKSUM")
    name = ARCHIVE.rpartition("/")[2]
    assert checksum.text == f"{hashlib.sha256(answer.content).hexdigest()}  {name}\n"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        lines = archive.read(f"{name.removesuffix('.zip')}.csv").decode().splitlines()
    truth = get(simulator, "truth/binance_um/agg_trades", symbol="ETHUSDT", start=START, end=START + 86_400_000).json()
    rows = [line.split(",") for line in lines[1:]]
    assert [int(row[0]) for row in rows] == truth["agg_trade_id"]
    assert [float(row[1]) for row in rows] == truth["price"]
    assert [float(row[2]) for row in rows] == truth["quantity"]
    assert [int(row[5]) for row in rows] == truth["time"]
    assert not any(truth["missing"])
    gone = get(simulator, ARCHIVE.replace("2024-03-01", "2019-03-01"))
    assert gone.status_code == 404
    assert "NoSuchKey" in gone.text


def test_a_large_file_comes_in_pieces(simulator: Simulator) -> None:
    path = "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03.zip"
    answer = get(simulator, path)
    assert len(answer.content) == int(answer.headers["Content-Length"]) > 1_000_000
    assert get(simulator, f"{path}.CHECKSUM").text.startswith(hashlib.sha256(answer.content).hexdigest())


def test_truths_of_open_interest_and_funding(simulator: Simulator) -> None:
    window: dict[str, Any] = {"symbol": "LPTUSDT", "start": START, "end": START + 86_400_000}
    rates = get(simulator, "truth/binance_um/funding_rates", **window).json()
    assert rates["due"] == list(range(START, START + 86_400_000, 4 * 3_600_000))
    told = get(simulator, "fapi/v1/fundingRate", symbol="LPTUSDT", startTime=START, limit=6).json()
    assert [float(row["fundingRate"]) for row in told] == rates["funding_rate"]
    assert [row["fundingTime"] for row in told] == rates["time"]
    interest = get(simulator, "truth/binance_um/open_interest", **window, period="1h").json()
    assert len(interest["time"]) == len(interest["open_interest"]) > 20
    assert get(simulator, "truth/binance_um/open_interest", symbol="NOPE").status_code == 400


def test_option_dailies_need_a_key_and_have_a_window(simulator: Simulator) -> None:
    assert get(simulator, f"{OPTIONS}/").json() == {"detail": "Authentication credentials were not provided."}
    wrong = get(simulator, f"{OPTIONS}/", key="another")
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid token."})
    query = {"key": "a-key", "currency": "ETH", "date": "2024-03-05"}
    limits = {"calls": 2, "window_seconds": LONG}
    requests.post(f"{simulator.base_url}/control/cryptodatadownload/limits", json=limits, timeout=30).raise_for_status()
    answers = [get(simulator, f"{OPTIONS}/", **query) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    seconds = int(answers[2].headers["Retry-After"])
    assert LONG - 60 < seconds <= LONG
    assert answers[2].json() == {"detail": f"Request was throttled. Expected available in {seconds} seconds."}
    assert simulator.state()["cryptodatadownload"]["throttled"] == 1
    truth = get(
        simulator, "truth/cryptodatadownload/option_candles",
        currency="ETH", start=1_709_625_600_000, end=1_709_625_600_001,
    ).json()  # fmt: skip
    rows = answers[0].json()["result"]
    told = [[row["symbol"], *(float(row[name]) for name in ("open", "high", "low", "close", "volume"))] for row in rows]
    columns = ("symbol", "open", "high", "low", "close", "volume")
    assert told == [list(row) for row in zip(*(truth[column] for column in columns), strict=True)]
