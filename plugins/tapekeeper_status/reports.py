"""The files of quality reports, as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Response, jsonify

from tapekeeper.errors import ConfigInvalid
from tapekeeper.quality.report import FILES, PAGE

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from tapekeeper.settings import Settings

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A report is one file that brings its style along and runs nothing."""
_TYPES: Final = {".html": "text/html", ".csv": "text/csv", ".txt": "text/plain"}


def serve_reports(application: Flask, settings: Settings | ConfigInvalid) -> None:
    """Add the routes of the reports to an application."""

    @application.get("/reports/<int:run_id>/")
    def report(run_id: int) -> ResponseReturnValue:
        return _answer(settings, run_id, PAGE)

    @application.get("/reports/<int:run_id>/<name>")
    def file_of_report(run_id: int, name: str) -> ResponseReturnValue:
        return _answer(settings, run_id, name)


def _answer(settings: Settings | ConfigInvalid, run_id: int, name: str) -> ResponseReturnValue:
    if isinstance(settings, ConfigInvalid):
        return jsonify(ok=False, error=str(settings)), 503
    # Only names that we have written ourselves: nothing else of the disk can be asked for.
    if name not in FILES:
        return jsonify(ok=False, error=f"A report has no such file: choose one of {', '.join(FILES)}."), 404
    file = settings.quality.report_folder / str(run_id) / name
    try:
        content = file.read_bytes()
    except OSError:
        error = (
            f"There is no report of quality run {run_id} here: it was removed, or the setting"
            " TAPEKEEPER_QUALITY_REPORT_FOLDER of this server is not that of the tasks that write reports."
        )
        return jsonify(ok=False, error=error), 404
    return Response(content, mimetype=_TYPES[file.suffix], headers={"Content-Security-Policy": POLICY})
