"""Records as HTTP shows them: links signed, and what is too large to be carried left out and linked."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import Any, cast

from generation_history import json_codec, settings
from generation_history.archives.archives import Archive
from generation_history.archives.download_names import archive_name, attachment
from generation_history.models import Generation, Scene, Variant
from generation_history.storage.object_store import ObjectStore, key_of, names_scene_object
from generation_history.storage.signing import SigningWindow

#: A page asked for again within the signing window costs no signing. Mostly these take some 8 MB, at the worst 40.
RECORDS_KEPT = 400
MOST_KEPT_CHARACTERS = 32_000
#: The links of a scene have fewer characters.
MOST_LINK_CHARACTERS = 2_000
#: With what is around it in its answer it is carried.
MAX_RECORD_BYTES = json_codec.MAX_BODY_BYTES - 2 * json_codec.AROUND_BYTES
#: A text longer than this is cut where nothing else helps; a prompt never is.
MOST_CHARACTERS = 5_000

Shown = dict[str, Any]


class SignedLinks:
    """Shows records with their links signed, all in one signing window.

    The settings of the store are read once, and only when there is a link to sign.
    """

    def __init__(self, window: SigningWindow | None = None) -> None:
        """Sign within this window, by default the one that it is."""
        self._given = window

    def generation(self, generation: Generation) -> Shown:
        """The generation with its scenes' links signed, in place: a page has thousands of values to copy."""
        for variant in generation.get("variants", []):
            self.variant(variant)
        return cast("Shown", generation)

    def variant(self, variant: Variant) -> Shown:
        """The variant with its scenes' links signed, in place."""
        generation_id = variant["generation_id"]
        for scene in variant.get("scenes", []):
            self.scene(scene, generation_id)
        return cast("Shown", variant)

    def scene(self, scene: Scene, generation_id: str) -> Shown:
        """The scene as HTTP shows it, in place: video_url and thumbnail_url open to whoever has them, until expires_at.

        When the provider's own copy expires is provider_expires_at.
        """
        shown = cast("Shown", scene)
        if "expires_at" in shown:
            shown["provider_expires_at"] = shown["expires_at"]
        shown["expires_at"] = None
        for name in ("video_url", "thumbnail_url"):
            if link := self.link(shown[name], generation_id):
                shown[name], shown["expires_at"] = link
        for attempt in scene.get("attempts", []):
            for name in ("video_url", "thumbnail_url"):
                if link := self.link(attempt[name], generation_id):
                    cast("Shown", attempt)[name] = link[0]
        return shown

    def link(self, url: str | None, generation_id: str) -> tuple[str, str] | None:
        """A link to what a row's URL names, and when it ends; None where that is no object of the row's generation."""
        key = key_of(url, generation_id) if url else None
        return (self._window.url(f"/{key}"), _iso(self._window.ends)) if key else None

    def record(self, text: str, generation_id: str) -> str:
        """A generation's record, JSON text as the database makes it, with its scenes' links signed as by generation().

        A page has hundreds of scenes: signing where the links stand takes a third of reading and writing it all.
        """
        window = self._window if f'{_VIDEO}"' in text else None
        # Anything else takes up to four bytes a character.
        kept = len(text) <= MOST_KEPT_CHARACTERS and text.isascii()
        return (_signed if kept else _signed.__wrapped__)(text, generation_id, window)

    @cached_property
    def _window(self) -> SigningWindow:
        return self._given or _store(settings.spaces()).signing_window()


def download_link(url: str | None, generation_id: str, disposition: str) -> tuple[str, str] | None:
    """A link that has a browser keep what a row's URL names, and when it ends; None as SignedLinks.link."""
    key = key_of(url, generation_id) if url else None
    if key is None:
        return None
    signed, ends = _store(settings.spaces()).signed_url(key, disposition=disposition)
    return signed, _iso(ends)


def archive_link(archive: Archive) -> tuple[str, datetime]:
    """A link that downloads an archive that is ready, and when it ends: not later than the archive itself."""
    disposition = attachment(archive_name(archive["source_video_url"]))
    url, expires_at = _store(settings.spaces()).signed_url(archive["key"], disposition=disposition)
    kept_until = archive["expires_at"]
    return url, min(expires_at, datetime.fromisoformat(kept_until)) if kept_until else expires_at


@cache
def _store(spaces: settings.SpacesSettings) -> ObjectStore:
    return ObjectStore(spaces)


