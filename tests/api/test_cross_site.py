"""Under single-owner no page of another origin can do anything, whatever the server's CORS extension says."""

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_cors import CORS
from history_api import register_history_api

APP, OTHER = "https://app.example", "https://other.example"
HOST = "history.example"
CORS_HEADERS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Credentials")


@pytest.fixture(params=["before", "after"])
def client(request: pytest.FixtureRequest, db, open_to_one: str) -> FlaskClient:
    """An ad cloner's server whose routes are open to every origin, extended before or after ours are registered."""
    app = Flask("ad_cloner")
    if request.param == "before":
        CORS(app, supports_credentials=True)
    register_history_api(app, page=True)
    if request.param == "after":
        CORS(app, supports_credentials=True)

    @app.get("/api/own")
    def own():
        return "own"

    return app.test_client()


OF_ANOTHER = [
    {"Origin": OTHER},
    {"Origin": "null"},
    {"Origin": OTHER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": f"https://{HOST}:8443", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "cross-site", "Referer": f"{OTHER}/page"},
    {"Origin": f"https://{HOST}.evil.example"},
]


@pytest.mark.parametrize("headers", OF_ANOTHER, ids=str)
def test_a_page_of_another_origin_reads_and_changes_nothing(client, generation_factory, manager, headers):
    made = generation_factory(1)["id"]
    headers |= {"Host": HOST}

    calls = [
        client.get("/api/history/generations", headers=headers),
        client.get(f"/api/history/generations/{made}", headers=headers),
        client.delete(f"/api/history/generations/{made}", headers=headers),
        # Without a Content-Type the browser asks nobody first.
        client.post("/api/history/generations", data='{"source_video_url": "x"}', headers=headers),
    ]

    assert [(call.status_code, call.json["code"]) for call in calls] == [(403, "not_allowed")] * 4
    assert [name for call in calls for name in CORS_HEADERS if name in call.headers] == []
    assert [generation["id"] for generation in manager.list_generations()] == [made]


def test_a_preflight_allows_a_page_of_another_origin_nothing(client):
    asked = {"Origin": OTHER, "Access-Control-Request-Method": "DELETE", "Host": HOST}

    answer = client.options("/api/history/generations/018f0000-0000-7000-8000-000000000000", headers=asked)

    assert [name for name in answer.headers if name[0].lower().startswith("access-control-")] == []


def test_the_extension_goes_on_working_for_the_servers_own_routes(client):
    assert client.get("/api/own", headers={"Origin": OTHER}).headers["Access-Control-Allow-Origin"] == OTHER


OF_ITS_OWN = [
    {},
    {"Origin": f"https://{HOST}"},
    {"Origin": f"http://{HOST.upper()}"},
    {"Origin": f"https://{HOST}", "Host": f"{HOST}:443"},
    {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin", "Host": "127.0.0.1:5000"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    {"Referer": f"{OTHER}/page"},
]


@pytest.mark.parametrize("headers", OF_ITS_OWN, ids=str)
def test_a_page_of_the_same_origin_and_what_is_no_page_work_as_before(client, generation_factory, headers):
    made = generation_factory(1)["id"]
    headers = {"Host": HOST, **headers}

    assert client.get("/api/history/generations", headers=headers).json["count"] == 1
    assert client.delete(f"/api/history/generations/{made}", headers=headers).status_code == 200


def test_a_link_that_a_person_follows_from_another_page_opens(client, generation_factory):
    made = generation_factory(1)["id"]
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert client.get(f"/api/history/generations/{made}", headers=headers).status_code == 200
    assert client.delete(f"/api/history/generations/{made}", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": APP}, {"Origin": APP, "Sec-Fetch-Site": "cross-site"}, {"Referer": f"{APP}/x"}], ids=str
)
def test_a_configured_origin_may_do_all_of_it(client, monkeypatch, headers):
    monkeypatch.setenv("HISTORY_CORS_ORIGINS", APP)

    answer = client.get("/api/history/generations", headers={"Sec-Fetch-Site": "cross-site", **headers})

    assert answer.status_code == 200
    if "Origin" in headers:
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [APP]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_token_needs_no_origin(client, by_token):
    assert client.get("/api/history/generations", headers={**by_token(), "Origin": OTHER}).status_code == 200


# ---------------------------------------------------------------- registration


def test_a_missing_setting_is_one_line_at_the_registration_and_no_traceback_a_call(monkeypatch, db, caplog):
    """Before, each call logged a traceback, and the registration nothing."""
    monkeypatch.delenv("DATABASE_URL")
    app = Flask("ad_cloner")

    register_history_api(app)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "HISTORY_ACCESS is not set" in record.message
    assert "DATABASE_URL is not set" in record.message
    answer = app.test_client().get("/api/history/generations")
    assert (answer.status_code, answer.json["code"]) == (503, "not_configured")
    assert [record.exc_info for record in caplog.records] == [None, None]


def test_where_nothing_is_missing_the_registration_logs_nothing(db, open_to_one, caplog):
    register_history_api(Flask("ad_cloner"))

    assert caplog.records == []


# ---------------------------------------------------------------- the page


def test_the_page_is_served_with_its_headers_beside_the_api(client):
    for path, kind in {"/history/": "text/html", "/history/app.js": "text/javascript"}.items():
        with client.get(path) as answer:
            assert (answer.status_code, answer.mimetype) == (200, kind)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert client.get("/history").headers["Location"].endswith("/history/")
    assert client.get("/history/../pyproject.toml").status_code == 404
    assert client.get("/history/nothing.js").status_code == 404
