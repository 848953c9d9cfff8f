"""Downloads, selection, deletion with undo."""

import io
import uuid
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def some(stack) -> tuple[str, list[str]]:
    """A word that six sources have, and their generations as the page shows them, newest first."""
    word = f"some-{uuid.uuid4().hex[:8]}"
    return word, [stack.record(f"https://video.example/{word}/{number}.mp4") for number in range(6)][::-1]


def selected(page: Page) -> list[bool]:
    return page.locator("[data-pick]").evaluate_all("boxes => boxes.map(box => box.checked)")


def test_one_video_comes_under_a_readable_name(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download soft scene 3").click()

    assert download.value.suggested_filename == "source_soft_scene-3.mp4"
    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"


def test_with_a_token_it_comes_too(open_page, stack):
    page = open_page("/")
    page.evaluate("localStorage.setItem('generation-history-token', 'any')")
    page.goto(f"/?generation={stack.demo_id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download soft scene 3").click()

    assert download.value.suggested_filename == "source_soft_scene-3.mp4"
    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"


def test_a_link_that_ended_meanwhile_is_fetched_anew(open_page, stack):
    page = open_page("/", failing=True)
    page.evaluate("localStorage.setItem('generation-history-token', 'any')")
    page.goto(f"/?generation={stack.demo_id}")
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=403, body="expired", headers={"Access-Control-Allow-Origin": "*"})

    page.route("**/scene_3.mp4?*", refuse_once)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download soft scene 3").click()

    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"
    assert len(refused) == 1


def test_a_store_that_refuses_without_cors_is_asked_again_with_a_new_link(open_page, stack):
    """Not every store says why to a page: an ended link looks like a store that cannot be reached."""
    page = open_page("/", failing=True)
    page.evaluate("localStorage.setItem('generation-history-token', 'any')")
    page.goto(f"/?generation={stack.demo_id}")
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    page.route("**/scene_3.mp4?*", refuse_once)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download soft scene 3").click()

    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"
    assert len(refused) == 1


def test_a_generation_comes_as_a_zip_with_its_progress(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    with page.expect_download(timeout=30_000) as download:
        page.get_by_role("button", name="Download all as zip").click()

    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".mp4")]) == 12
    expect(page.locator("#toasts")).to_contain_text("Downloading source.mp4")


