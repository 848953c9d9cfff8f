"""Outcomes: what becomes of a job whose step did not get on; the retry policy decides, the worker carries out."""

from dataclasses import dataclass
from uuid import UUID

from generation_history.models import FailureCode, ProviderState
from generation_history.work.submission import THROTTLE_SECONDS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What becomes of a job: how that is logged, and what it tells of the provider."""

    reason: str = ""
    log_level: int | None = None
    #: The error that nobody expected, whose traceback is logged.
    cause: Exception | None = None
    provider_state: ProviderState | None = None


@dataclass(frozen=True, kw_only=True)
class RetryLater(Outcome):
    """The same step again: after a wait by the failures in a row, or what the provider named."""

    failures: int | None = None
    retry_after: float | None = None
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class FailPermanently(Outcome):
    """The scene is failed with this code."""

    code: FailureCode
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class PostAgain(Outcome):
    """The POST provably made no job: it is made again later."""

    retry_after: float | None = None
    #: The token of an intent in the bucket that could not be taken back.
    unsent: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Throttle(Outcome):
    """The POST, which provably made no job, waits for so many seconds; no other one is begun for pause_seconds."""

    seconds: float = THROTTLE_SECONDS
    pause_seconds: float = 0.0
    #: Nothing else is posted to this provider in this run.
    pauses_provider: bool = False
    unsent: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Discard(Outcome):
    """There is nothing to do any more."""


@dataclass(frozen=True, kw_only=True)
class LeaveAlone(Outcome):
    """Another worker has the job: nothing is written."""
