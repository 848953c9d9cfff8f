"""Archives: a generation's videos as one zip in the store: what would be in it, asking for it, and how it stands.

What an archive holds is settled when it is asked for and kept with its row, so that whoever builds it, and however
often, makes the same bytes. archive_builder.py builds, archive_queue.py is the builder's SQL.
"""

import hashlib
import json
from typing import Any, Final, Literal, TypedDict, cast
from uuid import UUID

from generation_history import bootstrap
from generation_history.archives.download_names import video_name
from generation_history.db.database import Database
from generation_history.errors import Conflict, NotFound
from generation_history.ids import uuid7
from generation_history.models import ArchiveFailureCode, Generation, Scene, Variant, VariantType
from generation_history.record.generation_reader import METADATA_KINDS, READ_FULL_GENERATION, row_id
from generation_history.storage.keys import owned_key

#: Another layout of the zip or its manifest is another number, and so another archive.
FORMAT: Final = 1

_OF_GENERATION: Final = (
    *("id", "source_video_url", "source_video_type", "status", "error_message", "variant_types", "cost_estimate"),
    *("actual_cost", "created_at", "completed_at"),
)
_OF_VARIANT: Final = ("id", "variant_type", "status", "error_message")
_OF_SCENE: Final = (
    *("id", "scene_number", "sora_prompt", "status", "error_code", "error_message", "attempt", "provider", "model"),
    *("size", "seconds", "sora_video_id", "created_at", "completed_at"),
)
_ARCHIVE: Final = """
    select a.id, a.state, a.key, a.fingerprint, a.videos, a.videos_done, a.bytes, a.bytes_done, a.size, a.error_code,
        a.error_message, a.expires_at, a.created_at = now() as new
    from archives a
    where a.generation_id = %(id)s and a.state <> 'removing' and (a.expires_at is null or a.expires_at > now())
    order by a.requested_at desc limit 1
"""


class ArchivedFile(TypedDict):
    """One video of an archive: its name there, and where its bytes are; size is null where nobody recorded it."""

    name: str
    variant_type: VariantType
    scene_number: int
    scene_id: str
    duration: int | None
    resolution: str | None
    size: int | None
    key: str
    made_at: str


class Contents(TypedDict):
    """All that an archive is made of: the record as its manifest shows it, and the videos."""

    format: int
    generation: dict[str, Any]
    files: list[ArchivedFile]


class Archive(TypedDict):
    """How an archive stands; new if it was asked for just now, outdated if the generation has changed since."""

    id: str
    state: Literal["queued", "building", "ready", "failed"]
    key: str
    videos: int
    videos_done: int
    bytes: int
    bytes_done: int
    size: int | None
    error_code: ArchiveFailureCode | None
    error_message: str | None
    expires_at: str | None
    source_video_url: str
    new: bool
    outdated: bool


