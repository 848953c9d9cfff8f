"""The page works where the browser keeps nothing for it, and with whatever somebody pastes as a token."""

import pytest
from playwright.sync_api import Page, expect

TOKEN = "the-right-one"
#: Chromium's own words for a storage that is blocked, full, or not there at all.
STORAGES = {
    "blocked": """Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("Access is denied for this document.", "SecurityError") } })""",
    "full": """Storage.prototype.setItem = () => {
        throw new DOMException("Setting the value exceeded the quota.", "QuotaExceededError") }""",
    "missing": """Object.defineProperty(window, "localStorage", { value: null })""",
    "forgetful": """Storage.prototype.setItem = () => undefined""",
}


def with_token(route):
    if route.request.headers.get("authorization") == f"Bearer {TOKEN}":
        route.continue_(headers={**route.request.headers, "authorization": ""})
    else:
        body = {"success": False, "error": "no token", "code": "not_authenticated", "request_id": "req-1"}
        route.fulfill(status=401, json=body)


@pytest.fixture
def visit(open_page):
    """Opens a page whose API wants a token, in a browser with such a storage."""

    def make(storage: str = "", path: str = "/") -> Page:
        page = open_page("about:blank", failing=True)
        page.add_init_script(storage)
        page.route("**/api/history/**", with_token)
        page.goto(path)
        return page

    return make


def enter(page: Page, token: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Use it").click()


@pytest.mark.parametrize("storage", STORAGES)
def test_without_a_storage_a_token_holds_until_the_page_is_left(visit, stack, storage):
    page = visit(STORAGES[storage])
    enter(page, TOKEN)

    expect(page.locator("article").first).to_be_visible()
    expect(page.locator("#toasts")).to_contain_text("after a reload the token is asked for again")
    page.goto(f"/?generation={stack.demo_id}")
    expect(page.get_by_role("dialog")).to_contain_text("A token is needed")
    enter(page, TOKEN)
    with page.expect_download():
        page.get_by_role("button", name="Download soft scene 3").click()
    page.get_by_role("navigation").get_by_role("link", name="Statistics").click()
    expect(page.locator(".totals")).to_be_visible()


@pytest.mark.parametrize("storage", STORAGES)
def test_without_a_storage_a_page_that_needs_no_token_says_nothing_of_it(open_page, storage):
    page = open_page("about:blank")
    page.add_init_script(STORAGES[storage])
    page.goto("/")

    expect(page.locator("article").first).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)


def test_a_full_storage_does_not_bring_back_the_token_before(visit):
    page = visit()
    enter(page, "an-old-one")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate(f"() => {{ {STORAGES['full']} }}")
    enter(page, TOKEN)

    expect(page.locator("article").first).to_be_visible()


def test_where_the_storage_works_nothing_is_said_and_a_reload_asks_for_nothing(visit):
    page = visit()
    enter(page, TOKEN)
    expect(page.locator("article").first).to_be_visible()
    page.reload()

    expect(page.locator("article").first).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)


def test_another_token_is_used_without_a_reload_that_would_lose_it(visit):
    page = visit(STORAGES["blocked"])
    enter(page, TOKEN)
    expect(page.locator("article").first).to_be_visible()
    refused = {"success": False, "error": "no scope", "code": "not_allowed", "request_id": "req-2"}
    page.route("**/api/history/stats*", lambda route: route.fulfill(status=403, json=refused))
    page.get_by_role("navigation").get_by_role("link", name="Statistics").click()
    page.get_by_role("button", name="Use another token").click()
    page.unroute("**/api/history/stats*")
    enter(page, TOKEN)

    expect(page.locator(".totals")).to_be_visible()


@pytest.mark.parametrize("token", ["schlüssel", "\U0001f511", "two words", "“quoted”"])
def test_a_token_that_no_header_carries_is_asked_for_again(visit, token):
    """It is not that the server cannot be reached."""
    page = visit()
    enter(page, token)

    expect(page.get_by_role("dialog")).to_contain_text("characters that no token has")
    enter(page, TOKEN)
    expect(page.locator("article").first).to_be_visible()
