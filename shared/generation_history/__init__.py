"""Keeps every generated ad video: records it, brings it home before it expires, serves it back.

Names are imported on first use, so that reading the record needs neither boto3 nor requests.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation_history.api.flask_adapter import register_history_api
    from generation_history.media.video_storage_manager import VideoStorageManager
    from generation_history.pipeline_integrator import PipelineIntegrator
    from generation_history.record.generation_manager import GenerationManager

__all__ = ["GenerationManager", "PipelineIntegrator", "VideoStorageManager", "register_history_api"]

_HOMES = {
    "GenerationManager": "generation_history.record.generation_manager",
    "PipelineIntegrator": "generation_history.pipeline_integrator",
    "VideoStorageManager": "generation_history.media.video_storage_manager",
    "register_history_api": "generation_history.api.flask_adapter",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'generation_history' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
