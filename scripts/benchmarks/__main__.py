"""scripts/bench: runs one benchmark and prints its table."""

import argparse

from scripts.benchmarks import roll_up, store

BENCHMARKS = {"roll-up": roll_up.run, "store": store.run}


def main() -> None:
    """The named benchmark has printed its table."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    BENCHMARKS[parser.parse_args().benchmark]()


if __name__ == "__main__":
    main()
