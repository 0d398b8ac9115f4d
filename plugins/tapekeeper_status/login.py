"""Airflow's login, asked from outside its routes; the only module that touches names without a stability promise.

They are those of Airflow 3.3, and the tests pin them. Import this module inside the api-server only: it is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.types import Scope


async def refusal(scope: Scope) -> tuple[int, str] | None:
    """Return None for a user who may see Airflow's pages, else the HTTP status and the reason.

    The user is whom Airflow itself would see: a bearer token, else the cookie of the session.
    """
    request = Request(scope)
    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException as error:
        return error.status_code, error.detail
    manager = get_auth_manager()
    allowed = await run_in_threadpool(manager.is_authorized_view, access_view=AccessView.WEBSITE, user=user)
    return None if allowed else (403, "This user may not see Airflow's pages")
