"""The guard: an ASGI application that lets only Airflow's users through to another one.

Airflow mounts a plugin's application without any login of its own, and the dependencies of a FastAPI application
do not reach what is mounted in it; so the guard is the outermost application and sees every request.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS: Final = ("GET", "HEAD")
POLICY: Final = b"content-security-policy"
SECURITY_HEADERS: Final = (
    # Airflow shows the page in a frame of its own origin; everything the page needs comes from there too.
    (
        POLICY,
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_POLICY_VIOLATION: Final = 1008
_LOG: Final = logging.getLogger(__name__)


class Guard:
    """Answers 401 or 403 to strangers, 405 to writers, and passes everything else on."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        answer = _hardened(send)
        if refused := await _refusal(scope):
            await _refuse(answer, *refused)
        elif scope["method"] not in METHODS:
            await _refuse(answer, 405, "This page is read-only: use GET", (b"allow", ", ".join(METHODS).encode()))
        else:
            await self._application(scope, receive, answer)


async def _refusal(scope: Scope) -> tuple[int, str] | None:
    try:
        # Scheduler, workers and dag-processor load plugins too, and must not load the api-server with them.
        from tapekeeper_status.login import refusal

        return await refusal(scope)
    except Exception:  # noqa: BLE001 - fails closed, and is logged
        # Whatever has moved or broken inside Airflow, nobody gets in unseen.
        _LOG.exception("Airflow's login cannot be asked, so the status page stays closed")
        return 503, "Airflow's login cannot be asked: the log of the api-server says why"


async def _refuse(send: Send, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps({"ok": False, "error": reason}).encode()
    described = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})


def _hardened(send: Send) -> Send:
    """Return a `send` that puts our headers on every answer, in the place of others of the same name.

    A policy that the application has for one of its answers stays: a report carries its own style.
    """
    names = {name for name, _ in SECURITY_HEADERS}

    async def send_hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(name.lower(), value) for name, value in message["headers"]]
            own_policy = any(name == POLICY for name, _ in given)
            kept = [header for header in given if header[0] not in names or header[0] == POLICY]
            ours = [header for header in SECURITY_HEADERS if header[0] != POLICY or not own_policy]
            message = {**message, "headers": [*kept, *ours]}
        await send(message)

    return send_hardened
