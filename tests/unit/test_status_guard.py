"""The guard in front of the status page, with a login that the test controls."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tapekeeper_status.guard import SECURITY_HEADERS, Guard

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

LOGIN = "tapekeeper_status.login"


class Page:
    """The application behind the guard; remembers whether it was reached."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.reached = False
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached = True
        headers = [(b"content-type", b"text/plain"), (b"Cache-Control", b"public"), *self._headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"secret numbers"})


def ask(page: Page, method: str = "GET", kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(page)({"type": kind, "method": method, "path": "/", "headers": []}, receive, send))
    return sent


def log_in_as(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Let the login give this answer, or raise it where it is an error."""

    async def refusal(scope: Scope) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    login = ModuleType(LOGIN)
    login.refusal = refusal  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, LOGIN, login)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_user_gets_through(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    log_in_as(monkeypatch, None)
    page = Page()
    assert ask(page, method)[0]["status"] == 200
    assert page.reached


@pytest.mark.parametrize("refused", [(401, "Not authenticated"), (403, "Invalid JWT token")])
def test_a_stranger_does_not(monkeypatch: pytest.MonkeyPatch, refused: tuple[int, str]) -> None:
    log_in_as(monkeypatch, refused)
    page = Page()
    start, body = ask(page)
    assert start["status"] == refused[0]
    assert refused[1].encode() in body["body"]
    assert not page.reached


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nobody_writes(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    log_in_as(monkeypatch, None)
    page = Page()
    start, _ = ask(page, method)
    assert (start["status"], dict(start["headers"])[b"allow"]) == (405, b"GET, HEAD")
    assert not page.reached


def test_a_stranger_is_not_told_which_methods_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in_as(monkeypatch, (401, "Not authenticated"))
    assert ask(Page(), "POST")[0]["status"] == 401


def test_a_login_that_cannot_be_imported_closes_the_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, LOGIN, None)
    page = Page()
    start, body = ask(page)
    assert start["status"] == 503
    assert b"Airflow's login cannot be asked" in body["body"]
    assert not page.reached
    assert "ModuleNotFoundError" in caplog.text


def test_a_login_that_breaks_closes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in_as(monkeypatch, TypeError("get_user() takes 2 positional arguments"))
    page = Page()
    start, body = ask(page)
    assert start["status"] == 503
    assert b"get_user" not in body["body"]
    assert not page.reached


def test_a_websocket_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in_as(monkeypatch, None)
    page = Page()
    assert ask(page, kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert not page.reached


@pytest.mark.parametrize("refused", [None, (401, "Not authenticated")])
def test_every_answer_carries_the_security_headers_once(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[int, str] | None
) -> None:
    log_in_as(monkeypatch, refused)
    headers = [(name.lower(), value) for name, value in ask(Page())[0]["headers"]]
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    assert set(SECURITY_HEADERS) <= set(headers)


def test_a_policy_of_the_application_stays_and_nothing_else_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in_as(monkeypatch, None)
    page = Page((b"Content-Security-Policy", b"default-src 'none'"), (b"X-Frame-Options", b"ALLOWALL"))
    headers = ask(page)[0]["headers"]
    assert [value for name, value in headers if name == b"content-security-policy"] == [b"default-src 'none'"]
    assert [value for name, value in headers if name == b"x-frame-options"] == [b"SAMEORIGIN"]
