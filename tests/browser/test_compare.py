"""Variants side by side: in step, one heard, differences marked."""

import uuid

import pytest
from playwright.sync_api import Page, expect

VIDEOS = "[...document.querySelectorAll('.compare video')]"


@pytest.fixture
def comparison(open_page, stack) -> Page:
    page = open_page(f"/?generation={stack.demo_id}")
    page.get_by_role("button", name="Compare scene 2").click()
    page.wait_for_function(f"() => {VIDEOS}.every(video => !video.paused && video.currentTime > 0.1)")
    return page


def times(page: Page) -> list[float]:
    return page.evaluate(f"{VIDEOS}.map(video => video.currentTime)")


def paused(page: Page) -> list[bool]:
    return page.evaluate(f"{VIDEOS}.map(video => video.paused)")


def muted(page: Page) -> list[bool]:
    return page.evaluate(f"{VIDEOS}.map(video => video.muted)")


def test_all_variants_of_the_scene_play_in_step(comparison):
    for _ in range(5):
        comparison.wait_for_timeout(150)
        now = times(comparison)
        assert len(now) == 3
        assert max(now) - min(now) < 0.15


def test_one_that_waits_makes_all_wait(comparison):
    comparison.evaluate("""() => {
        const video = document.querySelectorAll('.compare video')[1];
        Object.defineProperty(video, 'readyState', {value: 1, configurable: true});
        video.dispatchEvent(new Event('waiting'));
    }""")
    assert paused(comparison) == [True, True, True]
    comparison.evaluate("""() => {
        const video = document.querySelectorAll('.compare video')[1];
        delete video.readyState;
        video.dispatchEvent(new Event('canplay'));
    }""")

    comparison.wait_for_function("() => [...document.querySelectorAll('.compare video')].every(video => !video.paused)")


def test_what_drifts_is_brought_back(comparison):
    comparison.keyboard.press("Space")
    comparison.evaluate(f"{VIDEOS}.forEach((video, at) => {{ video.currentTime = at ? 0.2 : 1 }})")

    spread = f"(all => Math.max(...all) - Math.min(...all))({VIDEOS}.map(video => video.currentTime))"
    comparison.wait_for_function(f"() => {spread} < 0.1")


def test_one_is_heard_at_a_time(comparison):
    assert muted(comparison) == [True, True, True]
    comparison.get_by_role("button", name="Hear medium").click()
    assert muted(comparison) == [True, False, True]
    comparison.keyboard.press("v")
    assert muted(comparison) == [True, True, False]
    comparison.keyboard.press("m")
    assert muted(comparison) == [True, True, True]


def test_the_prompts_differences_are_marked(comparison):
    medium = comparison.locator(".compare section").nth(1).locator(".prompt")

    expect(medium.locator("ins").first).to_contain_text("medium:")
    expect(medium.locator("del").first).to_contain_text("soft:")


def test_the_address_opens_it_and_escape_closes_it(comparison, open_page):
    assert comparison.url.endswith("&compare=2")
    comparison.keyboard.press("Escape")
    expect(comparison.locator("dialog")).to_have_count(0)
    assert "compare" not in comparison.url


def test_axe_finds_nothing_in_the_comparison(comparison, axe):
    comparison.keyboard.press("Space")

    assert axe(comparison) == []


DIFFS = [
    ("a b c", "a b c", [["same", "a b c"]]),
    ("a cat sits", "a dog sits", [["same", "a "], ["removed", "cat"], ["added", "dog"], ["same", " sits"]]),
    ("", "new", [["added", "new"]]),
    ("old", "", [["removed", "old"]]),
    ("", "", []),
]


@pytest.mark.parametrize(("before", "after", "parts"), DIFFS)
def test_a_difference_is_told_word_by_word(open_page, before, after, parts):
    page = open_page("/")
    told = page.evaluate(
        "async ([a, b]) => (await import('/diff.js')).wordDiff(a, b).map(({kind, text}) => [kind, text])",
        [before, after],
    )

    assert told == parts


def test_a_difference_adds_up_to_both_texts(open_page):
    before, after = "one two three four five six " * 40, "one 2 three six five four " * 40
    page = open_page("/")
    told = page.evaluate("async ([a, b]) => (await import('/diff.js')).wordDiff(a, b)", [before, after])

    assert "".join(part["text"] for part in told if part["kind"] != "added") == before
    assert "".join(part["text"] for part in told if part["kind"] != "removed") == after


def test_a_comparison_gets_over_an_expired_link(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(1)
            route.fulfill(status=403, body="expired")

    page.route("**/medium/scene_2.mp4?*", refuse_once)
    page.get_by_role("button", name="Compare scene 2").click()
    page.wait_for_function(f"() => {VIDEOS}.every(video => !video.paused && video.currentTime > 0.1)")


def test_a_comparison_that_cannot_be_had_says_so(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    expect(page.locator("#generation figure")).to_have_count(12)
    page.route("**/medium/scene_2.mp4?*", lambda route: route.fulfill(status=403, body="no"))
    page.get_by_role("button", name="Compare scene 2").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be played")


def test_space_works_on_the_comparisons_slider(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}&compare=2")
    page.wait_for_function(
        f"() => {VIDEOS}.length && {VIDEOS}.every(video => !video.paused && video.currentTime > 0.1)"
    )
    page.locator(".compare input").focus()
    page.keyboard.press("Space")

    # They stand still for a moment at each round, too; the button says what is wanted.
    expect(page.locator(".compare [data-do=play]")).to_have_text("Play")
    assert paused(page) == [True, True, True]


@pytest.mark.parametrize("seconds", [(8, 4), (4, 8)])
def test_clips_of_different_lengths_go_round_together(open_page, stack, seconds):
    body = {"source_video_url": f"https://video.example/{uuid.uuid4()}.mp4", "variant_types": ["soft", "medium"]}
    one = stack.api("POST", "/generations", json=body)["generation_id"]
    variants = stack.api("GET", f"/generations/{one}")["generation"]["variants"]
    for variant, its in zip(sorted(variants, key=lambda v: v["variant_type"] != "soft"), seconds, strict=True):
        asked = {"prompts": [f"clip {uuid.uuid4()}"], "seconds": its, "submit": True}
        stack.api("POST", f"/variants/{variant['id']}/scenes", json=asked)
    stack.wait_until_over(one)
    page = open_page(f"/?generation={one}&compare=1")
    page.wait_for_function(
        f"() => {VIDEOS}.length === 2 && {VIDEOS}.every(video => !video.paused && video.currentTime > 0.1)"
    )
    bar = page.locator(".compare input")
    assert float(bar.get_attribute("max") or 0) == pytest.approx(
        max(page.evaluate(f"{VIDEOS}.map(video => video.duration)")), abs=0.2
    )
    bar.evaluate("bar => { bar.value = bar.max - 0.6; bar.dispatchEvent(new Event('input')) }")
    page.wait_for_function(
        f"() => {VIDEOS}.every(video => !video.paused && video.currentTime > 0.1 && video.currentTime < 2)"
    )