def test_while_a_zip_is_made_it_says_how_far_it_is_and_can_be_stopped(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    state = {"success": True, "status": "building", "bytes": 1000, "bytes_done": 250, "videos": 4, "videos_done": 1}
    page.route("**/download", lambda route: route.fulfill(status=202, json=state))
    page.get_by_role("button", name="Download all as zip").click()

    progress = page.locator(".download progress")
    expect(progress).to_have_attribute("value", "250")
    expect(page.locator(".download")).to_contain_text("250 B of 1.0 kB")
    page.locator(".download").get_by_role("button", name="Stop").click()
    expect(page.locator(".download")).to_have_count(0)


def test_several_are_packed_one_after_another(open_page, stack):
    word = f"packed-{uuid.uuid4().hex[:8]}"
    made = [stack.record(f"https://video.example/{word}/{n}.mp4", {"soft": [f"{n} {uuid.uuid4()}"]}) for n in range(2)]
    for one in made:
        stack.wait_until_over(one)
    page = open_page(f"/?q={word}")
    asked = []

    def pack(route):
        asked.append(route.request.url.split("/")[-2])
        route.fulfill(json={"success": True, "status": "ready", "size": 5, "url": f"{stack.url}/icon.svg"})

    page.route("**/download", pack)
    for one in made:
        page.locator(f'article[data-id="{one}"] [data-pick]').check()
    page.get_by_role("button", name="Download").click()

    for name in ("0.mp4", "1.mp4"):
        expect(page.locator("#toasts")).to_contain_text(f"Downloading {name}")
    assert sorted(asked) == sorted(made)


def test_shift_selects_all_between(open_page, some):
    word, _ = some
    page = open_page(f"/?q={word}")
    page.locator("[data-pick]").nth(1).click()
    page.locator("[data-pick]").nth(4).click(modifiers=["Shift"])

    assert selected(page) == [False, True, True, True, True, False]
    expect(page.locator(".selection")).to_contain_text("4 selected")
    page.get_by_role("button", name="Select none").click()
    expect(page.locator(".selection")).not_to_be_visible()
    assert selected(page) == [False] * 6


def test_the_keyboard_selects_too(open_page, some):
    word, _ = some
    page = open_page(f"/?q={word}")
    expect(page.locator("article")).to_have_count(6)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    assert selected(page) == [True, True, True, False, False, False]
    page.keyboard.press("a")
    assert selected(page) == [True] * 6
    page.keyboard.press("Escape")
    assert selected(page) == [False] * 6


def test_what_is_deleted_is_gone_at_once_and_undo_brings_it_back_to_its_place(open_page, some, stack):
    word, ids = some
    page = open_page(f"/?q={word}")
    shown = page.locator("article")
    expect(shown).to_have_count(6)
    for at in (1, 3):
        page.locator("[data-pick]").nth(at).check()
    page.keyboard.press("Delete")

    expect(shown).to_have_count(4)
    expect(page.locator("#toasts")).to_contain_text("2 generations deleted")
    assert stack.api("GET", f"/generations?q={word}")["count"] == 4
    page.get_by_role("button", name="Undo").click()
    expect(shown).to_have_count(6)
    expect(page.locator("#toasts")).to_contain_text("2 generations restored")
    assert shown.evaluate_all("cards => cards.map(card => card.dataset.id)") == ids


def test_a_deletion_that_fails_half_way_shows_what_is_left(open_page, some, stack):
    word, ids = some
    page = open_page(f"/?q={word}", failing=True)
    expect(page.locator("article")).to_have_count(6)
    answer = {"success": False, "error": "the database cannot be reached: try again", "code": "unavailable"}
    page.route(f"**/api/history/generations/{ids[2]}", lambda route: route.fulfill(status=503, json=answer))
    for at in (1, 2):
        page.locator("[data-pick]").nth(at).check()
    page.keyboard.press("Delete")

    expect(page.locator("#toasts")).to_contain_text("1 generation deleted, not the others")
    shown = page.locator("article")
    expect(shown).to_have_count(5)
    assert shown.evaluate_all("cards => cards.map(card => card.dataset.id)") == [ids[0], *ids[2:]]
    page.get_by_role("button", name="Undo").click()
    expect(shown).to_have_count(6)
    assert shown.evaluate_all("cards => cards.map(card => card.dataset.id)") == ids


def test_a_deletion_that_fails_puts_everything_back_and_says_why(open_page, some):
    word, _ = some
    page = open_page(f"/?q={word}", failing=True)
    expect(page.locator("article")).to_have_count(6)
    answer = {"success": False, "error": "the database cannot be reached: try again", "code": "unavailable"}
    page.route("**/api/history/generations/*", lambda route: route.fulfill(status=503, json=answer))
    page.locator("[data-pick]").first.check()
    page.keyboard.press("Delete")

    expect(page.locator("#toasts")).to_contain_text("Nothing was deleted: the database cannot be reached")
    expect(page.locator("article")).to_have_count(6)


def test_select_all_keeps_the_focus(open_page, stack):
    page = open_page("/")
    page.locator("[data-pick]").first.check()
    button = page.get_by_role("button", name="Select all loaded")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Select all loaded")).to_be_focused(timeout=2000)


def test_the_count_of_what_is_selected_is_told_by_one_live_region(open_page, stack):
    stack.record(f"https://video.example/{uuid.uuid4()}.mp4")
    page = open_page("/")
    page.locator("[data-pick]").first.check()
    page.evaluate("window.told = document.querySelector('.selection [role=status]')")
    page.locator("[data-pick]").nth(1).check()
    assert page.evaluate("document.querySelector('.selection [role=status]') === window.told")


def test_a_zip_waits_where_the_platform_says_too_many_calls(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}", failing=True)
    building = {"success": True, "status": "building", "bytes": 1000, "bytes_done": 250, "videos": 4, "videos_done": 1}
    ready = {"success": True, "status": "ready", "size": 5, "url": f"{stack.url}/icon.svg"}
    answers = [(202, building), (429, None), (200, ready)]

    def pack(route):
        status, body = answers.pop(0)
        route.fulfill(status=status, **({"json": body} if body else {"body": "too many"}))

    page.route("**/download", pack)
    page.get_by_role("button", name="Download all as zip").click()
    expect(page.locator("#toasts")).to_contain_text("Downloading source.mp4")


def test_a_zip_that_was_stopped_is_not_kept_when_it_comes_all_the_same(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    held = []
    page.route("**/download", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    saved = []
    page.on("download", lambda one: saved.append(one))  # noqa: PLW0108
    page.get_by_role("button", name="Download all as zip").click()
    page.locator(".download").get_by_role("button", name="Stop").click()
    held[0].fulfill(json={"success": True, "status": "ready", "size": 5, "url": f"{stack.url}/icon.svg"})
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator("#toasts")).not_to_contain_text("Downloading")
    assert saved == []


def test_undo_goes_on_after_an_answer_that_was_lost(open_page, stack):
    word = f"lost-{uuid.uuid4().hex[:8]}"
    stack.record(f"https://video.example/{word}.mp4")
    page = open_page(f"/?q={word}", failing=True)
    lost = []

    def lose_once(route):
        if not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/restore", lose_once)
    page.locator("[data-pick]").check()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("Not restored")
    page.get_by_role("button", name="Try again").click()

    expect(page.locator("#toasts")).to_contain_text("1 generation restored")
    expect(page.locator("article")).to_have_count(1)
    assert lost == [200]
