"""Signs the links of a record where they stand in its JSON text: the quick way of link_signing for lists.

A page has hundreds of scenes, and reading and writing all of it takes three times as long. A property test holds this
to what link_signing makes of the same record.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

from generation_history.storage.keys import is_scene_key
from generation_history.storage.signing import SigningWindow

#: The links of a scene have fewer characters.
MAX_LINK_CHARACTERS: Final = 2_000
#: How a scene's links stand in a record. Within a string a quote has a backslash before it: no text looks like this.
_VIDEO, _THUMBNAIL, _NEITHER = '"video_url":', '","thumbnail_url":"', 'null,"thumbnail_url":null'


def has_links(record: str) -> bool:
    """Whether a record, JSON text as the database makes it, may have a link to sign."""
    return f'{_VIDEO}"' in record


def sign_in_place(text: str, generation_id: str, window: SigningWindow | None) -> str | None:
    """The record with its links signed; None unless each scene has both of them, of its generation, or neither."""
    folder = f"/generations/{generation_id}/"
    expires_at = iso(window.ends) if window else None
    head, *scenes = text.split(_VIDEO)
    parts = [head]
    for scene in scenes:
        if scene.startswith(_NEITHER):
            parts.append(f'{_NEITHER},"expires_at":null{scene.removeprefix(_NEITHER)}')
            continue
        video, _, rest = scene.partition(_THUMBNAIL)
        thumbnail, _, rest = rest.partition('"')
        if window is None or len(scene) - len(rest) > MAX_LINK_CHARACTERS:
            return None
        video_base, _, video = video.partition(folder)
        thumbnail_base, _, thumbnail = thumbnail.partition(folder)
        if not is_scene_key(video_base, video) or not is_scene_key(thumbnail_base, thumbnail):
            return None
        video, thumbnail = window.url(folder + video), window.url(folder + thumbnail)
        parts.append(f'"{video}{_THUMBNAIL}{thumbnail}","expires_at":"{expires_at}"{rest}')
    return _VIDEO.join(parts)


#: All links of a window end at the same time.
iso = lru_cache(maxsize=2)(datetime.isoformat)
