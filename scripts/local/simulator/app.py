"""The whole server: `/v1/videos`, the kinds beside it, faults on all of them, and the routes that control them."""

from collections.abc import Mapping

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider

from scripts.local.simulator import control
from scripts.local.simulator.dialects import Manner
from scripts.local.simulator.errors import ApiError, answer_errors
from scripts.local.simulator.faults import Faults
from scripts.local.simulator.kind import Kind, Speaker, read_body
from scripts.local.simulator.kinds import kind_of
from scripts.local.simulator.misbehaviour import Misbehaviour
from scripts.local.simulator.request_log import record_arrivals
from scripts.local.simulator.service import Service
from scripts.local.simulator.videos import asked_prompt, check_key, videos
from scripts.local.simulator.webhooks import Webhooks

LARGEST_BODY = 64 * 1024 * 1024


def create_app(
    service: Service, manner: Manner, faults: Faults, kinds: Mapping[str, Kind], webhooks: Webhooks
) -> Flask:
    """A Flask app that answers `/v1/videos` in this manner, and the paths of these kinds."""
    app = Flask(__name__)
    app.json = _PlainJson(app)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = LARGEST_BODY

    def kind() -> Kind | None:
        return kind_of(request.path, kinds)

    def speaker() -> Speaker:
        return kind() or manner

    def prompt() -> str:
        asked = kind()
        return asked.prompt(read_body()) if asked else asked_prompt(manner)

    answer_errors(app, lambda error: speaker().envelope(error))
    record_arrivals(app, service.jobs, prompt)
    misbehaviour = Misbehaviour(faults, speaker, service.end_event)
    for blueprint in (
        control.control(service, faults, webhooks),
        videos(service, manner),
        *(each.routes() for each in kinds.values()),
    ):
        app.register_blueprint(blueprint)

    @app.before_request
    def before() -> Response | None:
        if request.blueprint == control.NAME:
            return None
        if service.is_astray():
            service.record_leak(speaker().name)
            raise ApiError(404, "This host has files alone.")
        name = (request.endpoint or "").rpartition(".")[2]
        response = misbehaviour.answer_instead("everything")
        if response is None and service.api_key is not None:
            _check_key(kind(), name, service.api_key)
        return response or misbehaviour.answer_instead(name)

    app.after_request(misbehaviour.spoil_answer)
    return app


def _check_key(kind: Kind | None, endpoint: str, api_key: str) -> None:
    if kind is None:
        check_key(api_key)
    elif endpoint not in kind.open_endpoints:
        kind.check_key(api_key)


class _PlainJson(DefaultJSONProvider):
    """Answers in the order of the documentation and in readable letters, for people who look at them."""

    sort_keys = False
    ensure_ascii = False
