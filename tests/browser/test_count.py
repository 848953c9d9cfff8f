"""The number above the wall is that of what is shown: of this search, without what was deleted, with what came."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect

LIST = "**/api/history/generations?*"


@pytest.fixture
def word(stack) -> str:
    """A word that three sources have, of which one has another variant."""
    made = f"count-{uuid.uuid4().hex[:8]}"
    for number, variant in enumerate(("soft", "soft", "ultra")):
        stack.record(f"https://video.example/{made}/{number}.mp4", variant_types=[variant])
    return made


def number_above(page: Page):
    return page.locator(".told")


def count(page: Page) -> int:
    return int(number_above(page).inner_text().split()[0].replace(",", ""))


def search(page: Page, text: str) -> None:
    page.get_by_role("searchbox").fill(text)


@pytest.mark.parametrize("found", [3, 0])
def test_a_search_does_not_keep_the_librarys_number(open_page, word, found):
    """The API counts none under a search."""
    page = open_page("/")
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    assert number_above(page).inner_text() != "3 generations"

    search(page, word if found else f"{word}-nothing")

    expect(page.locator("[data-pick]")).to_have_count(found)
    expect(number_above(page)).to_have_text(f"{found} generations")


def test_filters_count_and_without_them_it_is_the_librarys_again(open_page, word):
    page = open_page("/")
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    everything = number_above(page).inner_text()
    search(page, word)
    expect(number_above(page)).to_have_text("3 generations")

    page.get_by_label("Variant").select_option("ultra")
    expect(number_above(page)).to_have_text("1 generation")
    page.get_by_role("checkbox", name="Failed").check()
    expect(number_above(page)).to_have_text("0 generations")
    page.locator(".bar").get_by_role("button", name="Clear").click()

    expect(number_above(page)).to_have_text(everything)


def test_while_a_search_is_on_its_way_no_number_is_shown(open_page, word):
    page = open_page("/")
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    held = []

    def hold(route):
        held.append(route)

    page.route(LIST, hold)

    search(page, word)

    expect(number_above(page)).to_have_text("")
    for route in held:
        route.continue_()
    expect(number_above(page)).to_have_text("3 generations")


def test_a_search_that_fails_has_no_number_until_it_is_there(open_page, word):
    page = open_page("/", failing=True)
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    page.route(
        LIST, lambda route: route.fulfill(status=500, json={"success": False, "error": "no", "code": "internal"})
    )
    search(page, word)
    expect(page.get_by_role("alert")).to_be_visible()

    expect(number_above(page)).to_have_text("")
    page.unroute(LIST)
    page.get_by_role("button", name="Try again").click()
    expect(number_above(page)).to_have_text("3 generations")


def test_more_than_a_page_is_so_many_shown_until_all_are_loaded(open_page, stack):
    many = f"count-{uuid.uuid4().hex[:8]}"
    for number in range(53):
        stack.record(f"https://video.example/{many}/{number}.mp4")
    page = open_page("/")
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    search(page, many)
    expect(number_above(page)).to_have_text("50 shown")

    for _ in range(12):
        page.mouse.wheel(0, 2_000)
        page.wait_for_timeout(30)

    expect(number_above(page)).to_have_text("53 generations")


@pytest.mark.parametrize("path", ["/?q={word}", "/"])
def test_what_is_deleted_does_not_count_until_it_is_restored(open_page, word, path):
    """With the API's number, and without one."""
    page = open_page(path.format(word=word))
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    before = count(page)
    for at in (0, 1):
        page.locator("[data-pick]").nth(at).check()
    page.keyboard.press("Delete")

    expect(page.locator("#toasts")).to_contain_text("2 generations deleted")
    expect(number_above(page)).to_have_text(re.compile(rf"^{before - 2:,} generations?$"))
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("2 generations restored")
    expect(number_above(page)).to_have_text(f"{before:,} generations")


@pytest.fixture
def more_than_a_page(stack) -> None:
    """More than is loaded at once, so that the number is the API's."""
    for number in range(53):
        stack.record(f"https://video.example/count-{uuid.uuid4().hex[:8]}/{number}.mp4")


@pytest.mark.usefixtures("more_than_a_page")
def test_a_deletion_counts_at_once_and_not_only_when_the_api_says_so(open_page):
    page = open_page("/", failing=True)
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    before = count(page)
    page.route(LIST, lambda route: route.abort())
    page.locator("[data-pick]").first.check()
    page.keyboard.press("Delete")

    expect(number_above(page)).to_have_text(f"{before - 1:,} generations")
    page.get_by_role("button", name="Undo").click()
    expect(number_above(page)).to_have_text(f"{before:,} generations")


@pytest.mark.usefixtures("more_than_a_page")
def test_what_waits_for_who_has_scrolled_counts_once_it_is_shown(open_page, stack):
    page = open_page("/")
    expect(number_above(page)).to_have_text(re.compile(r"^[\d,]+ generations$"))
    before = count(page)
    page.evaluate("scrollTo(0, 500)")
    page.wait_for_function("() => scrollY > 400")
    stack.record(f"https://video.example/count-{uuid.uuid4().hex[:8]}/new.mp4")
    pill = page.get_by_role("button", name="1 new generation")
    pill.wait_for(timeout=15_000)

    assert number_above(page).inner_text() == f"{before:,} generations"
    pill.click()
    expect(number_above(page)).to_have_text(f"{before + 1:,} generations")


def test_when_all_that_was_found_is_deleted_it_says_that_nothing_matches(open_page, word):
    page = open_page(f"/?q={word}")
    expect(page.locator("article")).to_have_count(3)
    page.keyboard.press("a")
    page.keyboard.press("Delete")

    expect(number_above(page)).to_have_text("0 generations")
    expect(page.locator(".state")).to_contain_text("No generation matches")


def test_what_is_deleted_on_its_own_page_is_not_in_the_library_one_comes_back_to(open_page, word, stack):
    page = open_page("/")
    expect(page.locator("article h3", has_text="2.mp4").first).to_be_visible()
    before = count(page)
    shown = page.locator("article").first.get_attribute("data-id")
    page.locator("article h3 a").first.click()
    page.get_by_role("button", name="Delete").click()

    expect(page.locator("#library")).to_be_visible()
    expect(page.locator(f'article[data-id="{shown}"]')).to_have_count(0)
    expect(number_above(page)).to_have_text(f"{before - 1:,} generations")


def test_an_undo_after_another_search_began_leaves_that_one_as_it_is(open_page, word):
    page = open_page(f"/?q={word}")
    page.locator("[data-pick]").first.check()
    page.keyboard.press("Delete")
    expect(number_above(page)).to_have_text("2 generations")
    search(page, f"{word}/0")
    expect(number_above(page)).to_have_text("1 generation")

    page.get_by_role("button", name="Undo").click()

    expect(page.locator("#toasts")).to_contain_text("1 generation restored")
    expect(number_above(page)).to_have_text("1 generation")
    expect(page.locator("article")).to_have_count(1)


def test_what_comes_while_one_looks_counts_once_it_is_shown(open_page, word, stack):
    page = open_page(f"/?q={word}")
    expect(number_above(page)).to_have_text("3 generations")

    stack.record(f"https://video.example/{word}/new.mp4")

    expect(number_above(page)).to_have_text("4 generations", timeout=15_000)
    expect(page.locator("article")).to_have_count(4)
