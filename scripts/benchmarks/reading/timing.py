"""Medians of ways that take turns, so that whatever else the machine does falls on all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name")


#: What takes longer than this is not asked again and again.
MAX_SECONDS = 30


def medians(ways: Mapping[Name, Sequence[Callable[[], object]]], *, rounds: int) -> dict[Name, float]:
    """Milliseconds of each way: the median of so many rounds, in each of which every way has one turn.

    The calls of a way take turns, too. Who goes first changes with each round; the first rounds warm up and do not
    count. No round begins after MAX_SECONDS but the first that counts.
    """
    names = list(ways)
    times: dict[Name, list[float]] = {name: [] for name in names}
    warm_up = max(1, rounds // 10)
    gc.collect()
    end = time.perf_counter() + MAX_SECONDS
    for round_number in range(-warm_up, rounds):
        if round_number > 0 and time.perf_counter() > end:
            break
        offset = round_number % len(names)
        for name in names[offset:] + names[:offset]:
            calls = ways[name]
            call = calls[round_number % len(calls)]
            start = time.perf_counter()
            call()
            elapsed = time.perf_counter() - start
            if round_number >= 0:
                times[name].append(elapsed * 1000)
    return {name: statistics.median(seconds) for name, seconds in times.items()}
