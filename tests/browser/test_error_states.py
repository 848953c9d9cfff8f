"""Whatever the server does, the page says it and offers a way on; whoever looks, on whatever, can use it."""

import re

import pytest
import requests
from playwright.sync_api import Page, expect

LIST = "**/api/history/generations?*"


def refusal(status: int, code: str, **headers: str):
    body = {"success": False, "error": f"the sentence of {code}", "code": code, "request_id": "req-1"}
    return lambda route: route.fulfill(status=status, json=body, headers=headers)


FAILURES = {
    "offline": (lambda route: route.abort("connectionrefused"), "The server cannot be reached"),
    "403": (refusal(403, "not_allowed"), "This is not allowed"),
    "429": (refusal(429, "too_many", **{"Retry-After": "7"}), "Try again in 7 s"),
    "500": (refusal(500, "internal"), "Something went wrong"),
    "503": (refusal(503, "unavailable"), "The database cannot be reached"),
    "a page of a proxy": (lambda route: route.fulfill(status=502, body="<h1>bad gateway</h1>"), "Something went wrong"),
    "half an answer": (lambda route: route.fulfill(body='{"success": true, "gener'), "The answer broke off"),
    "another answer": (lambda route: route.fulfill(json={"success": True}), "The answer broke off"),
}


@pytest.fixture
def failing_page(open_page):
    def make(answer) -> Page:
        page = open_page("about:blank", failing=True)
        page.route(LIST, answer)
        page.goto("/")
        return page

    return make


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_said_and_can_be_tried_again(failing_page, name):
    answer, said = FAILURES[name]
    page = failing_page(answer)
    expect(page.get_by_role("alert")).to_contain_text(said)

    page.unroute(LIST)
    page.get_by_role("button", name="Try again").click()

    expect(page.locator("article").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_request_of_a_failure_can_be_told_to_who_looks_for_it(failing_page):
    page = failing_page(refusal(500, "internal"))

    expect(page.get_by_role("alert")).to_contain_text("the sentence of internal")
    expect(page.get_by_role("alert").locator("code")).to_have_text("req-1")


def test_once_the_connection_is_back_it_goes_on_by_itself(failing_page):
    page = failing_page(lambda route: route.abort("internetdisconnected"))
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute(LIST)

    page.evaluate("dispatchEvent(new Event('online'))")

    expect(page.locator("article").first).to_be_visible()


def test_a_page_that_does_not_come_keeps_what_is_there(open_page, stack):
    for number in range(60):
        stack.record(f"https://video.example/kept-there/{number}.mp4")
    page = open_page("/?q=kept-there", failing=True)
    expect(page.locator("article").first).to_be_visible()
    page.route("**/api/history/generations?*cursor=*", refusal(500, "internal"))
    for _ in range(12):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(30)

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("article").last).to_be_visible()
    page.unroute("**/api/history/generations?*cursor=*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def with_token(route):
    if route.request.headers.get("authorization") == "Bearer the-right-one":
        route.continue_()
    else:
        refusal(401, "not_authenticated")(route)


def test_a_token_is_asked_for_and_the_place_is_kept(open_page, stack):
    page = open_page("about:blank", failing=True)
    page.route("**/api/history/**", with_token)
    page.goto(f"/?generation={stack.demo_id}")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("A token is needed")
    dialog.get_by_label("Token").fill("a-wrong-one")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog).to_contain_text("the sentence of not_authenticated")
    dialog.get_by_label("Token").fill("the-right-one")
    dialog.get_by_role("button", name="Use it").click()

    expect(page.locator("#generation h1")).to_have_text("source.mp4")
    page.reload()
    expect(page.locator("#generation h1")).to_have_text("source.mp4")


def test_who_has_no_token_is_left_in_peace_and_may_enter_one_later(open_page):
    page = open_page("about:blank", failing=True)
    page.route("**/api/history/**", with_token)
    page.goto("/")
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("alert")).to_contain_text("A token is needed")

    page.get_by_role("button", name="Enter a token").click()

    expect(page.get_by_role("dialog")).to_be_visible()


VIEWS = [
    "/",
    "/?generation={demo}",
    "/?view=statistics",
    "/?generation={demo}&play=soft-1",
    "/?generation={demo}&compare=1",
]
READY = "article, #generation figure, .totals"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "options",
    [{"viewport": {"width": 320, "height": 640}}, {"viewport": {"width": 640, "height": 400}}],
    ids=["320 px", "1280 px at 200 %"],
)
def test_nothing_sticks_out_sideways(open_page, stack, view, options):
    page = open_page(view.format(demo=stack.demo_id), **options)
    expect(page.locator(READY).first).to_be_attached()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if page.locator("dialog").count():
        assert page.evaluate(
            "(() => { const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth + 1 })()"
        )


@pytest.mark.parametrize("view", VIEWS[:3])
def test_axe_finds_nothing_in_the_dark(open_page, stack, view, axe):
    page = open_page(view.format(demo=stack.demo_id), color_scheme="dark")
    expect(page.locator(READY).first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).color") != page.evaluate(
        "getComputedStyle(document.documentElement).backgroundColor"
    )

    assert axe(page) == []


def test_axe_finds_nothing_where_something_failed(failing_page, axe):
    page = failing_page(refusal(500, "internal"))
    expect(page.get_by_role("alert")).to_be_visible()

    assert axe(page) == []


def test_the_keyboard_alone_opens_plays_and_comes_back(open_page, stack):
    page = open_page("/?q=demo/source.mp4")
    expect(page.locator("article")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#generation figure").first).to_be_visible()
    page.get_by_role("button", name="Play soft scene 1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_policy_lets_nothing_run_but_the_pages_own_files(open_page):
    page = open_page("/", failing=True)
    policy = page.locator("meta[http-equiv]").get_attribute("content")

    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'self'(;|$)", policy)
    assert "unsafe" not in policy
    assert (
        page.evaluate("""() => {
        try { document.createElement('p').innerHTML = '<b>x</b>' } catch (error) { return error.name }
    }""")
        == "TypeError"
    )


def test_files_come_with_their_types_and_nothing_outside_the_page_comes(stack):
    kinds = {name: requests.get(f"{stack.url}/{name}", timeout=5) for name in ("", "app.js", "style.css", "icon.svg")}
    assert [answer.headers["Content-Type"].split(";")[0] for answer in kinds.values()] == [
        "text/html",
        "text/javascript",
        "text/css",
        "image/svg+xml",
    ]
    assert {answer.headers["Cache-Control"] for answer in kinds.values()} == {"no-cache"}
    for path in ("/../project.yml", "/%2e%2e/project.yml", "/..%2fproject.yml", "/nothing.js"):
        assert requests.get(f"{stack.url}{path}", timeout=5).status_code == 404
