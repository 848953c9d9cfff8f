"""The player: by mouse and keyboard, from scene to scene, from any address, past an expired link."""

import re

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
