"""The words of `/v1/videos` servers for how a job stands, one table; a word that is not in it means still running."""

import re
from typing import Final, Literal

Meaning = Literal["running", "completed", "failed", "cancelled", "expired"]
RUNNING: Final = "running"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
EXPIRED: Final = "expired"

#: Compared without case, spaces and signs, and without what the word is about: JOB_STATE_SUCCEEDED is succeeded.
_WORDS: Final[dict[Meaning, str]] = {
    # OpenAI; Replicate, Runway, fal, Kling, Ark, Novita, DashScope, MiniMax, new-api, and what else people write.
    COMPLETED: "completed complete succeeded succeed success successful successfully done finished finish"
    " ready available generated rendered resolved ended",
    # A timeout here is the provider's own: nothing of the job is left to wait for.
    FAILED: "failed fail failure error errored exception rejected reject refused denied declined invalid aborted abort"
    " crashed killed dead broken unsuccessful notsuccessful incomplete undeliverable timeout timedout deadlineexceeded"
    " budgetexceeded banned",
    CANCELLED: "cancelled canceled cancel terminated terminate stopped revoked deleted removed discarded",
    EXPIRED: "expired expire outofdate",
    RUNNING: "queued queueing queuing inqueue pending waiting wait submitted submitting accepted created new init"
    " initialized initializing notstarted scheduled preparing prepared starting started inprogress progress processing"
    " process running run working active executing rendering generating uploading downloading postprocessing finalizing"
    " throttled retrying paused",
}
_MEANINGS: Final[dict[str, Meaning]] = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
#: What envelopes say of the request, as JSend does: not how the job stands that is in them.
ENVELOPE_WORDS: Final = frozenset({"success", "ok", "error", "fail"})
_ABOUT: Final = frozenset(
    {
        "task",
        "job",
        "status",
        "state",
        "video",
        "generation",
        "render",
        "prediction",
        "phase",
        "content",
        "file",
        "asset",
    }
)

_MODERATION: Final = frozenset(
    {"moderation", "moderated", "safety", "unsafe", "nsfw", "flagged", "censored", "sensitive", "prohibited", "blocked"}
)
_MODERATION_PAIRS: Final = ("contentpolicy", "policyviolation", "contentfilter", "contentviolation", "usagepolicy")
#: Words that say that the check itself failed, which is no judgement of the prompt.
_NO_JUDGEMENT: Final = frozenset({"unavailable", "timeout", "service", "internal", "ip", "account", "user", "key"})
#: A code; longer texts are prose, in which a word proves nothing.
_MAX_CODE_LENGTH: Final = 100

_EXPIRED_THING: Final = re.compile(
    r"\b(video|videos|download|downloads|content|file|asset|result|output|job|task|generation)\b", re.IGNORECASE
)
_EXPIRED_WORDS: Final = re.compile(
    r"\b(has|have|is|was|are|been|already)?\s*expired\b|no longer (available|exists)", re.IGNORECASE
)
_EXPIRED_OTHERS: Final = re.compile(
    r"\b(token|signature|key|session|request|certificate|credential|link|url)\b", re.IGNORECASE
)


def plain(word: str) -> str:
    """The word in small letters, without spaces and signs."""
    return re.sub(r"[\W_]+", "", word.casefold())


def meaning_of(word: str) -> Meaning | None:
    """What the word says of a job; None for a word that is not known."""
    if meaning := _MEANINGS.get(plain(word)):
        return meaning
    if is_moderation(word):
        return FAILED
    return _MEANINGS.get("".join(part for part in _parts(word) if part not in _ABOUT))


def is_known(word: str) -> bool:
    """Whether the word is one for how a job stands."""
    return meaning_of(word) is not None


def is_moderation(code: str) -> bool:
    """Whether a code, or a status, says that the prompt or the video was not allowed."""
    if len(code) > _MAX_CODE_LENGTH:
        return False
    parts = _parts(code)
    if not _NO_JUDGEMENT.isdisjoint(parts):
        return False
    return not _MODERATION.isdisjoint(parts) or any(pair in plain(code) for pair in _MODERATION_PAIRS)


def says_expired(reason: str) -> bool:
    """Whether a refusal of a download says that the provider has the video no more."""
    # A code alone says so, too; what came is in front of what was said.
    return meaning_of(reason.rpartition(": ")[2]) == EXPIRED or (
        _EXPIRED_WORDS.search(reason) is not None
        and _EXPIRED_THING.search(reason) is not None
        and _EXPIRED_OTHERS.search(reason) is None
    )


def _parts(word: str) -> list[str]:
    """The words that a code is made of: ContentPolicy, content_policy and content-policy alike."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", word)
    return [part for part in re.split(r"[\W_]+", spaced.casefold()) if part]
