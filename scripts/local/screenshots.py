"""scripts/screenshots: the page in every view and state, on a stack of its own with videos it renders, as PNG files."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.local.stack import Options, stack

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    "--autoplay-policy=no-user-gesture-required",
)
PATIENCE_S: Final = 120
SIZE: Final = {"width": 1280, "height": 860}
LIST: Final = "**/api/history/generations?*"
#: Whether every image in sight has come.
_PAINTED: Final = """() => [...document.images].every(image =>
    image.complete || image.getBoundingClientRect().top > innerHeight)"""

_SHOTS: Final = ("a kitchen in morning light", "hands pour oat milk", "the product on marble", "a family laughs")
_MOODS: Final = {"soft": "slow, gentle", "medium": "clear, steady", "aggressive": "bold, quick cuts", "ultra": "wild"}
#: Sources, their variants, and what becomes of the last scene.
_ADS: Final = (
    ("summer-launch.mp4", ("soft", "medium"), ""),
    ("protein-snack_v2.mp4", ("soft", "medium", "aggressive", "ultra"), ""),
    ("watch teaser.mov", ("medium", "ultra"), "[moderate]"),
    ("perfume.mp4", ("soft", "medium", "aggressive"), ""),
    ("serum-review.mp4", ("soft",), "[fail]"),
    ("sneaker-drop.mp4", ("soft", "medium", "aggressive"), ""),
    ("headphones.mp4", ("aggressive", "ultra"), "[delay=600]"),
)
_ANALYSIS: Final = {
    "hook": "A question in the first second: why is your coffee cold?",
    "target_audience": ["young parents", "people who work from home"],
    "tone": {"mood": "warm", "pace": "unhurried", "on_screen_text": False},
    "scenes": [{"seconds": 3, "shows": shot} for shot in _SHOTS],
}


def main() -> None:
    """Every picture is there, below --into."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(".local/screenshots"))
    target = cast("Path", parser.parse_args().into)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, stack(Options(Path(folder), render_seconds=0.2)) as local_stack:
        generation_id = _record(f"{local_stack.url}/api/history")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            for name, open_picture in _PICTURES.items():
                open_picture(browser, local_stack.url, generation_id).screenshot(path=target / f"{name}.png")
                print(target / f"{name}.png", flush=True)
            browser.close()


def _record(api: str) -> str:
    """The id of the generation to look at, once all but the last one are over."""
    ids: dict[str, str] = {}
    for source, variants, directive in _ADS:
        prompts = {
            kind: [f"Scene {n}, {_MOODS[kind]}: {shot}" for n, shot in enumerate(_SHOTS, 1)] for kind in variants
        }
        prompts[variants[-1]][-1] += f" {directive}"
        body = {"source_video_url": f"https://cdn.example/ads/{source}", "source_video_type": "url", "prompts": prompts}
        ids[source] = _call("POST", f"{api}/generations", json=body)["generation_id"]
    generation_id = ids["protein-snack_v2.mp4"]
    _call("PATCH", f"{api}/generations/{generation_id}/metadata", json={"original_analysis": _ANALYSIS})
    deadline = time.monotonic() + PATIENCE_S
    while _call("GET", f"{api}/generations?status=pending,processing")["count"] > 1:
        if time.monotonic() > deadline:
            raise TimeoutError("the videos do not come")
        time.sleep(0.5)
    return generation_id


def _call(method: str, url: str, **options: Any) -> dict[str, Any]:
    answer = requests.request(method, url, timeout=30, **options)
    answer.raise_for_status()
    return answer.json()


def _open(browser: Browser, url: str, *, answer: Callable[[Any], None] | None = None, **options: Any) -> Page:
    context_options: dict[str, Any] = {"viewport": SIZE, **options}
    page = browser.new_context(**context_options).new_page()
    if answer:
        page.route(LIST, answer)
    page.goto(url)
    page.wait_for_selector(".state, article img, figure img, .chart")
    page.wait_for_load_state("networkidle")
    page.wait_for_function(_PAINTED)
    return page


def _detail(browser: Browser, url: str, generation_id: str, **options: Any) -> Page:
    return _open(browser, f"{url}/?generation={generation_id}", **options)


def _player(browser: Browser, url: str, generation_id: str) -> Page:
    page = _open(browser, f"{url}/?generation={generation_id}&play=medium-2")
    page.wait_for_function("() => document.querySelector('.player video').currentTime > 0.5")
    return page


def _compare(browser: Browser, url: str, generation_id: str) -> Page:
    page = _open(browser, f"{url}/?generation={generation_id}&compare=1")
    page.wait_for_function("() => document.querySelector('.compare video').currentTime > 0.5")
    return page


def _keys(browser: Browser, url: str, _: str) -> Page:
    page = _open(browser, url)
    page.keyboard.press("?")
    return page


def _known(browser: Browser, url: str, generation_id: str) -> Page:
    page = _detail(browser, url, generation_id)
    page.get_by_role("heading", name="Analysis").click()
    page.get_by_role("heading", name="Analysis").scroll_into_view_if_needed()
    return page


def _nothing(route: Any) -> None:
    empty_page: dict[str, Any] = {
        "success": True,
        "generations": [],
        "count": 0,
        "total": 0,
        "next_cursor": None,
        "next_offset": None,
    }
    route.fulfill(json=empty_page)


def _error(route: Any) -> None:
    body = {"success": False, "error": "the database cannot be reached", "code": "unavailable", "request_id": "3f1c"}
    route.fulfill(status=503, json=body)


_NARROW: Final[dict[str, Any]] = {"viewport": {"width": 320, "height": 700}}
_PICTURES: Final[dict[str, Callable[[Browser, str, str], Page]]] = {
    "grid": lambda browser, url, _: _open(browser, url),
    "detail": _detail,
    "known": _known,
    "player": _player,
    "compare": _compare,
    "statistics": lambda browser, url, _: _open(browser, f"{url}/?view=statistics"),
    "keys": _keys,
    "empty": lambda browser, url, _: _open(browser, url, answer=_nothing),
    "error": lambda browser, url, _: _open(browser, url, answer=_error),
    "dark": lambda browser, url, _: _open(browser, url, color_scheme="dark"),
    "dark-detail": lambda browser, url, generation_id: _detail(browser, url, generation_id, color_scheme="dark"),
    "narrow": lambda browser, url, _: _open(browser, url, **_NARROW),
    "narrow-detail": lambda browser, url, generation_id: _detail(browser, url, generation_id, **_NARROW),
}


if __name__ == "__main__":
    main()