class Archives:
    """The archives of one owner's generations."""

    def __init__(self, owner_id: UUID, *, db: Database | None = None) -> None:
        self._owner_id = owner_id
        self._db = db or bootstrap.record_database()

    def ask(self, generation_id: str) -> Archive:
        """The archive of what is stored by now, to be built unless it is there; a Conflict while nothing is stored.

        One that failed, or whose time is over, is built anew. One that was asked for before the generation changed and
        still waits gives way.
        """
        row_uuid = row_id(generation_id, "generation")
        generation, _ = self._read(row_uuid)
        contents = contents_of(generation)
        if not contents["files"]:
            raise Conflict("this generation has no stored video yet")
        current = fingerprint(contents)
        params: dict[str, Any] = {
            "id": row_uuid,
            "archive_id": uuid7(),
            "owner_id": self._owner_id,
            "fingerprint": current,
            "contents": json.dumps(contents, ensure_ascii=False),
            "videos": len(contents["files"]),
            "bytes": sum(file["size"] or 0 for file in contents["files"]),
        }
        # Askers take turns.
        lock = "select lock_live_generation(%(id)s, 'generation')"
        removal = """
            update archives set state = 'removing'
            where generation_id = %(id)s and (
                fingerprint = %(fingerprint)s and (state = 'failed' or state = 'ready' and expires_at <= now())
                or fingerprint <> %(fingerprint)s and state = 'queued')
        """
        insert = """
            insert into archives (id, generation_id, owner_id, fingerprint, contents, videos, bytes)
            values (%(archive_id)s, %(id)s, %(owner_id)s, %(fingerprint)s, %(contents)s, %(videos)s, %(bytes)s)
            on conflict (generation_id, fingerprint) where state <> 'removing' do update
                set requested_at = clock_timestamp()
        """
        query = "select row_to_json(r) as record from (" + _ARCHIVE + ") r"
        rows = self._db.run(self._owner_id, (lock, params), (removal, params), (insert, params), (query, params))
        return _archive(rows[0]["record"], generation, current)

    def read(self, generation_id: str) -> Archive:
        """The archive that was asked for last; NotFound where none was, or none is kept any more."""
        generation, archive = self._read(row_id(generation_id, "generation"))
        if archive is None:
            raise NotFound("no archive of this generation was asked for; POST asks for one")
        return _archive(archive, generation, fingerprint(contents_of(generation)))

    def _read(self, generation_id: UUID) -> tuple[Generation, dict[str, Any] | None]:
        query = (
            "select g.record, row_to_json(a) as archive from ("
            + READ_FULL_GENERATION
            + ") g left join lateral ("
            + _ARCHIVE
            + ") a on true"
        )
        rows = self._db.run(self._owner_id, (query, {"id": generation_id}))
        if not rows:
            raise NotFound("no such generation")
        return rows[0]["record"], rows[0]["archive"]


def _archive(row: dict[str, Any], generation: Generation, current: str) -> Archive:
    outdated = row.pop("fingerprint") != current
    return cast("Archive", {**row, "source_video_url": generation["source_video_url"], "outdated": outdated})


def contents_of(generation: Generation) -> Contents:
    """What an archive of the generation, read whole, would hold now.

    A video that lies elsewhere, because its caller recorded a URL of its own, is told of and not in it.
    """
    metadata_rows = generation.get("generation_metadata", [])
    variants = generation.get("variants", [])
    files = [
        file
        for variant in variants
        for scene in variant.get("scenes", [])
        if (file := _file(generation, variant, scene)) is not None
    ]
    names = {file["scene_id"]: file["name"] for file in files}
    record = {
        **_some(generation, _OF_GENERATION),
        "metadata": {kind: metadata_rows[0][kind] if metadata_rows else None for kind in METADATA_KINDS},
        "variants": [
            {
                **_some(variant, _OF_VARIANT),
                "scenes": [
                    {**_some(scene, _OF_SCENE), "file": names.get(scene["id"])} for scene in variant.get("scenes", [])
                ],
            }
            for variant in variants
        ],
    }
    return {"format": FORMAT, "generation": record, "files": files}


def _some(row: Generation | Variant | Scene, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: cast("dict[str, Any]", row).get(name) for name in names}


def _file(generation: Generation, variant: Variant, scene: Scene) -> ArchivedFile | None:
    key = owned_key(scene["video_url"], generation["id"]) if scene["video_url"] else None
    if key is None or scene["status"] != "completed":
        return None
    return {
        "name": video_name(generation["source_video_url"], variant["variant_type"], scene["scene_number"]),
        "variant_type": variant["variant_type"],
        "scene_number": scene["scene_number"],
        "scene_id": scene["id"],
        "duration": scene["duration"],
        "resolution": scene["resolution"],
        "size": scene["file_size"],
        "key": key,
        "made_at": scene["completed_at"] or scene["created_at"],
    }


def fingerprint(contents: Contents) -> str:
    """Names these contents and no others."""
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
