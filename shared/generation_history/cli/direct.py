"""The record straight in its database: DATABASE_URL and HISTORY_OWNER_ID, without an API between."""

from typing import Any, cast

from generation_history import bootstrap, json_codec
from generation_history.api.link_signing import SignedLinks, archive_progress, download_link
from generation_history.api.pagination import Filters as ListFilters
from generation_history.api.pagination import read_cursor, write_cursor
from generation_history.archives.archives import Archive, Archives
from generation_history.archives.download_names import attachment, video_name
from generation_history.cli.history import Answer, Filters
from generation_history.errors import NotConfigured, NotFound
from generation_history.record.columns import GENERATION
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.wakeup import wake_poller


class _NoLinks(SignedLinks):
    """Where no bucket is configured here, records keep their plain URLs."""

    def link(self, url: str | None, generation_id: str) -> tuple[str, str] | None:  # noqa: ARG002
        """None, for any URL."""
        return None


class DirectHistory:
    """The record of the owner that HISTORY_OWNER_ID names; answers are those of the API, and none is too large."""

    def __init__(self) -> None:
        self._manager = GenerationManager()

    def list_page(self, filters: Filters, *, limit: int, cursor: str | None = None) -> Answer:
        """A page of generations, newest first."""
        narrowed = cast(
            "ListFilters",
            {
                "statuses": sorted(set(filters.get("status") or ())) or None,
                **{name: filters.get(name) for name in ("variant_type", "created_from", "created_to", "q")},
            },
        )
        bound: dict[str, Any] = {"list": "generations", **narrowed}
        after = read_cursor(cursor, bound)
        records, total = self._manager.list_records(GENERATION, limit + 1, after=after, **narrowed)
        links = _links()
        shown = [links.generation(json_codec.from_json(text)) for _, text in records[:limit]]
        more = len(records) > limit
        return {
            "success": True,
            "count": len(shown),
            "total": total,
            "next_cursor": write_cursor((shown[-1]["created_at"], shown[-1]["id"]), bound) if more else None,
            "next_offset": len(shown) if more and after is None else None,
            "generations": shown,
        }

    def get_generation(self, generation_id: str) -> Answer:
        """One generation whole."""
        generation = self._manager.get_generation(generation_id)
        if generation is None:
            raise NotFound("no such generation")
        return {"success": True, "generation": _links().generation(generation)}

    def variants_of(self, generation: Answer) -> list[Answer]:
        """The generation's variants, which have all their scenes."""
        return generation["variants"]

    def get_stats(self) -> Answer:
        """Totals over everything that is not deleted."""
        return {"success": True, "stats": self._manager.get_stats()}

    def fail_generation(self, generation_id: str, reason: str) -> Answer:
        """The generation, failed."""
        return {
            "success": True,
            "generation": self._manager.update_generation_status(generation_id, "failed", reason),
        }

    def delete_generation(self, generation_id: str) -> Answer:
        """A message that the generation is hidden."""
        if not self._manager.delete_generation(generation_id):
            raise NotFound("no such generation")
        return {"success": True, "message": "Generation deleted"}

    def restore_generation(self, generation_id: str) -> Answer:
        """A message that the deleted generation is back."""
        if not self._manager.restore_generation(generation_id):
            raise NotFound("no such generation was deleted, or it is gone for good")
        return {"success": True, "message": "Generation restored"}

    def retry_scene(self, scene_id: str, *, confirmed: bool) -> Answer:
        """The failed scene, pending again."""
        scene = self._manager.retry_scene(scene_id, confirmed=confirmed)
        return {"success": True, "scene": _links().scene(scene, scene.get("generation_id", ""))}

    def ask_for_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands, which a poller makes if it is not there."""
        archive = Archives(self._manager.owner_id).ask(generation_id)
        if archive["new"]:
            wake_poller()
        return _progress(generation_id, archive)

    def get_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands."""
        return _progress(generation_id, Archives(self._manager.owner_id).read(generation_id))

    def video_link(self, scene_id: str) -> str:
        """A signed link to the scene's stored video."""
        scene = self._manager.get_scene(scene_id, with_source=True)
        name = video_name(scene.get("source_video_url", ""), scene.get("variant_type", ""), scene["scene_number"])
        link = download_link(scene["video_url"], scene.get("generation_id", ""), attachment(name))
        if link is None:
            raise NotFound("this scene has no stored video")
        return link[0]


def _links() -> SignedLinks:
    """Links are signed where the settings name a bucket: reading the record needs none."""
    try:
        bootstrap.object_store()
    except NotConfigured:
        return _NoLinks()
    return SignedLinks()


def _progress(generation_id: str, archive: Archive) -> Answer:
    progress = archive_progress(archive)
    if progress["status"] == "ready":
        return {"success": True, **progress}
    return {"success": True, **progress, "status_url": f"/api/history/generations/{generation_id}/download"}