#: How a scene's links stand in a record. Within a string a quote has a backslash before it: no text looks like this.
_VIDEO, _THUMBNAIL, _NEITHER = '"video_url":', '","thumbnail_url":"', 'null,"thumbnail_url":null'


@lru_cache(RECORDS_KEPT)
def _signed(text: str, generation_id: str, window: SigningWindow | None) -> str:
    """The record with its links signed; what is not as usual is read and written as a whole."""
    signed = _signed_in_place(text, generation_id, window)
    return json_codec.to_json(SignedLinks(window).generation(json_codec.from_json(text))) if signed is None else signed


def _signed_in_place(text: str, generation_id: str, window: SigningWindow | None) -> str | None:
    """The record with its links signed; None unless each scene has both of them, of its generation, or neither."""
    folder = f"/generations/{generation_id}/"
    ends = _iso(window.ends) if window else None
    before, *scenes = text.split(_VIDEO)
    parts = [before]
    for scene in scenes:
        if scene.startswith(_NEITHER):
            parts.append(f'{_NEITHER},"expires_at":null{scene.removeprefix(_NEITHER)}')
            continue
        video, _, rest = scene.partition(_THUMBNAIL)
        thumbnail, _, rest = rest.partition('"')
        if window is None or len(scene) - len(rest) > MOST_LINK_CHARACTERS:
            return None
        video_base, _, video = video.partition(folder)
        thumbnail_base, _, thumbnail = thumbnail.partition(folder)
        if not names_scene_object(video_base, video) or not names_scene_object(thumbnail_base, thumbnail):
            return None
        video, thumbnail = window.url(folder + video), window.url(folder + thumbnail)
        parts.append(f'"{video}{_THUMBNAIL}{thumbnail}","expires_at":"{ends}"{rest}')
    return _VIDEO.join(parts)


#: All links of a window end at the same time.
_iso = lru_cache(maxsize=2)(datetime.isoformat)


# ---------------------------------------------------------------- what is too large


def first_that_fits(record: Shown, *smaller: Callable[[Shown], Shown]) -> Shown:
    """The record, or else the first of these smaller ones of it, that the platform carries.

    Where none does, the last one's texts are cut, which always does: no row makes a list or itself unreadable.
    """
    shown = record
    for reduced in smaller:
        if json_codec.fits(json_codec.to_json(shown), MAX_RECORD_BYTES):
            return shown
        shown = reduced(record)
    fits = json_codec.fits(json_codec.to_json(shown), MAX_RECORD_BYTES)
    return shown if fits else {**with_short_texts(shown), "texts_cut": True}


def without_prompts(record: Shown) -> Shown:
    """Its variants' scenes without prompts, which are at each variant's scenes_url."""

    def of_variant(variant: Shown) -> Shown:
        scenes = [{name: scene[name] for name in scene if name != "sora_prompt"} for scene in variant["scenes"]]
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": scenes}

    return {**record, "prompts_omitted": True, "variants": [of_variant(variant) for variant in record["variants"]]}


def without_scenes(record: Shown) -> Shown:
    """Its variants without scenes, which are at each variant's scenes_url."""

    def of_variant(variant: Shown) -> Shown:
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": []}

    return {**record, "scenes_omitted": True, "variants": [of_variant(variant) for variant in record["variants"]]}


def without_metadata(generation: Shown) -> Shown:
    """The generation without metadata, which is at its metadata_urls, one for each kind there is."""
    kinds: Mapping[str, Any] = generation["metadata"]
    nothing = dict.fromkeys(kinds)
    base = f"/history/generations/{generation['id']}/metadata"
    links = {kind: f"{base}/{kind}" for kind, value in kinds.items() if value is not None}
    return {
        **generation,
        "metadata_omitted": True,
        "metadata_urls": links,
        "metadata": nothing,
        "generation_metadata": [{**row, **nothing} for row in generation["generation_metadata"]],
    }


def with_short_texts(record: Shown) -> Shown:
    """The record with its long texts cut, but for a prompt."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "…"
        if isinstance(value, list):
            return [cut(each) for each in cast("list[Any]", value)]
        return with_short_texts(cast("Shown", value)) if isinstance(value, dict) else value

    return {name: value if name == "sora_prompt" else cut(value) for name, value in record.items()}


def _scenes_url(variant: Mapping[str, Any]) -> str:
    return f"/history/variants/{variant['id']}/scenes"
