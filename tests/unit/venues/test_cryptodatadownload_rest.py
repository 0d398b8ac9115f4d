"""CryptoDataDownload's interface: what is asked, page after page, and what comes of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from tapekeeper.errors import AuthRejected, ParseFailure, RateLimited, RequestRejected, TapekeeperError
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.store.rate_budgets import LocalRateBudget
from tapekeeper.venues.cryptodatadownload.rest import PAGES_MAXIMUM, CryptoDataDownloadRest
from tests.support.cryptodatadownload_answers import CALL, DAY, PUT, UNIX, page, row
from tests.support.scripted_server import Said, ScriptedServer, http_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.http.request_log import RequestRecord

KEY = "0123456789abcdef"
FAR = "ETH-26MAR99-9000-C"
"""It lives for as long as this test is run."""
NAMES = {"result": [CALL, PUT, "BTC-7APR23-20000-C", FAR]}
CHAIN = Resolution(0)


class Log(list["RequestRecord"]):
    """Keeps every request."""

    def record(self, record: RequestRecord) -> None:
        self.append(record)


@contextmanager
def venue(
    *script: Any, key: str | None = KEY, log: Log | None = None
) -> Iterator[tuple[CryptoDataDownloadRest, ScriptedServer]]:
    answers = [body if isinstance(body, bytes | Said) else http_answer(200, orjson.dumps(body)) for body in script]
    budget = LocalRateBudget(RateLimit("cryptodatadownload.calls", permits_per_second=1_000, burst=1_000))
    settings = HttpSettings(attempts_maximum=1)
    with (
        ScriptedServer(*answers) as server,
        HttpClient(
            settings, "cryptodatadownload", server.base_url, budget, Log() if log is None else log, Priority.BACKFILL
        ) as client,
    ):
        yield CryptoDataDownloadRest(client, key), server


def asked(server: ScriptedServer) -> list[tuple[str, dict[str, str]]]:
    targets = [urlsplit(request.split()[1]) for request in server.requests]
    return [(target.path, dict(parse_qsl(target.query))) for target in targets]


def test_a_day_of_a_currency_is_asked_for_with_the_key() -> None:
    with venue(page(row(), row(PUT))) as (rest, server):
        answer = rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN)
        query = {"currency": "ETH", "date": "2024-06-15", "limit": "5000", "offset": "0"}
        assert asked(server) == [("/v1/data/ohlc/deribit/options/", query)]
        assert f"Authorization: Token {KEY}" in server.requests[0]
    assert len(answer.rows) == 2


def test_pages_are_asked_for_until_there_are_no_more_and_a_row_that_moved_is_one() -> None:
    script = (page(row(), next_offset=5_000), page(row(), row(PUT), next_offset=5_001), page(row("ETH-7JUL24-1800-C")))
    with venue(*script) as (rest, server):
        answer = rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN)
        assert [query["offset"] for _, query in asked(server)] == ["0", "5000", "5001"]
    assert [option.name for option in answer.rows.options] == [CALL, "ETH-7JUL24-1800-C", PUT]
    assert answer.rejected == ()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([page(row(), next_offset=1), page(row(), next_offset=1)], "from 1 on should begin after it .* not at 1"),
        ([page(row(), next_offset="5000")], "not at '5000'"),
        ([page(row(), next_offset=True)], "not at True"),
        ([page(row(), next_offset=5_001)], "leave nothing out, not at 5001"),
        ([page(row(), next_offset=1), page()], "more rows were promised from 1 on"),
        ([{"result": [row()]}], "'pagination' should say"),
        ([{"result": [row()], "pagination": {"has_more": "no"}}], "'pagination' should say"),
        ([{"result": {}}], "should come as a list"),
        ([[]], "should come as a list"),
    ],
)
def test_pages_that_do_not_go_on_are_bad_data(script: list[Any], words: str) -> None:
    with venue(*script) as (rest, _), pytest.raises(ParseFailure, match=words):
        rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN)


def test_pages_without_an_end_end() -> None:
    script = [page(row(), next_offset=offset) for offset in range(1, PAGES_MAXIMUM + 2)]
    with venue(*script) as (rest, server), pytest.raises(ParseFailure, match="promises another"):
        rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN)
    assert len(server.requests) == PAGES_MAXIMUM


def test_nothing_held_is_an_answer() -> None:
    with venue(http_answer(404, b'{"detail":"Not found."}')) as (rest, _):
        assert len(rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN).rows) == 0


@pytest.mark.parametrize(("start", "end"), [(0, -1), (0, 1), (1, -1), (1, 1)])
def test_what_is_not_one_day_is_not_asked(start: int, end: int) -> None:
    with venue(page()) as (rest, server), pytest.raises(ValueError, match="is not one day"):
        rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", Window(DAY.start + start, DAY.end + end), CHAIN)
    assert server.requests == []


def test_one_option_is_asked_for_by_its_name() -> None:
    before = row(unix=UNIX - 86_400_000, date="2024-06-14")
    with venue(page(row(), before)) as (rest, server):
        assert rest.option_rows(CALL, DAY).rows.day.tolist() == [DAY.start]
        ((_, query),) = asked(server)
    assert query == {"symbol": CALL, "limit": "5000", "offset": "0"}


def test_a_chain_is_described_and_the_list_is_asked_for_once() -> None:
    with venue(NAMES) as (rest, server):
        chain = rest.instrument("ETH")
        assert (chain.name, chain.kind, chain.expires_at) == ("ETH", "option_chain", 4_078_252_800_000_000)
        assert rest.available("ETH") == {CALL, PUT, FAR}
        listing = rest.listing()
        with pytest.raises(RequestRejected, match=r"no options of 'eth': type a currency .* BTC or ETH"):
            rest.instrument("eth")
        assert asked(server) == [("/v1/data/ohlc/deribit/options/available/", {})]
    assert [each.name for each in listing.instruments] == ["BTC", "ETH"]
    assert listing.names == {"BTC", "ETH", FAR}


@pytest.mark.parametrize("key", [None, "", "two words", "line\n", "schlüssel"])
def test_without_a_key_that_can_be_one_nothing_is_asked(key: str | None) -> None:
    with venue(NAMES, key=key) as (rest, server):
        with pytest.raises(AuthRejected, match="set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY to") as caught:
            rest.instrument("ETH")
        assert server.requests == []
    assert key is None or not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(200, orjson.dumps(NAMES)),
        http_answer(401, b'{"detail":"Invalid token 0123456789abcdef."}'),
        http_answer(500, b"0123456789abcdef"),
        Said(b"HTTP/1.1 200 Reason\r\nContent-Length: 500\r\n\r\n", "close"),
    ],
)
def test_the_key_is_in_no_record_and_in_no_message(answer: bytes | Said, caplog: pytest.LogCaptureFixture) -> None:
    log, message = Log(), ""
    caplog.set_level("DEBUG")
    with venue(answer, log=log) as (rest, server):
        try:
            rest.instrument("BTC")
        except TapekeeperError as error:
            message = repr(error)
        assert KEY in server.requests[0]
        assert KEY not in repr(rest)
    assert len(log) == 1
    assert KEY not in f"{log}{message}{caplog.text}"


def test_the_hourly_window_is_told_to_whoever_can_go_on_later() -> None:
    body = b'{"detail":"Request was throttled. Expected available in 2815 seconds."}'
    with venue(http_answer(429, body, "Retry-After: 2815\r\n")) as (rest, _), pytest.raises(RateLimited) as caught:
        rest.rows(CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", DAY, CHAIN)
    assert caught.value.after_seconds == 2815.0
