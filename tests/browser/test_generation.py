"""One generation: its scenes, what is known, what happened, and what can be done about it."""

import uuid

import pytest
from playwright.sync_api import expect

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202egpj.exe\u202c שלום "\'&amp; '


@pytest.fixture(scope="module")
def broken(stack) -> str:
    """A generation with a stored scene and one that the provider refused."""
    made = stack.record(
        "https://video.example/broken.mp4", {"soft": [f"fine {uuid.uuid4()}", f"[moderate] {uuid.uuid4()}"]}
    )
    stack.wait_until_over(made)
    return made


def test_every_scene_is_there_with_what_it_is(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")

    expect(page.locator("#generation h1")).to_have_text("source.mp4")
    expect(page.locator("#generation .figures .id")).to_have_text(stack.demo_id[-8:])
    expect(page.locator("#generation figure")).to_have_count(12)
    expect(page.locator("#generation tbody th .variant")).to_have_text(["soft", "medium", "aggressive"])
    first = page.locator("figure").first
    expect(first).to_contain_text("2 s · 288x512 ·")
    first.get_by_text("Prompt").click()
    expect(first.locator(".prompt")).to_contain_text("Scene 1, soft: a morning kitchen")


def test_what_happened_is_told_in_order(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    first = page.locator("figure").first
    first.get_by_text("What happened").click()

    said = first.locator(".timeline li span").all_text_contents()
    assert [one.split(":")[0].split(" as ")[0].split(",")[0] for one in said] == [
        "Recorded",
        "Submitted",
        "Accepted",
        "Rendered",
        "stored",
    ]


def test_what_is_known_is_readable_and_raw_one_click_away(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    analysis = page.locator(".kind").first
    analysis.get_by_role("heading", name="Analysis").click()

    known = stack.api("GET", f"/generations/{stack.demo_id}")["generation"]["metadata"]["original_analysis"]
    assert known
    expect(analysis.locator("dl dt").first).to_be_visible()
    expect(analysis.locator("pre")).not_to_be_visible()
    analysis.get_by_text("Raw").click()
    expect(analysis.locator("pre")).to_be_visible()
    assert page.evaluate("JSON.parse(document.querySelector('.kind pre').textContent)") == known


def test_a_failure_says_its_cause_and_can_be_retried(open_page, stack, broken):
    page = open_page(f"/?generation={broken}")
    figure = page.locator('figure[data-status="failed"]')
    expect(figure).to_contain_text("The provider refused the prompt")

    figure.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_contain_text("the provider asks for its price again")
    page.get_by_role("dialog").get_by_role("button", name="Submit again").click()

    expect(page.locator("#toasts")).to_contain_text("Scene 2 is tried again")
    expect(figure.locator(".timeline")).to_contain_text("attempt 2")


def test_a_retry_that_is_thought_better_of_changes_nothing(open_page, stack):
    made = stack.record("https://video.example/kept.mp4", {"soft": [f"[fail] {uuid.uuid4()}"]})
    stack.wait_until_over(made)
    page = open_page(f"/?generation={made}")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Leave it").click()

    (scene,) = stack.api("GET", f"/generations/{made}")["generation"]["variants"][0]["scenes"]
    assert (scene["status"], scene["attempt"]) == ("failed", 1)


def test_a_deletion_can_be_undone(open_page, stack):
    made = stack.record("https://video.example/gone.mp4")
    page = open_page(f"/?generation={made}")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#library")).to_be_visible()
    expect(page.locator(f'article[data-id="{made}"]')).to_have_count(0)

    page.get_by_role("button", name="Undo").click()

    expect(page.locator("h1", has_text="gone.mp4")).to_be_visible()
    assert stack.api("GET", f"/generations/{made}")["generation"]["id"] == made


def test_what_does_not_exist_says_so_and_leads_back(open_page):
    page = open_page(f"/?generation={uuid.uuid4()}", failing=True)
    expect(page.get_by_role("alert")).to_contain_text("There is no such generation")

    page.get_by_role("link", name="Back to the library").click()

    expect(page.locator("#library")).to_be_visible()


def test_what_others_wrote_is_text_and_nothing_else(open_page, stack):
    """A source and a prompt may hold markup, change the direction of text, and be long."""
    long = HOSTILE + "x" * (4000 - len(HOSTILE))
    made = stack.record(f"{HOSTILE}{'y' * 1900}"[:2000], {"soft": [long]})
    stack.api("PATCH", f"/generations/{made}/metadata", json={"original_analysis": {HOSTILE: [HOSTILE]}})
    page = open_page("/")
    expect(page.locator(f'article[data-id="{made}"]')).to_be_visible()
    page.goto(f"/?generation={made}")
    expect(page.locator("#generation figure")).to_be_visible()
    page.get_by_text("Prompt", exact=True).first.click()
    page.get_by_role("heading", name="Analysis").click()

    assert page.locator(".prompt").text_content() == long
    assert page.evaluate("[window.hacked, document.querySelectorAll('main script, main img[src=x]').length]") == [
        None,
        0,
    ]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_too_large_a_generation_is_fetched_in_parts(open_page, stack):
    prompts = [f"{number} " + "a" * 17_000 for number in range(55)]
    made = stack.record("https://video.example/large.mp4", variant_types=["soft", "medium"])
    for variant in stack.api("GET", f"/generations/{made}/variants")["variants"]:
        stack.api("POST", f"/variants/{variant['id']}/scenes", json={"prompts": prompts})
    assert stack.api("GET", f"/generations/{made}")["generation"]["prompts_omitted"]

    page = open_page(f"/?generation={made}")

    expect(page.locator("#generation figure")).to_have_count(110)
    assert page.locator(".prompt").last.text_content() == prompts[-1]


def test_axe_finds_nothing_in_a_generation(open_page, stack, broken, axe):
    page = open_page(f"/?generation={broken}")
    expect(page.locator("#generation figure").first).to_be_visible()

    assert axe(page) == []


def test_what_is_called_completed_without_a_video_says_so_on_its_card_and_its_page(open_page, stack):
    source = f"https://video.example/{uuid.uuid4()}.mp4"
    generation_id = stack.record(source)
    stack.api("PATCH", f"/generations/{generation_id}", json={"status": "completed", "actual_cost": 0.96})

    page = open_page(f"/?q={source}")
    expect(page.locator(".card .status")).to_contain_text("without a video")
    page.goto(f"/?generation={generation_id}")

    expect(page.locator("#generation .head .missing")).to_have_text("without a video")
    expect(page.locator("#generation .head .cause")).to_have_text(
        "completed by its caller without a video: no scene was recorded"
    )


def test_scenes_that_are_open_in_what_is_called_completed_are_counted(open_page, stack):
    """The stored answer is changed: no pipeline ends its generation just between two of its scenes."""
    page = open_page()
    generation = stack.api("GET", f"/generations/{stack.demo_id}")["generation"]
    generation["variants"][0]["scenes"][0] |= {"status": "processing", "video_url": None, "thumbnail_url": None}
    generation["variants"][0]["given_type"] = HOSTILE
    page.route(
        f"**/generations/{stack.demo_id}", lambda route: route.fulfill(json={"success": True, "generation": generation})
    )

    page.goto(f"/?generation={stack.demo_id}")

    expect(page.locator("#generation .head .missing")).to_have_text("1 of 12 scenes open")
    expect(page.locator("#generation tbody th").first).to_contain_text(HOSTILE)
