"""scripts/bench: runs one benchmark and prints its table."""

import argparse
import sys
from collections.abc import Callable

from scripts.benchmarks import cold, flask_server, import_history, read, roll_up, stats, store, web


def main() -> int:
    """The named benchmark has printed its table; 1 if it broke a limit."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benchmarks = parser.add_subparsers(required=True, metavar="benchmark")
    reading = benchmarks.add_parser("read", description=read.__doc__)
    read.add_options(reading)
    reading.set_defaults(run=read.run)
    importing = benchmarks.add_parser("import", description=import_history.__doc__)
    import_history.add_options(importing)
    importing.set_defaults(run=import_history.run)
    flask = benchmarks.add_parser("flask", description=flask_server.__doc__)
    flask_server.add_options(flask)
    flask.set_defaults(run=flask_server.run)
    for name, module in {"roll-up": roll_up, "stats": stats}.items():
        benchmarks.add_parser(name, description=module.__doc__).set_defaults(run=_without_options(module.run))
    for name, module in {"cold": cold, "store": store, "web": web}.items():
        benchmarks.add_parser(name, description=module.__doc__).set_defaults(run=module.run)
    options = parser.parse_args()
    return options.run(options)


def _without_options(run: Callable[[], None]) -> Callable[[argparse.Namespace], int]:
    def ran(_: argparse.Namespace) -> int:
        run()
        return 0

    return ran


if __name__ == "__main__":
    sys.exit(main())
