"""The record as callers see it: statuses and their legal transitions, failure codes, and the shape of every dict."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, get_args

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

Status = Literal["pending", "processing", "completed", "failed"]
VariantType = Literal["soft", "medium", "aggressive", "ultra"]
MetadataKind = Literal["original_analysis", "transformation_data", "prompts_data", "evaluation_data"]
Step = Literal["submit", "find", "poll", "store"]
ProviderState = Literal["ok", "refused", "gone", "unreachable"]
FailureCode = Literal[
    "moderation_blocked",
    "provider_failed",
    "provider_gone",
    "expired",
    "not_found",
    "download_failed",
    "invalid_video",
    "storage_failed",
    "timed_out",
    "submit_unknown",
    "submit_rejected",
    "cancelled",
    "abandoned",
]
#: Why a generation's archive could not be made.
ArchiveFailureCode = Literal["video_missing", "video_changed", "storage_failed", "timed_out"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
VARIANT_TYPES: Final[tuple[VariantType, ...]] = get_args(VariantType)
METADATA_KINDS: Final[tuple[MetadataKind, ...]] = get_args(MetadataKind)
FAILURE_CODES: Final[tuple[FailureCode, ...]] = get_args(FailureCode)
ARCHIVE_FAILURE_CODES: Final[tuple[ArchiveFailureCode, ...]] = get_args(ArchiveFailureCode)

#: A scene moves forward only, but for a retry (failed to pending). The trigger scenes_status_moves_forward enforces it.
#:
#:     pending ----> processing ----> completed
#:        ^  \____________|_____________^  ^
#:        |               v               |
#:        +------------ failed -----------+
SCENE_TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    "pending": frozenset({"processing", "completed", "failed"}),
    "processing": frozenset({"completed", "failed"}),
    "failed": frozenset({"pending", "completed"}),
    "completed": frozenset(),
}

#: Failures after which a new, paid attempt may be made: nothing of the old one is left to fetch.
RETRY_SUBMITS: Final[frozenset[FailureCode]] = frozenset(
    {"provider_failed", "moderation_blocked", "expired", "provider_gone", "submit_rejected"}
)


class Attempt(TypedDict):
    """One provider job a scene asked for, with when each thing happened to it; cost in US dollars, null is unknown.

    late is what a provider accepted when the scene had gone on already. video_url and what follows is what the job
    made, once that is stored; over HTTP its links are signed as the scene's. answer is what the provider said where
    that was not understood.
    """

    attempt: int
    outcome: Literal["intended", "not_sent", "accepted", "adopted", "late", "stored", "failed"]
    provider: str | None
    model: str | None
    size: str | None
    seconds: int | None
    sora_video_id: str | None
    cost: float | None
    intended_at: str | None
    accepted_at: str | None
    rendered_at: str | None
    finished_at: str | None
    error_code: FailureCode | None
    error_message: str | None
    answer: str | None
    video_url: str | None
    thumbnail_url: str | None
    duration: int | None
    resolution: str | None
    file_size: int | None


class Scene(TypedDict):
    """One short video of a variant; ids and times are strings, sizes bytes, duration whole seconds.

    expires_at is when the provider's copy expires. Over HTTP the links are signed, expires_at is when those end, and
    the provider's is provider_expires_at.
    """

    id: str
    variant_id: str
    generation_id: NotRequired[str]
    variant_type: NotRequired[VariantType]
    source_video_url: NotRequired[str]
    scene_number: int
    sora_prompt: NotRequired[str]
    sora_video_id: str | None
    sora_status: str | None
    video_url: str | None
    thumbnail_url: str | None
    duration: int | None
    resolution: str | None
    file_size: int | None
    status: Status
    error_message: str | None
    error_code: FailureCode | None
    provider: NotRequired[str | None]
    provider_base_url: NotRequired[str | None]
    model: NotRequired[str | None]
    size: NotRequired[str | None]
    seconds: NotRequired[int | None]
    expires_at: NotRequired[str | None]
    provider_expires_at: NotRequired[str | None]
    texts_cut: NotRequired[bool]
    attempt: int
    attempts: NotRequired[list[Attempt]]
    created_at: str
    updated_at: str
    completed_at: str | None


class Variant(TypedDict):
    """One version of the ad: soft, medium, aggressive or ultra.

    given_type is the pipeline's own word for the level, where that is none of these.
    """

    id: str
    generation_id: str
    variant_type: VariantType
    given_type: str | None
    status: Status
    scenes_completed: int
    total_scenes: int
    error_message: str | None
    created_at: str
    updated_at: str
    completed_at: str | None
    scenes: NotRequired[list[Scene]]
    scenes_url: NotRequired[str]


class Metadata(TypedDict):
    """What the pipeline knew: each kind is a JSON value or null."""

    original_analysis: Any
    transformation_data: Any
    prompts_data: Any
    evaluation_data: Any


class MetadataPart(TypedDict):
    """A part of a kind's JSON text, and at which character the next one begins, null at the end."""

    json: str
    next_offset: int | None


