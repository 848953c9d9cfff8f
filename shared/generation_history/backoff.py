"""How long a step waits until it is done again: with jitter, or what failed together would come back together."""

import random

#: A step that failed n times in a row waits 2^n seconds, with jitter, up to this many.
MAX_BACKOFF_SECONDS = 300.0


def poll_interval(age_seconds: float) -> float:
    """Seconds until a running job is asked about again: a fifth of its age, from 1 to 30, with jitter."""
    return jittered(min(30.0, max(1.0, age_seconds / 5)))


def backoff(failures: int, retry_after: float | None = None) -> float:
    """Seconds until a step is tried again after so many failures in a row."""
    return jittered(max(min(MAX_BACKOFF_SECONDS, 2.0 ** min(failures, 20)), retry_after or 0))


def jittered(seconds: float) -> float:
    """Somewhat more, by chance: what failed together should not come back together."""
    return seconds * random.uniform(1, 1.25)  # noqa: S311 - no secret
