"""CORS: pages of the configured origins may read every answer, also an error; pages of others none."""

import pytest

from tests.api.test_requests import ANY_ID, with_implied

APP, ADMIN, OTHER = "https://app.example", "http://localhost:3000", "https://other.example"
EVERYWHERE = [
    ("generations", "", 200),
    ("library", "", 200),
    ("generations", "/x", 400),
    ("generations", ANY_ID, 404),
    ("generations", f"{ANY_ID}/nothing", 404),
    ("stats", "", 200),
]


@pytest.fixture
def origins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two origins are configured."""
    monkeypatch.setenv("HISTORY_CORS_ORIGINS", f"{APP} {ADMIN}")


def cors_of(answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


# ---------------------------------------------------------------- answers


@pytest.mark.usefixtures("db", "open_to_one", "origins")
@pytest.mark.parametrize("origin", [APP, ADMIN])
@pytest.mark.parametrize(("function", "path", "status"), EVERYWHERE)
def test_a_page_of_a_configured_origin_may_read_every_answer(call, origin, function, path, status):
    answer = call(function, path, headers={"origin": origin})

    assert (answer.status, answer.headers["vary"]) == (status, "Origin")
    assert cors_of(answer)["access-control-allow-origin"] == origin
    assert "ETag" in cors_of(answer)["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.usefixtures("origins", "by_token")
def test_a_page_may_read_why_it_was_refused(call):
    """Or it would see a network error where it should send its user to log in."""
    answer = call("stats", headers={"origin": APP})

    assert answer.refused(401, "not_authenticated")
    assert cors_of(answer)["access-control-allow-origin"] == APP


@pytest.mark.usefixtures("origins")
def test_a_page_may_read_that_nothing_is_configured_and_that_its_body_was_wrong(call):
    assert cors_of(call("stats", headers={"origin": APP}))["access-control-allow-origin"] == APP
    wrong = call("generations", method="POST", body="x", headers={"origin": APP, "content-type": "text/plain"})
    assert (wrong.status, cors_of(wrong)["access-control-allow-origin"]) == (400, APP)


@pytest.mark.usefixtures("db", "open_to_one", "origins")
@pytest.mark.parametrize(
    "origin",
    [OTHER, None, "", "null", "*", APP.upper(), f"{APP}/", f"{APP}:443", "http://app.example", f"{APP}.evil.example",
     f"{APP} {ADMIN}", "app.example", "https://app.example\r\nx: y"],
)  # fmt: skip
def test_a_page_of_any_other_origin_may_read_none(call, origin: str | None):
    for function, path, status in EVERYWHERE:
        for method in ("GET", "OPTIONS"):
            answer = call(function, path, method=method, headers={"origin": origin})
            assert answer.status in {status, 204, 403, 404}
            assert (cors_of(answer), answer.headers["vary"]) == ({}, "Origin")


@pytest.mark.usefixtures("db", "open_to_one")
def test_without_origins_configured_nothing_is_said_about_them(call):
    for method in ("GET", "OPTIONS"):
        answer = call("stats", method=method, headers={"origin": APP})
        assert (cors_of(answer), "vary" in answer.headers) == ({}, False)


@pytest.mark.usefixtures("db", "open_to_one", "origins")
def test_an_unchanged_answer_may_be_read_too(call):
    tag = call("library").headers["etag"]

    answer = call("library", headers={"origin": APP, "if-none-match": tag})

    assert (answer.status, cors_of(answer)["access-control-allow-origin"]) == (304, APP)


@pytest.mark.usefixtures("db", "open_to_one", "origins")
def test_no_header_comes_twice(call):
    for method in ("GET", "OPTIONS"):
        returned = call("library", method=method, headers={"origin": APP}).returned
        names = [name.lower() for name in returned["headers"]]
        assert len(names) == len(set(names))
        assert all(isinstance(value, str) for value in returned["headers"].values())


@pytest.mark.usefixtures("db", "open_to_one")
@pytest.mark.parametrize(
    "value",
    ["*", f"{APP} *", "https://*.example", "null", "app.example", f"{APP}/", f"{APP}/page", "https://APP.example",
     f"{APP}:443", "ftp://app.example", "https://user@app.example", f"{APP},{ADMIN}", "https://"],
)  # fmt: skip
def test_an_origin_that_is_not_exact_is_refused_by_the_name_of_the_setting(call, monkeypatch, value: str):
    monkeypatch.setenv("HISTORY_CORS_ORIGINS", value)

    answer = call("stats", headers={"origin": "*"})

    assert answer.refused(503, "not_configured").startswith("HISTORY_CORS_ORIGINS must be ")
    assert cors_of(answer) == {}


# ---------------------------------------------------------------- OPTIONS


@pytest.mark.parametrize(
    ("function", "path", "methods"),
    [
        ("generations", "", "GET, POST"),
        ("generations", "/", "GET, POST"),
        ("generations", ANY_ID, "DELETE, GET, PATCH"),
        ("library", "", "GET"),
        ("variants", f"{ANY_ID}/scenes", "GET, POST"),
        ("scenes", f"{ANY_ID}/video", "GET, POST"),
    ],
)
@pytest.mark.usefixtures("origins", "by_token")
def test_a_preflight_is_answered_without_a_token(call, function: str, path: str, methods: str):
    asked = {
        "origin": APP,
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,if-none-match",
    }

    answer = call(function, path, method="OPTIONS", headers=asked)

    assert (answer.status, answer.returned["body"]) == (204, "")
    assert answer.headers["allow"] == with_implied(methods)
    cors = cors_of(answer)
    assert (cors["access-control-allow-origin"], cors["access-control-allow-methods"]) == (APP, with_implied(methods))
    taken = {name.lower() for name in cors["access-control-allow-headers"].split(", ")}
    assert {"authorization", "content-type", "if-none-match"} <= taken
    assert int(cors["access-control-max-age"]) > 0


@pytest.mark.usefixtures("origins")
def test_at_a_path_that_is_none_there_are_no_options(call):
    for function, path in (("stats", "/x"), ("generations", f"{ANY_ID}/nothing"), ("variants", "")):
        answer = call(function, path, method="OPTIONS", headers={"origin": APP})
        assert answer.refused(404, "not_found")
        assert cors_of(answer)["access-control-allow-origin"] == APP


def test_options_of_whoever_is_no_browser_name_the_methods(call):
    answer = call("library", method="OPTIONS")

    assert (answer.status, answer.headers["allow"], cors_of(answer)) == (204, with_implied("GET"), {})
