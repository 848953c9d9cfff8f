"""The command that runs a simulator: `python -m scripts.local.simulator --port 8099 --data DIR`."""

import argparse
import signal
from pathlib import Path

from scripts.local.simulator.dialects import MANNERS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import USUAL_TIMING, simulator
from scripts.local.simulator.throttle import Pace

_ENDINGS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """The simulator runs until SIGTERM or SIGINT and then ends with 0."""
    arguments = _parser().parse_args()
    # Blocked before any thread starts and then waited for: a handler could miss one that comes early.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    server = simulator(
        arguments.data,
        port=arguments.port,
        api_key=arguments.api_key,
        timing=Timing(arguments.queue_seconds, arguments.render_seconds, arguments.expires_seconds),
        manner=arguments.manner,
        pace=Pace(arguments.bytes_per_second, arguments.latency_seconds),
        content=arguments.content,
    )
    with server as base_url:
        print(f"simulator ready on {base_url}", flush=True)
        signal.sigwait(_ENDINGS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.local.simulator", description=__doc__)
    parser.add_argument("--port", type=int, choices=range(65536), metavar="PORT", required=True, help="0: a free one")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="remembers jobs and videos")
    parser.add_argument("--api-key", metavar="KEY", help="demanded of every request; without it everyone is let in")
    parser.add_argument("--manner", choices=list(MANNERS), default="openai", help="which server it behaves like")
    parser.add_argument("--queue-seconds", type=_seconds, default=USUAL_TIMING.queue_seconds, metavar="SECONDS")
    parser.add_argument("--render-seconds", type=_seconds, default=USUAL_TIMING.render_seconds, metavar="SECONDS")
    parser.add_argument("--expires-seconds", type=_seconds, default=USUAL_TIMING.expires_seconds, metavar="SECONDS")
    parser.add_argument("--content", type=_file, metavar="FILE", help="every job's video; without it they are rendered")
    parser.add_argument("--bytes-per-second", type=_speed, metavar="N", help="of one connection's content")
    parser.add_argument(
        "--latency-seconds", type=_seconds, default=0.0, metavar="SECONDS", help="before its first byte"
    )
    return parser


def _seconds(text: str) -> float:
    """A length of time that is neither negative nor endless."""
    seconds = float(text)
    if not 0 <= seconds <= 1e9:  # noqa: PLR2004 - thirty years
        raise ValueError(text)
    return seconds


def _speed(text: str) -> float:
    """A speed at which something arrives."""
    speed = float(text)
    if not 1 <= speed <= 1e12:  # noqa: PLR2004 - faster than any loopback
        raise ValueError(text)
    return speed


def _file(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return path


if __name__ == "__main__":
    main()
