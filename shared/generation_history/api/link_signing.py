"""Records as HTTP shows them: with links that open for a while to whoever has them."""

from datetime import datetime
from functools import cached_property, lru_cache
from typing import cast

from generation_history import bootstrap, json_codec
from generation_history.api.fast_link_signing import has_links, iso, sign_in_place
from generation_history.api.trimming import HttpRecord
from generation_history.archives.archives import Archive
from generation_history.archives.download_names import archive_name, attachment
from generation_history.errors import ArchiveFailed
from generation_history.models import Generation, Scene, Variant
from generation_history.storage.keys import owned_key
from generation_history.storage.signing import SigningWindow

#: A page asked for again within the signing window costs no signing. Mostly these take some 8 MB, at the worst 40.
MAX_CACHED_RECORDS = 400
MAX_CACHED_CHARACTERS = 32_000


class SignedLinks:
    """Shows records with their links signed, all in one signing window.

    The settings of the store are read once, and only when there is a link to sign.
    """

    def __init__(self, window: SigningWindow | None = None) -> None:
        """Sign within this window, by default the one that it is."""
        self._fixed_window = window

    def generation(self, generation: Generation) -> HttpRecord:
        """The generation with its scenes' links signed, in place: a page has thousands of values to copy."""
        for variant in generation.get("variants", []):
            self.variant(variant)
        return cast("HttpRecord", generation)

    def variant(self, variant: Variant) -> HttpRecord:
        """The variant with its scenes' links signed, in place."""
        generation_id = variant["generation_id"]
        for scene in variant.get("scenes", []):
            self.scene(scene, generation_id)
        return cast("HttpRecord", variant)

    def scene(self, scene: Scene, generation_id: str) -> HttpRecord:
        """The scene as HTTP shows it, in place: video_url and thumbnail_url open to whoever has them, until expires_at.

        When the provider's own copy expires is provider_expires_at.
        """
        record = cast("HttpRecord", scene)
        if "expires_at" in record:
            record["provider_expires_at"] = record["expires_at"]
        record["expires_at"] = None
        for name in ("video_url", "thumbnail_url"):
            if link := self.link(record[name], generation_id):
                record[name], record["expires_at"] = link
        for attempt in scene.get("attempts", []):
            for name in ("video_url", "thumbnail_url"):
                if link := self.link(attempt[name], generation_id):
                    cast("HttpRecord", attempt)[name] = link[0]
        return record

    def link(self, url: str | None, generation_id: str) -> tuple[str, str] | None:
        """A link to what a row's URL names, and when it ends; None where that is no object of the row's generation."""
        key = owned_key(url, generation_id) if url else None
        return (self._window.url(f"/{key}"), iso(self._window.ends)) if key else None

    def record(self, text: str, generation_id: str) -> str:
        """A generation's record, JSON text as the database makes it, with its scenes' links signed as by generation().

        A page has hundreds of scenes: signing where the links stand takes a third of reading and writing it all.
        """
        window = self._window if has_links(text) else None
        # Anything else takes up to four bytes a character.
        is_cacheable = len(text) <= MAX_CACHED_CHARACTERS and text.isascii()
        return (_signed if is_cacheable else _signed.__wrapped__)(text, generation_id, window)

    @cached_property
    def _window(self) -> SigningWindow:
        return self._fixed_window or bootstrap.object_store().signing_window()


def download_link(url: str | None, generation_id: str, disposition: str) -> tuple[str, str] | None:
    """A link that has a browser keep what a row's URL names, and when it ends; None as SignedLinks.link."""
    key = owned_key(url, generation_id) if url else None
    if key is None:
        return None
    link, expires_at = bootstrap.object_store().signed_url(key, disposition=disposition)
    return link, iso(expires_at)


def archive_link(archive: Archive) -> tuple[str, datetime]:
    """A link that downloads an archive that is ready, and when it ends: not later than the archive itself."""
    disposition = attachment(archive_name(archive["source_video_url"]))
    url, expires_at = bootstrap.object_store().signed_url(archive["key"], disposition=disposition)
    archive_expires_at = archive["expires_at"]
    return url, min(expires_at, datetime.fromisoformat(archive_expires_at)) if archive_expires_at else expires_at


def archive_progress(archive: Archive) -> HttpRecord:
    """How an archive stands, as HTTP shows it: with a link once its status is ready; ArchiveFailed where it failed."""
    state, code = archive["state"], archive["error_code"]
    if state == "ready":
        url, expires_at = archive_link(archive)
        file_facts = {"size": archive["size"], "videos": archive["videos"], "outdated": archive["outdated"]}
        return {"status": "ready", "url": url, "expires_at": expires_at.isoformat(), **file_facts}
    if state == "failed" and code:
        raise ArchiveFailed(code, f"{code}: the archive could not be made: {archive['error_message']}")
    progress = {name: archive[name] for name in ("videos", "videos_done", "bytes", "bytes_done")}
    return {"status": state, **progress, "outdated": archive["outdated"]}


@lru_cache(MAX_CACHED_RECORDS)
def _signed(text: str, generation_id: str, window: SigningWindow | None) -> str:
    """The record with its links signed; what is not as usual is read and written as a whole."""
    signed_text = sign_in_place(text, generation_id, window)
    return (
        json_codec.to_json(SignedLinks(window).generation(json_codec.from_json(text)))
        if signed_text is None
        else signed_text
    )
