"""The player: by mouse and keyboard, from scene to scene, from any address, past an expired link."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def player(open_page, stack) -> Page:
    """A page whose player is open on the first scene, playing."""
    page = open_page(f"/?generation={stack.demo_id}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Play soft scene 1").click()
    expect(video(page)).to_have_js_property("paused", False)
    return page


def video(page: Page):
    return page.locator("dialog.player video")


def title(page: Page):
    return page.locator("dialog.player h2")


def test_space_plays_and_pauses(player):
    player.keyboard.press("Space")
    expect(video(player)).to_have_js_property("paused", True)
    player.keyboard.press("Space")
    expect(video(player)).to_have_js_property("paused", False)


def test_arrows_go_by_seconds_and_points_by_frames(player):
    player.keyboard.press("Space")
    video(player).evaluate("video => { video.currentTime = 0 }")

    player.keyboard.press("ArrowRight")
    expect(video(player)).to_have_js_property("currentTime", 1)
    player.keyboard.press(".")
    assert video(player).evaluate("video => video.currentTime") == pytest.approx(1 + 1 / 24, abs=0.002)
    player.keyboard.press(",")
    player.keyboard.press("ArrowLeft")
    assert video(player).evaluate("video => video.currentTime") == pytest.approx(0, abs=0.002)


def test_keys_go_to_scenes_and_variants(player):
    for key, there in (
        ("3", "soft, scene 3"),
        ("v", "medium, scene 3"),
        ("n", "medium, scene 4"),
        ("p", "medium, scene 3"),
    ):
        player.keyboard.press(key)
        expect(title(player)).to_have_text(there)
        expect(video(player)).to_have_js_property("paused", False)


def test_sound_goes_off_and_on(player):
    before = video(player).evaluate("video => video.muted")
    player.keyboard.press("m")

    expect(video(player)).to_have_js_property("muted", not before)


def test_f_fills_the_screen(player):
    player.keyboard.press("f")
    player.wait_for_function("() => document.fullscreenElement?.tagName === 'VIDEO'")
    player.keyboard.press("f")
    player.wait_for_function("() => !document.fullscreenElement")


def test_a_short_clip_goes_round(player):
    expect(video(player)).to_have_js_property("loop", True)


def test_escape_closes_and_gives_the_focus_back(player):
    player.keyboard.press("Escape")

    expect(player.locator("dialog")).to_have_count(0)
    expect(player.get_by_role("button", name="Play soft scene 1")).to_be_focused()
    assert "play=" not in player.url


def test_a_link_to_a_moment_opens_there(player, stack, open_page):
    player.keyboard.press("2")
    expect(title(player)).to_have_text("soft, scene 2")
    player.keyboard.press("Space")
    video(player).evaluate("video => { video.currentTime = 1.3 }")
    player.keyboard.press("c")
    expect(player.locator("#toasts")).to_contain_text("copied")
    link = player.evaluate("navigator.clipboard.readText()")
    assert link.endswith(f"?generation={stack.demo_id}&play=soft-2&t=1.3")

    other = open_page(link)

    expect(title(other)).to_have_text("soft, scene 2")
    other.wait_for_function("() => document.querySelector('dialog video').currentTime > 1.2")


def test_a_link_that_expired_is_fetched_anew_and_playing_goes_on(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=403, body="expired")

    page.route("**/scene_2.mp4?*", refuse_once)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/history/variants/" in request.url else None)

    page.get_by_role("button", name="Play medium scene 2").click()

    expect(video(page)).to_have_js_property("paused", False)
    page.wait_for_function("() => document.querySelector('dialog video').currentTime > 0.2")
    assert len(refused) == len(asked) == 1


def test_a_video_that_cannot_be_had_says_so_and_offers_another_try(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    page.route("**/scene_3.mp4?*", lambda route: route.fulfill(status=403, body="no"))
    page.get_by_role("button", name="Play soft scene 3").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be played")

    page.unroute("**/scene_3.mp4?*")
    page.get_by_role("button", name="Try again").click()

    expect(video(page)).to_have_js_property("paused", False)
    expect(page.locator(".broken")).not_to_be_visible()


def test_the_sheet_shows_every_key_there_is(player):
    keys = player.evaluate("import('/keys.js').then(module => module.KEYS.map(one => one.name ?? one.key))")
    player.keyboard.press("Escape")
    player.keyboard.press("?")

    expect(player.locator(".sheet kbd")).to_have_text(keys)


def test_axe_finds_nothing_in_the_player_and_the_sheet(player, axe):
    assert axe(player) == []
    player.keyboard.press("Escape")
    player.keyboard.press("?")
    expect(player.locator(".sheet")).to_be_visible()

    assert axe(player) == []


def test_the_dialog_keeps_the_focus(player):
    for _ in range(12):
        player.keyboard.press("Tab")
        assert player.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")


def test_a_scene_that_has_no_video_says_so(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}&play=ultra-9")

    expect(title(page)).to_have_text(re.compile("soft, scene 1"))


HIT = """selector => {
    const node = document.querySelector(selector);
    const box = node.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return node === hit || node.contains(hit);
}"""


def play(page, name="Play soft scene 1"):
    page.get_by_role("button", name=name).click()
    expect(page.locator("dialog.player video")).to_have_js_property("paused", False)


def test_a_toast_can_be_used_while_the_player_is_open(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", permissions=["clipboard-read", "clipboard-write"])
    play(page)
    page.keyboard.press("c")
    expect(page.locator("#toasts")).to_contain_text("copied")
    assert page.evaluate(HIT, "#toasts .toast button")
    page.locator("#toasts .toast button").first.click(timeout=2000)
    expect(page.locator("#toasts .toast")).to_have_count(0)


def test_a_message_outlives_the_dialog_it_was_shown_in(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", permissions=["clipboard-read", "clipboard-write"])
    play(page)
    page.keyboard.press("c")
    expect(page.locator("dialog #toasts")).to_contain_text("copied")
    page.keyboard.press("Escape")

    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("body > #toasts")).to_contain_text("copied")


def test_back_closes_the_player_and_shows_the_library(open_page, stack):
    page = open_page("/?q=demo/source")
    page.locator(f'article[data-id="{stack.demo_id}"] a').first.click()
    play(page)
    page.go_back()
    expect(page.locator("dialog")).to_have_count(0)
    assert "generation=" not in page.url
    expect(page.locator("#library")).to_be_visible()


def test_space_plays_and_pauses_after_a_click(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    play(page)
    page.locator("dialog.player [data-do=next]").click()
    expect(page.locator("dialog.player h2")).to_have_text("soft, scene 2")
    expect(page.locator("dialog.player video")).to_have_js_property("paused", False)
    page.keyboard.press("Space")
    expect(page.locator("dialog.player h2")).to_have_text("soft, scene 2")
    expect(page.locator("dialog.player video")).to_have_js_property("paused", True, timeout=2000)


def test_a_player_without_any_video_is_not_opened(open_page, stack):
    bare = stack.record(f"https://video.example/{uuid.uuid4()}.mp4")
    page = open_page(f"/?generation={bare}&play=soft-1")
    expect(page.locator("#toasts")).to_contain_text("no video")
    page.keyboard.press("d")
    page.keyboard.press("c")
    expect(page.locator("dialog.player")).to_have_count(0, timeout=2000)


def test_an_expired_link_is_found_anew_on_a_later_page_of_scenes(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(1)
            route.fulfill(status=403, body="expired")

    def first_two(route):
        after = int((re.search(r"after=(\d+)", route.request.url) or [0, 0])[1])
        answer = route.fetch()
        body = answer.json()
        body["scenes"] = body["scenes"][:2]
        body["next_after"] = after + 2
        route.fulfill(response=answer, json=body)

    page.route("**/medium/scene_4.mp4?*", refuse_once)
    page.route("**/history/variants/**", first_two)
    page.get_by_role("button", name="Play medium scene 4").click()
    page.wait_for_function("() => document.querySelector('dialog video').currentTime > 0.2")


def test_a_failure_of_a_scene_that_was_left_says_nothing_of_the_next(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    page.route("**/soft/scene_3.mp4?*", lambda route: route.fulfill(status=403, body="expired"))
    held = []
    page.route("**/history/variants/**", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    with page.expect_request("**/history/variants/**"):
        page.get_by_role("button", name="Play soft scene 3").click()
    page.keyboard.press("v")
    expect(page.locator("dialog.player h2")).to_have_text("medium, scene 3")
    page.wait_for_function("() => document.querySelector('dialog video').currentTime > 0.2")
    with page.expect_response("**/history/variants/**"):
        held[0].continue_()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".broken")).not_to_be_visible()
    assert page.evaluate("document.querySelector('dialog video').currentTime > 0.2")


def test_a_player_that_was_closed_loads_nothing_more(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    page.route("**/soft/scene_3.mp4?*", lambda route: route.fulfill(status=403, body="expired"))
    held, loaded = [], []
    page.route("**/history/variants/**", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    with page.expect_request("**/history/variants/**"):
        page.get_by_role("button", name="Play soft scene 3").click()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.on("request", lambda request: loaded.append(request.url) if "scene_3.mp4" in request.url else None)
    with page.expect_response("**/history/variants/**") as answered:
        held[0].continue_()
    answered.value.finished()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    assert loaded == []


def test_one_that_stood_still_stands_still_after_its_link_is_fetched_anew(player):
    player.keyboard.press("Space")
    video(player).evaluate("video => { video.currentTime = 1 }")
    with player.expect_response("**/history/variants/**"):
        video(player).evaluate("video => video.dispatchEvent(new Event('error'))")

    player.wait_for_function(
        "() => (video => video.readyState > 2 && video.currentTime === 1)(document.querySelector('dialog video'))"
    )
    expect(video(player)).to_have_js_property("paused", True)
