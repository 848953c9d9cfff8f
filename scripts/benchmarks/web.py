"""The page among 10,000 generations: from the API's answer to a painted grid, and how many cards it holds.

The functions answer from a local stack; Chromium is Debian's. A page is painted when the frame after the one that put
its cards in is shown.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, cast

from playwright.sync_api import Browser, sync_playwright

from scripts.benchmarks.reading import fill
from scripts.local.stack import DATABASE, VALUES_FILE, Options, stack

CHROMIUM: Final = "/usr/bin/chromium"
GENERATIONS: Final = 10_000
ROUNDS: Final = 9
SCROLLED: Final = 2_000
PAINT_MS: Final = 300
MAX_CARDS: Final = 100
ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    # The pictures of made-up generations are nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

#: Notes when the first list was answered, and when the frame with its cards was painted.
_WATCH: Final = """
    window.marks = {};
    const ask = window.fetch;
    window.fetch = async (...asked) => {
        const answer = await ask(...asked);
        if (String(asked[0]).includes('/history/generations?')) marks.answered ??= performance.now();
        return answer;
    };
    new MutationObserver(() => {
        if (marks.painted || !document.querySelector('article.card')) return;
        requestAnimationFrame(() => setTimeout(() => { marks.painted ??= performance.now() }));
    }).observe(document, {childList: true, subtree: true});
"""


def run(_: argparse.Namespace) -> int:
    """Prints both figures; 1 if one is over its limit."""
    if not Path(CHROMIUM).exists():
        print("scripts/bench web: install the package chromium", file=sys.stderr)
        return 1
    os.environ["HISTORY_OWNER_ID"] = str(fill.BIG_OWNER)
    with tempfile.TemporaryDirectory() as folder, stack(Options(Path(folder))) as local_stack:
        # The owner has 60 % of all.
        fill.fill(_superuser(Path(folder)), GENERATIONS * 10 // 6)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            paint_ms = statistics.median(_painted_ms(browser, local_stack.url) for _ in range(ROUNDS))
            cards, peak = _cards_after_scrolling(browser, local_stack.url)
            browser.close()
    print(f"{GENERATIONS:,} generations; median of {ROUNDS}")
    print(f"from the API's answer to a painted grid   {paint_ms:6.0f} ms, at most {PAINT_MS}")
    print(f"cards in the page, {SCROLLED:,} scrolled past      {cards:6}, never more than {peak}, at most {MAX_CARDS}")
    return 1 if paint_ms > PAINT_MS or peak > MAX_CARDS else 0


def _superuser(folder: Path) -> str:
    values = json.loads((folder / VALUES_FILE).read_text())
    return f"postgresql://postgres:{values['secret_postgres']}@127.0.0.1:{values['port_postgres']}/{DATABASE}"


def _painted_ms(browser: Browser, url: str) -> float:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_function("() => window.marks.painted")
    marks = cast("dict[str, float]", page.evaluate("window.marks"))
    page.close()
    return marks["painted"] - marks["answered"]


def _cards_after_scrolling(browser: Browser, url: str) -> tuple[int, int]:
    """How many cards there are once SCROLLED of them went by, and the most there ever were."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    page.wait_for_selector("article.card")
    card_ids, cards, peak = set[str](), 0, 0
    while len(card_ids) < SCROLLED:
        page_ids: Any = page.evaluate("[...document.querySelectorAll('article.card')].map(card => card.dataset.id)")
        card_ids |= set(page_ids)
        cards, peak = len(page_ids), max(peak, len(page_ids))
        page.evaluate("scrollBy(0, 900)")
        page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(true))))")
    page.close()
    return cards, peak
