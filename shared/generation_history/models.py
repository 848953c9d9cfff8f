"""The record as callers see it: statuses and their legal transitions, failure codes, and the shape of every dict."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict, get_args

Status = Literal["pending", "processing", "completed", "failed"]
VariantType = Literal["soft", "medium", "aggressive", "ultra"]
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

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
VARIANT_TYPES: Final[tuple[VariantType, ...]] = get_args(VariantType)
FAILURE_CODES: Final[tuple[FailureCode, ...]] = get_args(FailureCode)

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
    """One provider job a scene asked for, with when each thing happened to it; cost in US dollars, null is unknown."""

    attempt: int
    outcome: Literal["intended", "not_sent", "accepted", "adopted", "stored", "failed"]
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


class Scene(TypedDict):
    """One short video of a variant; ids and times are strings, sizes bytes, duration whole seconds."""

    id: str
    variant_id: str
    generation_id: NotRequired[str]
    variant_type: NotRequired[VariantType]
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
    attempt: int
    attempts: NotRequired[list[Attempt]]
    created_at: str
    updated_at: str
    completed_at: str | None


class Variant(TypedDict):
    """One version of the ad: soft, medium, aggressive or ultra."""

    id: str
    generation_id: str
    variant_type: VariantType
    status: Status
    scenes_completed: int
    total_scenes: int
    error_message: str | None
    created_at: str
    updated_at: str
    completed_at: str | None
    scenes: NotRequired[list[Scene]]


class Metadata(TypedDict):
    """What the pipeline knew: each kind is a JSON value or null."""

    original_analysis: Any
    transformation_data: Any
    prompts_data: Any
    evaluation_data: Any


class MetadataRow(Metadata):
    """Metadata as its row."""

    id: str
    generation_id: str
    created_at: str
    updated_at: str


class Generation(TypedDict):
    """One ad cloned: its source, what it cost (US dollars, null is unknown), and its variants."""

    id: str
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


class Stats(TypedDict):
    """Totals over an owner's generations that are not deleted."""

    total_generations: int
    pending: int
    processing: int
    completed: int
    failed: int
    total_cost: float
    cost_unknown: int
    estimated_cost: float
    total_videos: int
    total_bytes: int
    total_seconds: int


class VideoMetadata(TypedDict):
    """What a video is: duration in whole seconds, resolution as WIDTHxHEIGHT, file_size in bytes."""

    duration: int
    resolution: str
    file_size: int
    thumbnail_error: NotRequired[str]
