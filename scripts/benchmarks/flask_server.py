"""A Flask server: reads a second with 1, 4 and 8 threads, and memory under fifty clients of the largest pages.

gunicorn serves two applications at once, the present way and the way before, which take turns at being asked. Memory is
compared with that of calls that run side by side without a bound, in the same run (--memory: nothing else). The largest
pages are of generations with a hundred scenes each: the platform's 1 MB cuts them.
"""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, LiteralString

import psutil
import psycopg

from scripts.benchmarks.flask_app import LATENCY
from scripts.benchmarks.reading.fill import BIG_OWNER, fill
from scripts.local import ports, process
from scripts.local.host.project import ROOT
from scripts.local.scratch import Scratch, scratch

GENERATIONS: Final = 2_000
THREADS: Final = (1, 4, 8)
WAYS: Final = ("before", "after")
#: The last one is the present way.
MEMORY_WAYS: Final = ("unbounded", *WAYS)
#: Milliseconds to the database: on the same machine, and on another one.
DISTANCES: Final = (0, 2)
SECONDS: Final = 2.0
ROUNDS: Final = 7
CLIENTS: Final = 8
#: Of the largest pages, each of which asks for so many.
MANY_CLIENTS: Final = 50
PAGES_EACH: Final = 3
LARGEST_PAGE: Final = "/api/history/generations?limit=100"
READY_S: Final = 30
#: What is promised, with 8 threads and the database on another machine.
FASTER: Final = 1.2
MAX_MEGABYTES: Final = 250
#: Of what calls without a bound take.
MAX_MEMORY_RATIO: Final = 0.4

LARGE_OWNER: Final = uuid.UUID("b1660000-0000-4000-8000-000000000001")
#: Added without triggers, as fill() adds its own.
_FILL_LARGE: LiteralString = """
    with g as (
        insert into generations (id, owner_id, source_video_url, source_video_type, status, total_variants,
            variant_types)
        select gen_random_uuid(), %(owner)s, 'https://cdn.example/large.mp4', 'url', 'processing', 4,
            array['soft', 'medium', 'aggressive', 'ultra']
        from generate_series(1, 101) returning id
    ), v as (
        insert into variants (id, generation_id, owner_id, variant_type, status, total_scenes)
        select gen_random_uuid(), id, %(owner)s, unnest(array['soft', 'medium', 'aggressive', 'ultra']),
            'processing', 25
        from g returning id, generation_id, variant_type
    )
    insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt, status, video_url, thumbnail_url, duration,
        resolution, file_size, completed_at)
    select gen_random_uuid(), v.id, %(owner)s, n, 'x', 'completed', folder || n || '.mp4', folder || n || '_thumb.jpg',
        8, '720x1280', 4000000, now()
    from v, generate_series(1, 25) n, lateral (select 'https://soraking-videos.nyc3.digitaloceanspaces.com/generations/'
        || generation_id || '/' || variant_type || '/scene_' as folder) f
"""


@dataclass(frozen=True)
class Server:
    """A running server: its port, and the process that answers."""

    port: int
    worker: psutil.Process


def add_options(parser: argparse.ArgumentParser) -> None:
    """What scripts/bench flask takes."""
    parser.add_argument("--memory", action="store_true", help="compare memory alone")


def run(options: argparse.Namespace) -> int:
    """Prints the rates, their ratios and the peaks of memory; 1 if one of them breaks its limit."""
    with scratch() as place:
        ids = _fill(place.admin)
        limits = {} if options.memory else _compare_rates(place, ids)
        limits |= _compare_memory(place)
    for limit in (limit for limit, holds in limits.items() if not holds):
        print(f"BROKEN  {limit}")
    return 0 if all(limits.values()) else 1


def _compare_rates(place: Scratch, ids: Sequence[str]) -> dict[str, bool]:
    print(f"{CLIENTS} clients, half of the reads a generation, half a page of 20; median of {ROUNDS} rounds")
    print("ms to the database  threads  before/s  after/s  ratio")
    ratio = 0.0
    for distance in DISTANCES:
        for threads in THREADS:
            ratio = _print_rates(place, ids, threads=threads, distance=distance)
    print()
    return {f"at least {FASTER} x": ratio >= FASTER}


def _compare_memory(place: Scratch) -> dict[str, bool]:
    print(f"{MANY_CLIENTS} clients of the largest pages, {MANY_CLIENTS} threads")
    print("           MB at rest  MB at most  pages/s  refused")
    unbounded, *_, peak = (_print_peak(place, way) for way in MEMORY_WAYS)
    ratio = peak / unbounded
    print(f"after / unbounded: {ratio:.2f}")
    return {
        f"at most {MAX_MEGABYTES} MB": peak <= MAX_MEGABYTES,
        f"at most {MAX_MEMORY_RATIO} of the memory of calls without a bound": ratio <= MAX_MEMORY_RATIO,
    }


