"""What is in progress updates by itself, with few requests, and takes nothing from under a hand."""

import uuid

import pytest
from playwright.sync_api import expect


@pytest.fixture
def word() -> str:
    return f"live-{uuid.uuid4().hex[:8]}"


def test_a_generation_in_progress_becomes_completed_before_ones_eyes(open_page, stack, word):
    made = stack.record(f"https://video.example/{word}.mp4", {"soft": [f"[delay=3] {uuid.uuid4()}"]})
    page = open_page(f"/?q={word}")
    card = page.locator(f'article[data-id="{made}"]')
    expect(card.locator(".status")).to_contain_text("In progress")
    expect(card.locator(".status")).to_contain_text("0 of 1")

    expect(card.locator(".status")).to_contain_text("Completed", timeout=30_000)
    expect(card.locator(".poster img")).to_be_visible()


def test_new_ones_come_on_top_and_wait_for_who_has_scrolled(open_page, stack, word):
    for number in range(30):
        stack.record(f"https://video.example/{word}/{number}.mp4")
    page = open_page(f"/?q={word}")
    expect(page.locator("article").first).to_be_visible()
    page.evaluate("scrollTo(0, 700)")
    page.wait_for_function("() => scrollY > 600")
    page.locator("[data-pick]:visible").nth(8).check()
    before = page.evaluate("scrollY")

    stack.record(f"https://video.example/{word}/new.mp4")
    page.get_by_role("button", name="1 new generation").wait_for(timeout=15_000)

    assert page.evaluate("scrollY") == before
    expect(page.locator(".selection")).to_contain_text("1 selected")
    page.get_by_role("button", name="1 new generation").click()
    expect(page.locator("article h3").first).to_have_text("new.mp4")
    expect(page.locator(".selection")).to_contain_text("1 selected")


def test_what_did_not_change_is_asked_with_its_etag_less_and_less_often(open_page, word, stack):
    stack.record(f"https://video.example/{word}.mp4")
    page = open_page("about:blank")
    page.clock.install()
    asked = []
    page.on("response", lambda answer: asked.append(answer) if "/history/generations?" in answer.url else None)
    page.goto(f"/?q={word}")
    expect(page.locator("article")).to_have_count(1)
    counts = []
    for _ in range(6):
        before = len(asked)
        for _ in range(30):
            page.clock.run_for(1_000)
            page.wait_for_timeout(15)
        counts.append(len(asked) - before)

    assert counts[0] > counts[-1]
    assert counts[-1] <= 1
    assert all("if-none-match" in answer.request.headers for answer in asked[2:])
    assert {answer.status for answer in asked[2:]} == {304}


def test_while_nobody_looks_nothing_is_asked(open_page, word, stack):
    stack.record(f"https://video.example/{word}.mp4")
    page = open_page("about:blank")
    page.clock.install()
    page.goto(f"/?q={word}")
    expect(page.locator("article")).to_have_count(1)
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', {value: true, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    page.clock.run_for(600_000)
    page.wait_for_timeout(100)

    assert asked == []


def test_a_focus_stays_where_it_is_while_its_card_changes(open_page, stack, word):
    made = stack.record(f"https://video.example/{word}.mp4", {"soft": [f"[delay=2] {uuid.uuid4()}"]})
    page = open_page(f"/?q={word}")
    box = page.locator(f'article[data-id="{made}"] [data-pick]')
    box.focus()

    expect(page.locator(f'article[data-id="{made}"] .status')).to_contain_text("Completed", timeout=30_000)

    expect(box).to_be_focused()
