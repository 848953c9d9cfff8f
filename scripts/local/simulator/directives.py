"""What a person writes into a prompt to make the job misbehave, from wherever the prompt is written."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

PROVIDER_ERROR = ("provider_error", "The provider could not render this video.")
MODERATION_BLOCKED = ("moderation_blocked", "This request was blocked by our moderation system.")

#: Of the kinds beside /v1/videos: a job that is over and has no video, and one that ends in a word of its kind.
MISSING = ("missing", "The job is over, and has no video.")
ENDED = "ended"
#: The code of a job that was cancelled.
CANCELLED = "cancelled"

_SECONDS = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)"


@dataclass(frozen=True)
class Directives:
    """How a job departs from the usual; without directives in its prompt it does not."""

    rejection: tuple[str, str] | None = None
    failure: tuple[str, str] | None = None
    delay: float = 0.0
    expires_after: float | None = None
    #: For how long the content of a completed job is not there yet.
    lag: float = 0.0
    #: Cancelling is accepted, and changes nothing.
    unstoppable: bool = False


# A new directive is one line here: what is written in the prompt, and what it changes.
_TABLE: tuple[tuple[str, Callable[[Directives, re.Match[str]], Directives]], ...] = (
    (r"\[reject\]", lambda directives, _: replace(directives, rejection=MODERATION_BLOCKED)),
    (r"\[fail\]", lambda directives, _: replace(directives, failure=PROVIDER_ERROR)),
    (r"\[moderate\]", lambda directives, _: replace(directives, failure=MODERATION_BLOCKED)),
    (rf"\[delay={_SECONDS}\]", lambda directives, match: replace(directives, delay=float(match[1]))),
    (r"\[missing\]", lambda directives, _: replace(directives, failure=MISSING)),
    (r"\[ends=([\w.-]{1,60})\]", lambda directives, match: replace(directives, failure=(ENDED, match[1]))),
    (r"\[unstoppable\]", lambda directives, _: replace(directives, unstoppable=True)),
    (rf"\[lag={_SECONDS}\]", lambda directives, match: replace(directives, lag=float(match[1]))),
    (rf"\[expire={_SECONDS}\]", lambda directives, match: replace(directives, expires_after=float(match[1]))),
)


def read_directives(prompt: str) -> Directives:
    """The directives found in a prompt; brackets that are none are ordinary words."""
    directives = Directives()
    for pattern, apply in _TABLE:
        if match := re.search(pattern, prompt, re.IGNORECASE):
            directives = apply(directives, match)
    return directives