def _fill(admin: str) -> Sequence[str]:
    """Ids of generations that the usual owner has."""
    fill(admin, GENERATIONS)
    with psycopg.connect(admin) as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute(_FILL_LARGE, {"owner": LARGE_OWNER})
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        query = "select id from generations where owner_id = %s and deleted_at is null limit 50"
        return [str(row[0]) for row in connection.execute(query, [BIG_OWNER])]


def _print_rates(place: Scratch, ids: Sequence[str], *, threads: int, distance: int) -> float:
    """How many times as many reads the present way answers."""
    with ExitStack() as closing:
        servers = [
            closing.enter_context(_server(place, way, BIG_OWNER, threads=threads, distance=distance)) for way in WAYS
        ]
        rounds = [[_rate(server, ids) for server in servers] for _ in range(ROUNDS)]
    before, after = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    ratio = statistics.median(rates[1] / rates[0] for rates in rounds)
    print(f"{distance:18}  {threads:7}  {before:8.0f}  {after:7.0f}  {ratio:5.2f}", flush=True)
    return ratio


def _print_peak(place: Scratch, way: str) -> float:
    """The most megabytes that the process had."""
    with _server(place, way, LARGE_OWNER, threads=MANY_CLIENTS, distance=0) as server:
        at_rest, start = server.worker.memory_info().rss / 1e6, time.monotonic()
        refusals: list[int] = []
        read_pages = partial(_at_once, MANY_CLIENTS, lambda _: refusals.append(_read_pages(server)))
        peak = _peak(server.worker, read_pages)
        pages = MANY_CLIENTS * PAGES_EACH / (time.monotonic() - start)
    print(f"{way:9}  {at_rest:10.0f}  {peak:10.0f}  {pages:7.1f}  {sum(refusals):7}", flush=True)
    return peak


@contextmanager
def _server(place: Scratch, way: str, owner: uuid.UUID, *, threads: int, distance: int) -> Generator[Server]:
    port = ports.free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"{ports.LOOPBACK}:{port}", "--timeout", "120"]
    command += ["--worker-class", "gthread", "--threads", str(threads), "--log-level", "warning"]
    command += [f"scripts.benchmarks.flask_app:{way}()"]
    environment = {
        **os.environ,
        "DATABASE_URL": place.api,
        "HISTORY_ACCESS": "single-owner",
        "HISTORY_OWNER_ID": str(owner),
        "DO_SPACES_ACCESS_KEY": "key",
        "DO_SPACES_SECRET_KEY": "secret",
        LATENCY: str(distance),
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "gunicorn.log")
        child = process.start(command, log=log, env=environment, cwd=ROOT)
        try:
            process.wait_until(lambda: not ports.is_free(port), process=child, log=log, timeout=READY_S)
            _read(_connect(port), "/api/history/stats")
            (worker,) = psutil.Process(child.pid).children(recursive=True)
            yield Server(port, worker)
        finally:
            process.stop(child, timeout=5)


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(ports.LOOPBACK, port, timeout=600)


def _read(connection: http.client.HTTPConnection, path: str) -> bool:
    """Whether it was answered with what was asked for."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    # A call that waited too long for its turn is told to come again.
    if answer.status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
        raise AssertionError(f"{path} is answered {answer.status}: {body[:300]!r}")
    return answer.status == HTTPStatus.OK


def _read_pages(server: Server) -> int:
    """The number of times that this client was refused, and came again."""
    connection = _connect(server.port)
    answers = 0
    for _ in range(PAGES_EACH):
        answers += 1
        while not _read(connection, LARGEST_PAGE):
            answers += 1
    connection.close()
    return answers - PAGES_EACH


def _rate(server: Server, ids: Sequence[str]) -> float:
    """Reads a second."""
    counts = [0] * CLIENTS
    end = time.monotonic() + SECONDS

    def ask(number: int) -> None:
        connection = _connect(server.port)
        while time.monotonic() < end:
            turn = counts[number] + number
            path = f"generations/{ids[turn % len(ids)]}" if turn % 2 else "library?limit=20"
            counts[number] += _read(connection, f"/api/history/{path}")
        connection.close()

    _at_once(CLIENTS, ask)
    return sum(counts) / SECONDS


def _peak(watched: psutil.Process, work: Callable[[], None]) -> float:
    peaks = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peaks.append(watched.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return max(peaks) / 1e6


def _at_once(number: int, work: Callable[[int], None]) -> None:
    """Each has done its work; the first error of one is raised."""
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, range(number)))
