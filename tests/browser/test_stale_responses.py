"""Answers that come late, in a different order, or after the person went elsewhere."""

import json
import uuid

import pytest
from playwright.sync_api import Route, expect

LIST = "**/api/history/generations?*"
FRAME = "() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(true), 20)))"


@pytest.fixture
def word() -> str:
    return f"late-{uuid.uuid4().hex[:8]}"


def names(page):
    return page.locator("article h3")


def test_an_answer_to_an_old_search_is_never_among_what_a_new_one_finds(open_page, stack, word):
    stack.record(f"https://video.example/{word}-a/old.mp4")
    stack.record(f"https://video.example/{word}-b/new.mp4")
    page = open_page(f"/?q={word}-a")
    expect(names(page)).to_have_text(["old.mp4"])
    held: list[Route] = []

    def hold(route):
        if f"{word}-a" in route.request.url:
            held.append(route)
        else:
            route.continue_()

    page.route(LIST, hold)
    with page.expect_request(lambda request: f"{word}-a" in request.url):
        pass
    page.get_by_role("searchbox").fill(f"{word}-b")
    expect(names(page)).to_have_text(["new.mp4"])

    # The live look of before is answered now, in full; the one of now comes well after it.
    asked = {name: value for name, value in held[0].request.headers.items() if name != "if-none-match"}
    with page.expect_response(lambda answer: f"{word}-b" in answer.url):
        held[0].continue_(headers=asked)

    expect(names(page)).to_have_text(["new.mp4"])


def test_after_a_failure_another_search_is_made(open_page, stack, word):
    stack.record(f"https://video.example/{word}/found.mp4")
    page = open_page("about:blank", failing=True)
    page.route(LIST, lambda route: route.abort("connectionrefused"))
    page.goto("/")
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute(LIST)

    page.get_by_role("searchbox").fill(word)

    expect(names(page)).to_have_text(["found.mp4"])
    expect(page.get_by_role("alert")).to_have_count(0)


def test_after_a_failure_the_list_that_comes_by_itself_goes_on_to_its_end(open_page, stack, word):
    for number in range(60):
        stack.record(f"https://video.example/{word}/{number}.mp4")
    page = open_page("about:blank", failing=True)
    page.route(LIST, lambda route: route.abort("connectionrefused"))
    page.goto(f"/?q={word}")
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute(LIST)
    expect(names(page).first).to_have_text("59.mp4", timeout=20_000)

    for _ in range(40):
        page.mouse.wheel(0, 900)
        page.wait_for_function(FRAME)

    expect(names(page).last).to_have_text("0.mp4")


def test_a_generation_that_is_shown_stays_when_it_cannot_be_read_again(open_page, stack):
    page = open_page("/?q=demo/source.mp4", failing=True)
    names(page).first.get_by_role("link").click()
    expect(page.locator("#generation figure")).to_have_count(12)
    page.go_back()
    page.route(f"**/api/history/generations/{stack.demo_id}", lambda route: route.abort("connectionrefused"))
    names(page).first.get_by_role("link").click()

    expect(page.locator("#toasts")).to_contain_text("This may not be up to date")
    expect(page.locator("#generation figure")).to_have_count(12)


def test_a_generation_that_comes_after_one_has_left_opens_nothing(open_page, stack):
    held: list[Route] = []
    path = f"**/api/history/generations/{stack.demo_id}"
    page = open_page("/?q=demo/source.mp4")
    expect(names(page)).to_have_count(1)
    page.route(path, lambda route: held.append(route))  # noqa: PLW0108 - it takes no built-in
    page.evaluate(f"""() => {{
        history.pushState(null, '', '?generation={stack.demo_id}&play=soft-1');
        dispatchEvent(new PopStateEvent('popstate'));
    }}""")
    expect(page.locator("#generation")).to_be_visible()
    page.go_back()
    expect(page.locator("#library")).to_be_visible()

    with page.expect_event("requestfinished", lambda request: stack.demo_id in request.url):
        held[0].continue_()
    page.wait_for_function(FRAME)

    expect(page.locator("dialog")).to_have_count(0)
    expect(page).to_have_title("Generation History")


def test_more_new_ones_than_a_page_leave_no_gap(open_page, stack, word):
    stack.record(f"https://video.example/{word}/before.mp4")
    page = open_page(f"/?q={word}", failing=True)
    expect(names(page)).to_have_text(["before.mp4"])
    page.route(LIST, lambda route: route.abort("connectionrefused"))
    ids = [stack.record(f"https://video.example/{word}/{n}.mp4") for n in range(60)][::-1]
    page.unroute(LIST)
    expect(names(page).first).to_have_text("59.mp4", timeout=30_000)
    seen: list[str] = []
    for _ in range(60):
        for one in page.locator("article").evaluate_all("cards => cards.map(card => card.dataset.id)"):
            if one not in seen:
                seen.append(one)
        page.mouse.wheel(0, 600)
        page.wait_for_function(FRAME)

    assert len(seen) == 61
    assert seen[:60] == ids


def test_the_first_request_of_an_empty_library_goes_to_the_api_that_is_configured(open_page):
    page = open_page("about:blank")
    page.route(
        "**/config.js",
        lambda route: route.fulfill(
            content_type="text/javascript",
            body="export const config = {api: 'https://functions.example/api/v1', token: () => null, keepToken() {}};",
        ),
    )
    page.route(
        "https://functions.example/**",
        lambda route: route.fulfill(
            headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"},
            json={"success": True, "generations": [], "count": 0, "total": 0, "next_cursor": None, "next_offset": None},
        ),
    )
    page.goto("/")

    expect(page.locator(".state pre")).to_contain_text("https://functions.example/api/v1/history/generations")


def test_a_scene_of_which_nobody_knows_is_submitted_again_only_when_that_is_confirmed(open_page, stack):
    made = stack.record("https://video.example/unknown.mp4", {"soft": [f"[fail] {uuid.uuid4()}"]})
    stack.wait_until_over(made)
    page = open_page("about:blank")

    def unknown(route):
        answer = route.fetch()
        if answer.status == 304:
            return route.fulfill(response=answer)
        body = answer.json()
        scene = body["generation"]["variants"][0]["scenes"][0]
        scene["error_code"], scene["sora_video_id"] = "submit_unknown", None
        return route.fulfill(response=answer, json=body)

    bodies = []

    def retried(route):
        bodies.append(json.loads(route.request.post_data))
        route.fulfill(status=202, json={"success": True, "scene": {}})

    page.route(f"**/api/history/generations/{made}", unknown)
    page.route("**/api/history/scenes/*/retry", retried)
    page.goto(f"/?generation={made}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_contain_text("you pay twice")
    page.get_by_role("button", name="Leave it").click()
    assert bodies == []
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="It has no such job").click()

    expect(page.locator("#toasts")).to_contain_text("is tried again")
    assert bodies == [{"confirmed": True}]
