"""The wall of generations: what a card says, how it plays, and that it has no end and never jumps."""

import re
import uuid

import pytest
from playwright.sync_api import expect


@pytest.fixture
def card(open_page, stack):
    """The demo's card, on a page of its own."""
    return open_page("/?q=demo/source.mp4").locator(f'article[data-id="{stack.demo_id}"]')


def test_a_card_says_what_it_is_in_words_and_pictures(card, stack):
    expect(card).to_contain_text("source.mp4")
    expect(card.locator(".status")).to_contain_text("Completed")
    expect(card.locator(".id")).to_have_text(stack.demo_id[-8:])
    expect(card).to_contain_text("soft, medium, aggressive")
    expect(card).to_contain_text("$2.40")
    expect(card.locator(".poster img")).to_have_js_property("complete", True)
    assert card.locator(".poster img").evaluate("image => image.naturalWidth") > 100
    assert card.locator(".strip img").count() == 12


def test_pictures_have_their_shape_before_they_are_there(card):
    assert card.locator(".poster img").get_attribute("width") == "288"
    assert card.locator(".poster img").get_attribute("height") == "512"


def test_generations_stand_under_the_day_they_were_recorded(open_page):
    page = open_page()

    today = page.evaluate(
        "new Intl.DateTimeFormat('en', {weekday: 'long', day: 'numeric', month: 'long', year: 'numeric'}).format()"
    )
    expect(page.locator("h2.day").first).to_have_text(today)


def test_under_the_pointer_a_card_plays_and_shows_the_scene_it_points_at(card):
    card.locator(".media").hover(position={"x": 5, "y": 40})
    video = card.locator("video")
    expect(video).to_have_js_property("paused", False)
    first = video.get_attribute("src")
    width = card.locator(".media").bounding_box()["width"]

    card.locator(".media").hover(position={"x": width - 5, "y": 40})

    expect(video).not_to_have_attribute("src", first)
    card.page.mouse.move(0, 0)
    expect(video).to_have_count(0)


def test_with_the_focus_on_it_a_card_plays_too(card):
    card.locator(".media").focus()

    expect(card.locator("video")).to_have_js_property("paused", False)


def test_who_wants_less_motion_sees_nothing_play_by_itself(open_page, stack):
    page = open_page("/?q=demo/source.mp4", reduced_motion="reduce")
    media = page.locator(f'article[data-id="{stack.demo_id}"] .media')
    media.hover()
    media.focus()

    page.wait_for_timeout(400)

    expect(page.locator("article video")).to_have_count(0)


def test_the_list_goes_on_by_itself_in_order_and_keeps_few_cards(open_page, stack):
    word = f"endless-{uuid.uuid4().hex[:8]}"
    ids = [stack.record(f"https://video.example/{word}/{number}.mp4") for number in range(130)][::-1]
    page = open_page(f"/?q={word}")
    expect(page.locator("article").first).to_be_visible()

    seen: list[str] = []
    for _ in range(60):
        here = page.locator("article").evaluate_all("cards => cards.map(card => card.dataset.id)")
        assert len(here) < 60
        seen += [one for one in here if one not in seen]
        if len(seen) == len(ids):
            break
        page.mouse.wheel(0, 700)
        page.wait_for_function(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )

    assert seen == ids
    expect(page.locator(".end")).to_have_text("That is all.")


def test_coming_back_from_a_generation_finds_the_place_again(open_page, stack):
    word = f"back-{uuid.uuid4().hex[:8]}"
    for number in range(40):
        stack.record(f"https://video.example/{word}/{number}.mp4")
    page = open_page(f"/?q={word}")
    expect(page.locator("article").first).to_be_visible()
    page.evaluate("scrollTo(0, 900)")
    page.wait_for_function("() => scrollY > 800")
    before = page.evaluate("scrollY")

    page.locator("article h3 a").nth(8).click()
    expect(page.locator("#generation h1")).to_be_visible()
    page.go_back()

    expect(page.locator("article").first).to_be_visible()
    assert page.evaluate("scrollY") == before


def test_an_empty_library_tells_how_to_make_the_first_generation(open_page):
    page = open_page("about:blank")
    page.route(
        "**/api/history/generations?*",
        lambda route: route.fulfill(
            json={"success": True, "generations": [], "count": 0, "total": 0, "next_cursor": None, "next_offset": None}
        ),
    )
    page.goto("/")

    expect(page.locator(".state")).to_contain_text("Nothing generated yet")
    expect(page.locator(".state pre")).to_contain_text("curl -X POST")


def test_while_nothing_is_there_yet_skeletons_hold_its_place(open_page):
    page = open_page("about:blank")
    held = []
    page.route("**/api/history/generations?*", lambda route: held.append(route))  # noqa: PLW0108 - it takes no built-in
    page.goto("/")

    expect(page.locator(".skeletons .card")).to_have_count(12)
    expect(page.locator(".told")).to_have_text("Still loading…")
    held[0].continue_()
    expect(page.locator("article").first).to_be_visible()
    expect(page.locator(".skeletons")).to_have_count(0)


def test_the_number_of_all_is_told(open_page, stack):
    page = open_page()
    total = stack.api("GET", "/generations?limit=1")["total"]

    expect(page.locator(".told")).to_have_text(re.compile(rf"^{total:,} generations?$"))


def test_axe_finds_nothing_in_the_library(card, axe):
    expect(card).to_be_visible()

    assert axe(card.page) == []