class MetadataRow(Metadata):
    """Metadata as its row."""

    id: str
    generation_id: str
    created_at: str
    updated_at: str


class Generation(TypedDict):
    """One ad cloned: its source, what it cost (US dollars, null is unknown), and its variants.

    short_id is what people call it: the end of its id.
    """

    id: str
    short_id: str
    source_video_url: str
    source_video_type: str
    status: Status
    total_variants: int
    variant_types: list[VariantType]
    cost_estimate: float | None
    actual_cost: float | None
    error_message: str | None
    created_at: str
    updated_at: str
    completed_at: str | None
    variants: NotRequired[list[Variant]]
    generation_metadata: NotRequired[list[MetadataRow]]
    metadata: NotRequired[Metadata]
    # What HTTP leaves out where it is too large for an answer, and where that is.
    prompts_omitted: NotRequired[bool]
    scenes_omitted: NotRequired[bool]
    metadata_omitted: NotRequired[bool]
    metadata_urls: NotRequired[dict[str, str]]
    texts_cut: NotRequired[bool]


class LibraryItem(TypedDict):
    """A completed generation as the library shows it; total_videos of its scenes are stored."""

    id: str
    short_id: str
    source_video_url: str
    created_at: str
    completed_at: str | None
    total_variants: int
    variant_types: list[VariantType]
    total_videos: int
    variants: list[Variant]
    scenes_omitted: NotRequired[bool]
    texts_cut: NotRequired[bool]


class ByStatus(TypedDict):
    """How many of something are in each status."""

    pending: int
    processing: int
    completed: int
    failed: int


class Outcome(TypedDict):
    """What became of scenes; success_rate is the videos' share of all that are over, 0 to 1, null while none is."""

    videos: int
    scenes_failed: int
    bytes: int
    seconds: int
    success_rate: float | None


class VariantStats(ByStatus, Outcome):
    """Totals over the variants of a type; what was rendered is at our prices, whatever cost a caller reported."""

    variant_type: VariantType
    variants: int
    rendered_cost: float
    cost_unknown: int


class DayStats(ByStatus, Outcome):
    """Totals over the generations created on a UTC day (YYYY-MM-DD), as they are now."""

    day: str
    generations: int
    cost: float
    cost_unknown: int
    estimated_cost: float
    estimate_unknown: int


class Stats(ByStatus):
    """Totals over an owner's generations that are not deleted."""

    total_generations: int
    total_cost: float
    cost_unknown: int
    estimated_cost: float
    estimate_unknown: int
    total_videos: int
    total_bytes: int
    total_seconds: int
    scenes_failed: int
    success_rate: float | None
    by_variant: list[VariantStats]
    by_day: list[DayStats]


class ProviderHealth(TypedDict):
    """How a provider answers, why it is said so, and since when."""

    base_url: str
    state: ProviderState
    reason: str | None
    since: str
    seconds: float


class Health(TypedDict):
    """What there is to do and how it goes, over all owners; null where it never happened or there is nothing."""

    seconds_since_poll: float | None
    seconds_since_purge: float | None
    backlog: int
    backlog_to_submit: int
    oldest_due_seconds: float
    stuck: int
    stuck_reason: str | None
    soonest_expiry_seconds: float | None
    failures_by_code: dict[FailureCode, int]
    providers: list[ProviderHealth]


class VideoMetadata(TypedDict):
    """What a video is: duration in whole seconds, resolution as WIDTHxHEIGHT, file_size in bytes."""

    duration: int
    resolution: str
    file_size: int
    thumbnail_error: NotRequired[str]
