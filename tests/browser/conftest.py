"""The page in real Chromium, on a local stack whose videos are real."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support.demo import Demo, says

CHROMIUM = shutil.which("chromium")
#: Chromium asks nobody for anything by itself.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
WAIT_MS = 10_000
#: What the browser itself says of what a test makes fail.
FAILURES = ("Failed to load resource", "requires 'TrustedHTML' assignment")
READY_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="the package chromium is not installed"))


@dataclass(frozen=True)
class Stack:
    """A running stack: the page's URL, and the generation that the demo made: 3 variants of 4 scenes."""

    url: str
    demo_id: str

    def api(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = requests.request(method, f"{self.url}/api/history{path}", timeout=30, **options)
        assert answer.ok, answer.text
        return answer.json()

    def record(self, source: str, prompts: dict[str, Sequence[str]] | None = None, **more: Any) -> str:
        """The id of a new generation, whose prompts are submitted."""
        body = {"source_video_url": source, "source_video_type": "url"}
        body |= {"prompts": prompts} if prompts else {"variant_types": ["soft"]}
        return self.api("POST", "/generations", json=body | more)["generation_id"]

    def wait_until_over(self, generation_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            generation = self.api("GET", f"/generations/{generation_id}")["generation"]
            if generation["status"] in {"completed", "failed"}:
                return generation
            assert time.monotonic() < deadline, generation
            time.sleep(0.1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Demo(tmp_path_factory.mktemp("page") / "state", "--render-seconds", "0.3") as demo:
        demo.wait_until(says("Ctrl-C stops everything"))
        url = re.search(r"^  library    (\S+)/$", demo.output(), re.MULTILINE)[1]
        (demo_id,) = demo.generations()
        yield Stack(url, demo_id)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """Opens the page in a browser of its own; a test fails by whatever its console complains about.

    Where a test makes requests fail, the browser says so: those lines alone are expected then.
    """
    complaints: list[str] = []
    contexts = []

    def make(path: str = "/", *, failing: bool = False, **options: Any) -> Page:
        context = browser.new_context(base_url=stack.url, **({"viewport": {"width": 1280, "height": 800}} | options))
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()

        def said(message: ConsoleMessage) -> None:
            expected = failing and any(text in message.text for text in FAILURES)
            if message.type in {"error", "warning"} and not expected:
                complaints.append(message.text)

        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield make
    for context in contexts:
        # A page asks by itself, and an answer of a test's may be under way; its end would be the next test's failure.
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert complaints == []


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """What axe finds on the page as it is now."""

    def run(page: Page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]

    return run
