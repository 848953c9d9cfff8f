"""What comes from outside is text, whatever it holds, and only what is http is opened."""

import re

import pytest
from playwright.sync_api import Page, expect

#: Each opens something in markup, or ends it.
MARKUP = "<b id=in>&lt;&amp;&#39;'\"`</b><!--"
RUNS = [
    "javascript:window.hacked = 1",
    "JavaScript:window.hacked = 1",
    " \tjava\nscript:window.hacked = 1",
    "data:text/html,<script>window.hacked = 1</script>",
    "vbscript:hacked",
    "blob:http://127.0.0.1/0b5e",
    "file:///etc/passwd",
    "ftp://example.com/a.mp4",
    "http://[",
    {"toString": "javascript:1"},
]


def in_page(page: Page, body: str, given: object = None) -> object:
    """What the body returns, a function's of html.js's own names and of what is given."""
    return page.evaluate(
        f"""async (given) => {{
            const {{ html, render, element, safeUrl }} = await import("/html.js");
            const place = document.createElement("div");
            {body}
        }}""",
        given,
    )


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("text", [MARKUP, *(f"x{end} onfocus={end}window.hacked = 1" for end in ('"', "'", ""))])
def test_a_value_in_an_attribute_stays_in_it(open_page, quote, text):
    read, names = in_page(
        open_page("/"),
        f"""render(place, html`<p title={quote}${{given}}{quote}></p>`);
            const [p] = place.children;
            return [p.getAttribute("title"), p.getAttributeNames()];""",
        text,
    )

    assert (read, names) == (text, ["title"])


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_source_in_quotes_adds_nothing_to_its_card(open_page, stack, quote):
    """Its name stands in the label of a card, of its link and of its box, and the whole of it in a title."""
    source = f"https://video.example/{quote} onfocus={quote}window.hacked=1{quote} autofocus tabindex={quote}1"
    made = stack.record(source)
    page = open_page("/")
    card = page.locator(f'article[data-id="{made}"]')
    expect(card).to_be_visible()

    assert card.locator("h3 a").get_attribute("title") == source
    names = card.evaluate("(card) => [card, ...card.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())")
    assert not {"onfocus", "autofocus"} & set(names)
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    "given",
    [MARKUP, [MARKUP], [[MARKUP]], {"text": MARKUP}, [{"text": MARKUP}], {"text": MARKUP, "constructor": "Markup"}],
)
def test_only_what_html_made_is_markup(open_page, given):
    """Neither a text nor what only looks like the page's own markup, as JSON may."""
    elements = in_page(
        open_page("/"),
        "render(place, html`<p>${given}</p>`); return place.querySelector('p').childElementCount;",
        given,
    )

    assert elements == 0


def test_markup_within_markup_is_markup_and_its_texts_are_texts(open_page):
    inner = in_page(
        open_page("/"),
        """const list = [given, given].map((one) => html`<li>${one}</li>`);
            render(place, html`<ul>${list}${null}${undefined}${false}${0}</ul>`);
            return [...place.querySelectorAll("li")].map((li) => li.textContent);""",
        MARKUP,
    )

    assert inner == [MARKUP, MARKUP]


@pytest.mark.parametrize("call", ["render(place, given)", "element(given)"])
@pytest.mark.parametrize("given", [MARKUP, {"text": MARKUP}, [MARKUP], None, 7])
def test_what_is_not_marked_as_markup_is_not_rendered(open_page, call, given):
    said = in_page(
        open_page("/"),
        f"""try {{ {call}; return "rendered" }}
            catch (error) {{ return [error.message, place.childNodes.length] }}""",
        given,
    )

    assert said == ["only html`` is rendered", 0]


@pytest.mark.parametrize("url", RUNS)
def test_only_http_is_opened(open_page, url):
    assert in_page(open_page("/"), "return safeUrl(given)", url) == "#"


@pytest.mark.parametrize("url", ["https://a.example/b?c=d#e", "http://127.0.0.1:1/a.mp4"])
def test_what_is_http_is_opened_as_it_is(open_page, url):
    assert in_page(open_page("/"), "return safeUrl(given)", url) == url


@pytest.fixture
def tampered(open_page, stack):
    """The demo's page, with these links of the scenes wherever the API gives some."""

    def make(url: str, **more: object) -> Page:
        generation = stack.api("GET", f"/generations/{stack.demo_id}")["generation"]
        scenes = [scene for variant in generation["variants"] for scene in variant["scenes"]]
        for scene in scenes:
            scene |= {"video_url": url, "thumbnail_url": url}
        page = open_page("about:blank", failing=True)
        page.add_init_script("window.opened = []; window.open = (url) => { window.opened.push(url) };")
        page.route(f"**/generations/{stack.demo_id}", lambda route: route.fulfill(json={"generation": generation}))
        listed = {"generations": [generation], "next_cursor": None, "total": 1}
        page.route("**/generations?*", lambda route: route.fulfill(json=listed))
        page.route("**/scenes?*", lambda route: route.fulfill(json={"scenes": scenes, "next_after": None}))
        page.goto("/")
        page.evaluate("localStorage.setItem('generation-history-token', 'any')")
        return page

    return make


URL = "data:text/html,<script>window.hacked=1</script>"


def test_no_link_of_the_api_is_opened_unless_it_is_http(tampered, stack):
    """On its card, pointed at, shown, played, compared, downloaded, opened by hand."""
    page = tampered(URL)
    links = """[...document.querySelectorAll('[src], [href], [poster]')].flatMap((one) =>
        ['src', 'href', 'poster'].map((name) => one.getAttribute(name))).filter((url) => url?.includes('hacked'))"""
    page.goto("/")
    page.locator("article .media").hover()
    expect(page.locator(".media video")).to_have_attribute("src", re.compile("#$"))
    assert page.evaluate(links) == []
    for view in ("", "&play=soft-1", "&compare=1"):
        page.goto(f"/?generation={stack.demo_id}{view}")
        expect(page.locator("#generation figure").first).to_be_attached()
        assert page.evaluate(links) == []
    page.goto(f"/?generation={stack.demo_id}")
    page.get_by_role("button", name="Download soft scene 1").click()
    page.get_by_role("button", name="Open it").click()

    assert page.evaluate("window.opened") == ["#"]


def test_a_zips_link_is_opened_only_if_it_is_http(open_page, stack):
    page = open_page(f"/?generation={stack.demo_id}")
    ready = {"success": True, "status": "ready", "size": 5, "url": URL}
    page.route("**/download", lambda route: route.fulfill(json=ready))
    page.evaluate(
        """() => { window.clicked = [];
            HTMLAnchorElement.prototype.click = function () { window.clicked.push(this.getAttribute("href")) } }"""
    )
    page.get_by_role("button", name="Download all as zip").click()

    expect(page.locator("#toasts")).to_contain_text("Downloading source.mp4")
    assert page.evaluate("window.clicked") == ["#"]
