"""The Flask application: what is held as JSON and as a widget, and the reports of the quality runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES, dataset_named
from tapekeeper.status import DatasetStatus, get_all_statuses, get_intraday_data_status, unavailable
from tapekeeper_status.reports import serve_reports

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from tapekeeper.settings import Settings


def create_application(settings: Settings | ConfigInvalid) -> Flask:
    """Return the application; without usable settings every number is replaced by what is wrong with them."""
    application = Flask(__name__)
    # The eleven fields keep their order.
    application.json.sort_keys = False  # type: ignore[attr-defined]

    @application.get("/intraday")
    def intraday() -> ResponseReturnValue:
        name = request.args.get("dataset", DERIBIT_PERPETUAL_CANDLES.name)
        try:
            dataset = dataset_named(name)
        except ConfigInvalid as error:
            return jsonify(ok=False, error=str(error), datasets=list(DATASETS)), 404
        if isinstance(settings, ConfigInvalid):
            status = unavailable(dataset, str(settings))
        else:
            status = get_intraday_data_status(settings, dataset.name)
        return jsonify(status.as_json()), 200 if status.ok else 503

    @application.get("/")
    def every_dataset() -> ResponseReturnValue:
        if isinstance(settings, ConfigInvalid):
            sentence = str(settings)
            statuses = [DatasetStatus(name, unavailable(dataset, sentence)) for name, dataset in DATASETS.items()]
        else:
            statuses = get_all_statuses(settings)
        ok = all(status.intraday.ok for status in statuses)
        return jsonify([status.as_json() for status in statuses]), 200 if ok else 503

    @application.get("/widget")
    def widget() -> str:
        return render_template("widget.html")

    @application.errorhandler(HTTPException)
    def refused(error: HTTPException) -> ResponseReturnValue:
        return jsonify(ok=False, error=f"{error.name}: {error.description}"), error.code or 500

    serve_reports(application, settings)
    return application
