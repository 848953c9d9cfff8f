"""Finding: what is looked for is in the address, and the address is what is looked for."""

import re
import uuid

import pytest
from playwright.sync_api import expect


@pytest.fixture
def word(stack) -> str:
    """A word that two sources have, one with another variant."""
    made = f"find-{uuid.uuid4().hex[:8]}"
    stack.record(f"https://video.example/{made}/one.mp4", variant_types=["soft"])
    stack.record(f"https://video.example/{made}/two.mp4", variant_types=["ultra"])
    return made


def names(page):
    return page.locator("article h3")


def test_typing_finds_and_the_address_says_so(open_page, word):
    page = open_page()
    page.get_by_role("searchbox").fill(word)

    expect(names(page)).to_have_text(["two.mp4", "one.mp4"])
    expect(page).to_have_url(re.compile(rf"\?q={word}$"))


def test_an_address_that_was_shared_shows_the_same(open_page, word):
    page = open_page(f"/?q={word}&variant=ultra")

    expect(names(page)).to_have_text(["two.mp4"])
    expect(page.get_by_role("searchbox")).to_have_value(word)
    expect(page.get_by_label("Variant")).to_have_value("ultra")
    page.reload()
    expect(names(page)).to_have_text(["two.mp4"])


def test_statuses_narrow_together(open_page, word, stack):
    page = open_page(f"/?q={word}")
    expect(names(page)).to_have_count(2)

    page.get_by_role("checkbox", name="Failed").check()
    page.get_by_role("checkbox", name="Completed").check()

    expect(page).to_have_url(re.compile(r"status=completed(%2C|,)failed"))
    expect(page.locator(".state")).to_contain_text("No generation matches")


def test_days_narrow(open_page, word):
    page = open_page(f"/?q={word}&to=2020-01-01")

    expect(page.locator(".state")).to_contain_text("No generation matches")
    page.get_by_label("to", exact=True).fill("")
    expect(names(page)).to_have_count(2)


def test_nothing_found_tells_how_to_clear(open_page, word):
    page = open_page(f"/?q={word}-nowhere")

    page.locator(".state").get_by_role("button", name="Clear search and filters").click()

    expect(names(page).first).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("")
    assert "q=" not in page.url


def test_back_and_forward_go_through_what_was_opened(open_page, word):
    page = open_page(f"/?q={word}")
    names(page).first.get_by_role("link").click()
    expect(page.locator("#generation h1")).to_have_text("two.mp4")
    page.go_back()
    expect(names(page)).to_have_count(2)
    page.go_forward()

    expect(page.locator("#generation h1")).to_have_text("two.mp4")


def test_two_characters_are_too_few_and_it_says_so(open_page):
    page = open_page()
    page.get_by_role("searchbox").fill("ab")

    expect(page.locator(".hint")).to_have_text("1 more to search")


def test_an_address_with_nonsense_shows_everything(open_page, stack):
    page = open_page("/?status=great&variant=none&from=yesterday&q=%20")

    expect(names(page).first).to_be_visible()
