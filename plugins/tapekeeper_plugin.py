"""The Airflow plugin: the status page, behind Airflow's own login, in Airflow's navigation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, cast

from a2wsgi import WSGIMiddleware
from airflow.plugins_manager import AirflowPlugin

from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import Settings, read_settings
from tapekeeper_status.application import create_application
from tapekeeper_status.guard import Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

URL_PREFIX: Final = "/api/data_status"
THREADS: Final = 4
"""Requests answered at once by one process of the api-server, and so its most connections to the database."""


def _settings() -> Settings | ConfigInvalid:
    """Return the settings, or what is wrong with them: a bad variable must not take the api-server down."""
    try:
        return read_settings(os.environ)
    except ConfigInvalid as error:
        return error


def _guarded_application() -> Guard:
    flask = create_application(_settings())
    # The types of a2wsgi, Flask and Starlette describe the same two protocols in three ways.
    return Guard(cast("ASGIApp", WSGIMiddleware(cast("Any", flask), workers=THREADS)))


class TapekeeperStatusPlugin(AirflowPlugin):
    """Serves `/api/data_status/...` and shows its widget as an entry of the navigation."""

    name = "tapekeeper_status"
    fastapi_apps = [  # noqa: RUF012 - the base class declares them so
        {"name": "tapekeeper status", "app": _guarded_application(), "url_prefix": URL_PREFIX}
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Data status",
            # Without a leading slash, so that the browser puts it under Airflow's base path.
            "href": f"{URL_PREFIX.lstrip('/')}/widget",
            "url_route": "data-status",
            "destination": "nav",
            "icon": f"{URL_PREFIX.lstrip('/')}/static/icon.svg",
        }
    ]
