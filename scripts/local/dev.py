"""scripts/dev: runs everything on this machine; with --demo takes one ad through the whole flow."""

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from generation_history.errors import HistoryError
from scripts.local.demo import DemoFailed, run_demo
from scripts.local.environment_file import environment_file
from scripts.local.host.project import ProjectError
from scripts.local.ports import PortTakenError
from scripts.local.process import StartError
from scripts.local.stack import Options, Stack, external_parts, forget, stack

#: As a shell says it of what Ctrl-C ended.
INTERRUPTED = 130
MAX_PORT = 65_535


def main() -> int:
    """0 when stopped, or with --once when all is stored; INTERRUPTED before; else 1 with the reason on one line."""
    arguments = _parser().parse_args()
    # Also where a shell started it in the background, which ignores Ctrl-C for it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        if arguments.reset:
            forget(arguments.folder)
        for part, setting in external_parts().items():
            print(f"not starting {part}: {setting} is set, so what it names is used", flush=True)
        start = time.monotonic()
        with ExitStack() as closing, stack(_options(arguments)) as local_stack:
            print(f"ready after {time.monotonic() - start:.1f} s\n{_where(local_stack, arguments.folder)}", flush=True)
            if arguments.env is not None:
                file = closing.enter_context(environment_file(arguments.env or arguments.folder / "env", local_stack))
                print(f"  settings   {file}", flush=True)
            if arguments.demo or arguments.once:
                run_demo(local_stack, arguments.folder, closing, stays_up=not arguments.once)
            if not arguments.once:
                print("\nCtrl-C stops everything; what is recorded stays.", flush=True)
                signal.pause()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED if arguments.once else 0
    except (HistoryError, PortTakenError, StartError, ProjectError, DemoFailed) as error:
        print(f"scripts/dev: {error}", file=sys.stderr)
        return 1
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        folder=arguments.folder,
        port=arguments.port,
        postgres_port=arguments.postgres_port,
        spaces_port=arguments.spaces_port,
        sora_port=arguments.sora_port,
        minute=arguments.minute,
        render_seconds=arguments.render_seconds,
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port, from 1 to {MAX_PORT}")
    return int(text)


def _where(local_stack: Stack, folder: Path) -> str:
    return "\n".join(
        [
            f"  library    {local_stack.url}/",
            f"  functions  {local_stack.url}/api",
            f"  provider   {local_stack.environment['SORA_BASE_URL']}",
            f"  objects    {local_stack.environment['DO_SPACES_ENDPOINT']}",
            f"  logs       {folder / 'logs'}",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/dev", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="clone one ad: record, render, store, list")
    parser.add_argument("--once", action="store_true", help="the demo, and then stop: 0 when all is stored")
    parser.add_argument("--reset", action="store_true", help="first forget everything of earlier runs")
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="where everything is kept (.local)")
    parser.add_argument(
        "--env",
        nargs="?",
        const="",
        metavar="FILE",
        help="write what a server of your own needs to use all this, as long as it runs (.local/env)",
    )
    parser.add_argument("--minute", type=float, default=1.0, help="seconds that a minute of the schedule takes (1)")
    parser.add_argument("--render-seconds", type=float, default=1.0, help="seconds the simulator takes for a video (1)")
    for name, meaning in (
        ("", "the functions"),
        ("postgres-", "Postgres"),
        ("spaces-", "SeaweedFS"),
        ("sora-", "the simulator"),
    ):
        parser.add_argument(f"--{name}port", type=_port, help=f"the port of {meaning}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
