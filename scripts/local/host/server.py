"""The host: pools of instances behind the gateway, and the schedule that calls them."""

import sys
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cronsim import CronSim
from werkzeug.serving import make_server

from scripts.local import ports
from scripts.local.host.gateway import create_gateway
from scripts.local.host.instances import Pool
from scripts.local.host.project import ROOT, Function
from scripts.local.simulator.server import QuietHandler


@contextmanager
def host(functions: Iterable[Function], *, port: int, logs: Path, minute: float) -> Generator[str]:
    """The functions answer on loopback until the block ends; yields their base URL.

    A minute of their schedule takes `minute` seconds here.
    """
    # Werkzeug would say it in two lines, and end the process.
    ports.require_free(port, user="the functions")
    with ExitStack() as closing:
        pools = {(function.package, function.name): Pool(function, logs) for function in functions}
        functions_without_options = {name for name, pool in pools.items() if not pool.function.answers_options}
        gateway = create_gateway(pools, ROOT / "web", with_platforms_cors=functions_without_options)
        server = make_server(ports.LOOPBACK, port, gateway, threaded=True, request_handler=QuietHandler)
        closing.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, args=[0.05], name="gateway")
        thread.start()
        closing.callback(thread.join)
        closing.callback(server.shutdown)
        for pool in pools.values():
            closing.callback(pool.close)
        stop = threading.Event()
        clock = threading.Thread(target=_keep_schedule, args=(list(pools.values()), minute, stop), name="schedule")
        clock.start()
        closing.callback(clock.join)
        closing.callback(stop.set)
        yield f"http://{ports.LOOPBACK}:{server.server_port}"


def _keep_schedule(pools: list[Pool], minute: float, stop: threading.Event) -> None:
    """Call each function when its cron says so; where all its instances are busy, the platform would queue, we skip."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    while not stop.wait(minute):
        now += timedelta(minutes=1)
        for pool in pools:
            is_due = any(next(CronSim(cron, now - timedelta(minutes=1))) == now for cron in pool.function.crons)
            if is_due and not pool.is_busy:
                pool.call({}).add_done_callback(partial(_report, pool.function))


def _report(function: Function, future: "Future[dict[str, Any]]") -> None:
    """Say on the terminal what keeps a scheduled call from working: nobody else sees its answer."""
    if not future.cancelled() and (error := future.result().get("error")):
        print(f"{function.package}/{function.name}: {error}", file=sys.stderr, flush=True)
