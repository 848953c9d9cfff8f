"""The keys of objects: where a scene's video and its thumbnail lie in the bucket."""

import re
from functools import lru_cache
from typing import Final

#: What follows the generation in the key of a scene's object, in a URL.
_SCENE_KEY: Final = re.compile(r"(?:soft|medium|aggressive|ultra)/scene_[0-9._a-z]+(?=[?#]|\Z)")


def scene_key(generation_id: object, variant_type: str, scene_number: int, *, attempt: int = 1) -> str:
    """The key of a scene's video; a retried scene's new video lies beside the old one, never in its place."""
    number = f"{scene_number}" if attempt == 1 else f"{scene_number}.{attempt}"
    return f"generations/{generation_id}/{variant_type}/scene_{number}.mp4"


def thumbnail_key(video_key: str) -> str:
    """The key of the thumbnail that belongs to a video's key."""
    return video_key.removesuffix(".mp4") + "_thumb.jpg"


def owned_key(url: str, generation_id: str) -> str | None:
    """The key that a row's URL names, if it is one of this generation's; None for any other URL.

    A caller may write any URL into its own row; only the keys of that row's generation are ever signed for it.
    """
    # A page has hundreds of them: a pattern that looks for all of it takes three times as long.
    folder = f"/generations/{generation_id}/"
    start = url.find(folder)
    match = _SCENE_KEY.match(url, start + len(folder)) if start >= 0 else None
    if match is None or "?" in url[:start] or "#" in url[:start]:
        return None
    return url[start + 1 : match.end()]


@lru_cache(1_000)
def is_scene_key(base: str, name: str) -> bool:
    """Whether a URL that has this before and after its generation's folder is its object's, and nothing besides."""
    return "?" not in base and "#" not in base and _SCENE_KEY.fullmatch(name) is not None
