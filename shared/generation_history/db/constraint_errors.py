"""What an error of the database means to a caller, by its constraint or by the SQLSTATE that a function raised."""

import psycopg

from generation_history import limits
from generation_history.db import sqlstates
from generation_history.errors import (
    Conflict,
    DuplicateRequest,
    HistoryError,
    InvalidValue,
    LeaseLost,
    NotFound,
    Throttled,
    Unavailable,
)
from generation_history.models import FAILURE_CODES

_RAISED: dict[str, type[HistoryError]] = {
    "GH001": LeaseLost,
    "GH002": Conflict,
    "GH003": NotFound,
    "GH004": Throttled,
    "GH005": DuplicateRequest,
}

#: What a broken constraint means to a caller. What is not here is told by the constraint's own name.
_CONSTRAINTS: dict[str, HistoryError] = {
    "generations_source_video_url_length": InvalidValue(
        f"source_video_url must have 1 to {limits.MAX_SOURCE_URL} characters"
    ),
    "generations_variant_types": InvalidValue("variant_types must name one or more of soft, medium, aggressive, ultra"),
    "generations_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "variants_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "scenes_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "generations_cost_estimate": InvalidValue("cost_estimate must be a number from 0 up"),
    "generations_actual_cost": InvalidValue("actual_cost must be a number from 0 up"),
    "variants_variant_type": InvalidValue("variant_type must be one of soft, medium, aggressive, ultra"),
    "variants_generation_id_variant_type_key": Conflict("this generation has a variant of this type already"),
    "variants_scenes_completed": InvalidValue("scenes_completed must be from 0 to total_scenes"),
    "scenes_variant_id_scene_number_key": Conflict("this variant has a scene of this number already"),
    "attempts_sora_video_id": Conflict("another scene has this provider job already"),
    "scenes_recorded_once": Conflict("this variant has scenes with other prompts already"),
    "scenes_scene_number": InvalidValue(f"scene_number must be from 1 to {limits.MAX_SCENE_NUMBER}"),
    "scenes_sora_prompt_length": InvalidValue(f"sora_prompt must have at most {limits.MAX_PROMPT} characters"),
    "scenes_duration": InvalidValue("duration must be a whole number of seconds from 0 up"),
    "scenes_file_size": InvalidValue("file_size must be a number of bytes from 0 up"),
    "scenes_error_code": InvalidValue(f"error_code must be one of {', '.join(FAILURE_CODES)}"),
    "scenes_seconds": InvalidValue(f"seconds must be from 1 to {limits.MAX_SECONDS}"),
    "variants_generation_id_fkey": NotFound("no such generation"),
    "idempotency_keys_key": InvalidValue(f"an idempotency key must have 1 to {limits.MAX_IDEMPOTENCY_KEY} characters"),
    "generation_metadata_generation_id_fkey": NotFound("no such generation"),
    "scenes_variant_id_fkey": NotFound("no such variant"),
}


def meaning(error: psycopg.Error, message: str) -> HistoryError:
    """The error as one of ours; message is its first line."""
    constraint = error.diag.constraint_name
    if constraint in _CONSTRAINTS:
        prototype = _CONSTRAINTS[constraint]
        return type(prototype)(str(prototype))
    if constraint == "scenes_status_moves_forward" or isinstance(error, psycopg.IntegrityError):
        invalid = isinstance(error, (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation))
        return InvalidValue(message) if invalid and constraint != "scenes_status_moves_forward" else Conflict(message)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return NotFound("no such parent row")
    if sqlstates.treatment(error).is_late:
        return Unavailable("the database took too long to answer")
    if isinstance(error, psycopg.DataError):
        return InvalidValue(message)
    return _RAISED.get(error.sqlstate or "", HistoryError)(message)
