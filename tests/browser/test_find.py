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


def test_cards_of_one_minute_are_told_apart_by_what_finds_each(open_page, word):
    page = open_page(f"/?q={word}")
    expect(names(page)).to_have_count(2)
    short = page.locator("article .id").last.text_content()

    page.get_by_role("searchbox").fill(short)

    expect(names(page)).to_have_text(["one.mp4"])
    expect(page.locator("article .id")).to_have_text([short])


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


# ---------------------------------------------------------------- texts as the API counts them

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
#: In UTF-16 a pair of halves, of which a cut leaves one.
HALF = "\\ud83d"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("\U0001f600", "2 more to search"),
        ("\U0001f600\U0001f600", "1 more to search"),
        ("\U0001f600\U0001f600\U0001f600", ""),
        (FAMILY, ""),
        ("e\u0301", "1 more to search"),
        ("  a\u3000", "2 more to search"),
        ("\U0001d49c\U0001d4b7", "1 more to search"),
        ("ab\0", "1 more to search"),
        ("x" * 500, ""),
        ("\U0001f600" * 501, "Only the first 500 characters are searched for"),
    ],
)
def test_a_search_is_counted_as_the_api_counts_it(open_page, text, hint):
    """In code points; what is too short is not asked for, and what is too long is cut, so that none is refused."""
    page = open_page("/")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/generations?" in request.url else None)
    page.get_by_role("searchbox").fill(text)
    expect(page).to_have_url(re.compile(r"\?q="))

    expect(page.locator(".hint")).to_have_text(hint)
    expect(page.locator(".told")).to_have_text(re.compile(r"^\d+ generations?$"))
    expect(page.get_by_role("alert")).to_have_count(0)
    assert any("q=" in url for url in asked) == (not hint.endswith("more to search"))


@pytest.mark.parametrize("name", ["\U0001f600\U0001f680\U0001f3ac", FAMILY, "cafe\u0301", "कि खी", "a+b%&#c"])
def test_any_text_is_found_shared_and_found_again(open_page, stack, name):
    made = stack.record(f"https://video.example/{uuid.uuid4().hex}/{name}/ad.mp4")
    page = open_page("/")
    page.get_by_role("searchbox").fill(name)
    card = page.locator(f'article[data-id="{made}"]')
    expect(page).to_have_url(re.compile(r"\?q="))
    expect(card).to_be_visible()

    page.reload()

    expect(card).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value(name)


@pytest.mark.parametrize("text", ["{word}HALF", "HALF{word}", "{word}\\0"])
def test_half_a_character_that_was_pasted_is_not_searched_for(open_page, word, text):
    """Nor does it become a replacement character in the address, which nothing matches."""
    page = open_page("/")
    expect(names(page).first).to_be_visible()
    page.get_by_role("searchbox").evaluate(
        f"""(input) => {{
            input.focus();
            input.value = "{text.format(word=word).replace("HALF", HALF)}";
            input.dispatchEvent(new Event("input", {{ bubbles: true }}));
        }}"""
    )

    expect(page).to_have_url(re.compile(rf"\?q={word}$"))
    expect(names(page)).to_have_text(["two.mp4", "one.mp4"])


def test_a_longer_text_than_the_api_takes_is_cut_between_characters(open_page, stack):
    page = open_page("/")
    page.get_by_role("searchbox").fill("a" + "\U0001f600" * 600)
    expect(page).to_have_url(re.compile(r"\?q="))

    kept = page.evaluate("new URLSearchParams(location.search).get('q')")
    assert kept == "a" + "\U0001f600" * 499
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value(kept)
    expect(page.locator(".state")).to_contain_text("No generation matches")


def test_what_is_typed_stays_as_it_is_typed(open_page, word):
    """Also the space after a word, which is not searched for."""
    page = open_page("/")
    page.get_by_role("searchbox").press_sequentially(f"{word} ")
    expect(names(page)).to_have_text(["two.mp4", "one.mp4"])

    expect(page.get_by_role("searchbox")).to_have_value(f"{word} ")


def test_back_leads_to_the_search_before_also_from_within_the_search(open_page, word):
    page = open_page(f"/?q={word}&variant=ultra")
    expect(names(page)).to_have_text(["two.mp4"])
    page.get_by_role("navigation").get_by_role("link", name="Library").click()
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.get_by_role("searchbox").focus()
    page.go_back()

    expect(names(page)).to_have_text(["two.mp4"])
    expect(page.get_by_role("searchbox")).to_have_value(word)
    page.go_forward()
    expect(page.get_by_role("searchbox")).to_have_value("")


@pytest.mark.parametrize("day", ["2024-02-31", "2024-13-01", "0000-01-01"])
def test_a_day_that_there_is_not_narrows_nothing(open_page, stack, day):
    """The bar shows none either."""
    page = open_page(f"/?from={day}&to={day}")

    expect(names(page).first).to_be_visible()
    expect(page.get_by_label("From", exact=True)).to_have_value("")


@pytest.mark.parametrize("day", ["0000-01-01", "9999-12-31"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_no_day_of_an_address_is_one_that_the_api_refuses(open_page, stack, day, zone):
    page = open_page(f"/?from={day}&to={day}", timezone_id=zone)

    expect(page.locator("article, .state").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("day('never')", "unknown"),
        ("moment('infinity')", "unknown"),
        ("age('-infinity')", "unknown"),
        ("moment(null)", ""),
        ("age(new Date(0).toISOString(), 3_600_000)", "1 hour ago"),
    ],
)
def test_what_no_calendar_has_is_said_to_be_unknown(open_page, call, shown):
    page = open_page("/")

    assert page.evaluate(f"async () => (await import('/format.js')).{call}") == shown


@pytest.mark.parametrize(
    ("call", "cut"),
    [
        ("cut('a😀😀', 2)", "a😀"),
        ("cut('😀😀😀', 2)", "😀😀"),
        ("cut('abc', 5)", "abc"),
        ("wellFormed('a\\ud83db\\ude00c😀\\0')", "abc😀"),
    ],
)
def test_no_character_is_cut_in_two(open_page, call, cut):
    page = open_page("/")

    assert page.evaluate(f"async () => (await import('/text.js')).{call}") == cut
