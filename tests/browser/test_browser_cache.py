"""What the browser keeps of a video that was looked at is in nobody's way when it is downloaded, and the reverse.

S3 and Spaces send CORS headers, and Vary, only where they are asked with an Origin: what a player put into the cache
has none. In front of the local store stands a server that keeps to that. Chromium is sent there by its resolver's
rules, since page.route would turn the cache off.
"""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, WAIT_MS

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
}
HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "vary"}
MOVED = "/moved"


class Front(ThreadingHTTPServer):
    """Stands in front of the store on a port of its own: with CORS or without it, and as one that moved its objects."""

    daemon_threads = True

    def __init__(self, store: int, *, cors: bool = True, moves: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store, self.cors, self.moves = store, cors, moves
        threading.Thread(target=self.serve_forever, args=[0.05]).start()


class Handler(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.server.moves and not self.path.startswith(MOVED):
            where = f"http://{self.headers['Host']}{MOVED}{self.path}"
            return self.answer(301, {"Location": where, "Cache-Control": "max-age=3600"}, b"")
        there = http.client.HTTPConnection("127.0.0.1", self.server.store, timeout=20)
        asked = {name: value for name, value in self.headers.items() if name.lower() not in {"connection", "origin"}}
        there.request("GET", self.path.removeprefix(MOVED), headers=asked)
        answer = there.getresponse()
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in HOP and not name.lower().startswith("access-control")
        }
        body = answer.read()
        there.close()
        return self.answer(answer.status, headers, body)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        with_cors = CORS if self.server.cors and self.headers.get("Origin") else {}
        for name, value in {**headers, **with_cors, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def visit(stack, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Makes the page of someone with a token, in a browser with a cache, whose store has that front before it."""
    scene = stack.api("GET", f"/generations/{stack.demo_id}")["generation"]["variants"][0]["scenes"][1]
    store = urlsplit(scene["video_url"]).port
    fronts: list[Front] = []
    with sync_playwright() as playwright:

        def make(**manner: bool) -> Page:
            fronts.append(Front(store, **manner))
            rules = f"--host-resolver-rules=MAP 127.0.0.1:{store} 127.0.0.1:{fronts[0].server_address[1]}"
            context = playwright.chromium.launch_persistent_context(
                str(tmp_path / "profile"),
                executable_path=CHROMIUM,
                args=[*ARGUMENTS, rules],
                base_url=stack.url,
                accept_downloads=True,
                viewport={"width": 1280, "height": 800},
            )
            context.set_default_timeout(WAIT_MS)
            page = context.new_page()
            page.goto("/")
            page.evaluate("localStorage.setItem('generation-history-token', 'any')")
            return page

        yield make
    for front in fronts:
        front.shutdown()
        front.server_close()


def look_at(page: Page, demo_id: str) -> None:
    page.goto(f"/?generation={demo_id}")
    page.get_by_role("button", name="Download soft scene 2").wait_for()


def play(page: Page, demo_id: str) -> None:
    page.goto(f"/?generation={demo_id}&play=soft-2")
    page.wait_for_function("() => document.querySelector('dialog.player video')?.currentTime > 0.5")


def compare(page: Page, demo_id: str) -> None:
    page.goto(f"/?generation={demo_id}&compare=2")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.compare video')].some((one) => one.currentTime > 0.5)"
    )
    page.keyboard.press("Escape")


def point_at(page: Page, demo_id: str) -> None:
    page.goto("/?q=demo/source.mp4")
    media = page.locator(f'article[data-id="{demo_id}"] .media')
    width = media.bounding_box()["width"]
    media.hover(position={"x": width * 1.5 / 12, "y": 40})
    page.wait_for_function("() => document.querySelector('.media video')?.currentTime > 0.3")
    look_at(page, demo_id)


def download(page: Page) -> bytes:
    player = page.locator("dialog.player [data-do=download]")
    button = player if player.count() else page.get_by_role("button", name="Download soft scene 2")
    with page.expect_download() as kept:
        button.click()
    return Path(kept.value.path()).read_bytes()


@pytest.mark.parametrize("moves", [False, True], ids=["from there", "by a redirect that is kept"])
@pytest.mark.parametrize("seen", [look_at, play, compare, point_at])
def test_what_was_looked_at_can_be_downloaded(visit, stack, seen, moves):
    page = visit(moves=moves)
    seen(page, stack.demo_id)

    assert download(page)[4:8] == b"ftyp"


def test_what_was_downloaded_can_be_played_and_downloaded_again(visit, stack):
    page = visit()
    look_at(page, stack.demo_id)
    assert download(page)[4:8] == b"ftyp"

    play(page, stack.demo_id)

    assert download(page)[4:8] == b"ftyp"


def test_where_the_store_has_no_cors_it_plays_and_the_page_says_why_it_cannot_read_it(visit, stack):
    """And opens it, which needs none."""
    page = visit(cors=False)
    play(page, stack.demo_id)
    page.locator("dialog.player [data-do=download]").click()

    expect(page.locator("#toasts")).to_contain_text("its CORS rules do not let this page read it")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Open it").click()
    opened.value.wait_for_url("**/scene_2.mp4?*")
