"""Under single-owner, in Chromium, no other page can do anything, though the server's CORS extension allows all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from flask_cors import CORS
from history_api import register_history_api
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from scripts.local.simulator.server import QuietHandler

#: What a page of any origin may try; each ends as the status that it could read, or as why it could read none.
ATTEMPT = """async ([url, id]) => {
    const ask = (path, options) => fetch(url + "/api/history" + path, options)
        .then((answer) => answer.status, (error) => error.name);
    const json = {"Content-Type": "application/json"};
    const body = JSON.stringify({source_video_url: "https://evil.example", variant_types: ["soft"]});
    return {
        list: await ask("/generations"),
        blind: await ask("/generations", {mode: "no-cors"}),
        remove: await ask(`/generations/${id}`, {method: "DELETE"}),
        create: await ask("/generations", {method: "POST", headers: json, body}),
        createUnasked: await ask("/generations", {method: "POST", mode: "no-cors", body: new Blob([body])}),
    };
}"""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(db, open_to_one: str) -> Iterator[str]:
    app = Flask("ad_cloner")
    CORS(app)
    register_history_api(app, page=True)
    with served(app) as made:
        yield made


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of another origin: another port is enough."""
    app = Flask("another")
    app.add_url_rule("/", view_func=lambda: "<!doctype html><title>another</title>")
    with served(app) as made:
        yield made


def test_another_page_reads_deletes_and_creates_nothing(browser: Browser, url, elsewhere, generation_factory, db):
    made = generation_factory(1)["id"]
    before = db.everything()
    page = browser.new_page()
    page.goto(elsewhere)

    tried = page.evaluate(ATTEMPT, [url, made])

    page.close()
    refused = dict.fromkeys(("list", "remove", "create"), "TypeError")
    # An opaque answer has no status that a page could read.
    assert tried == {**refused, "blind": 0, "createUnasked": 0}
    assert db.everything() == before


def test_the_servers_own_page_does_all_of_it(browser: Browser, url, generation_factory, manager):
    made = generation_factory(1)["id"]
    page = browser.new_page()
    page.goto(f"{url}/history/")
    page.locator(f'article[data-id="{made}"]').wait_for()

    tried = page.evaluate(ATTEMPT, ["", made])

    page.close()
    assert (tried["list"], tried["remove"], tried["create"]) == (200, 200, 202)
    assert manager.get_generation(made) is None
