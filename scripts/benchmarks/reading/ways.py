"""The record asked for otherwise: as plainly as can be, and as the old system did. Both pass row level security by."""

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, LiteralString, Protocol, Self, cast
from urllib.parse import urlsplit

import psycopg
from boto3.session import Session
from botocore.config import Config
from psycopg.rows import dict_row
from typing_extensions import override

from scripts.benchmarks.reading import outlines
from scripts.benchmarks.reading.live_stats import live_stats
from scripts.benchmarks.reading.outlines import Outline

Record = dict[str, Any]

_VARIANT_ORDER: LiteralString = "array_position(array['soft', 'medium', 'aggressive', 'ultra'], variant_type::text)"


@dataclass(frozen=True)
class Page:
    """So many generations of an owner that meet a condition, newest first, after so many others."""

    owner: uuid.UUID
    limit: int
    where: LiteralString = "true"
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    skip: int = 0


class Way(Protocol):
    """A way to ask for what the functions answer."""

    def page(self, page: Page) -> Outline:
        """A page of generations, whole."""
        ...

    def generation(self, generation_id: uuid.UUID) -> Outline:
        """One generation, whole."""
        ...

    def variants(self, generation_id: uuid.UUID) -> Outline:
        """The variants of a generation."""
        ...

    def scenes(self, variant_id: uuid.UUID) -> Outline:
        """The scenes of a variant."""
        ...

    def stats(self, owner: uuid.UUID) -> Outline:
        """The totals of an owner."""
        ...

    def video(self, scene_id: uuid.UUID) -> Outline:
        """Where a scene's video is."""
        ...


class _Asking:
    """Something that asks the database with SQL of its own."""

    def __init__(self, admin_url: str) -> None:
        self._connection = psycopg.Connection[Record].connect(admin_url, autocommit=True, row_factory=dict_row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def stats(self, owner: uuid.UUID) -> Outline:
        """The statistics of an owner, counted now."""
        return outlines.stats(live_stats(self._rows, owner))

    def _rows(self, query: LiteralString, **parameters: object) -> list[Record]:
        return self._connection.execute(query, parameters).fetchall()

    def _page(self, columns: LiteralString, page: Page) -> list[Record]:
        query = "select " + columns + " from generations g where owner_id = %(owner)s and deleted_at is null and ("
        query += page.where + ") order by created_at desc, id desc limit %(limit)s offset %(skip)s"
        return self._rows(query, owner=page.owner, limit=page.limit, skip=page.skip, **page.parameters)


class Plain(_Asking, Way):
    """One flat query for a kind of row, put together here."""

    def position(self, page: Page) -> tuple[str, str]:
        """The created_at and id of the last generation before a page."""
        (row,) = self._page("created_at, id", Page(page.owner, 1, page.where, page.parameters, page.skip - 1))
        return row["created_at"].isoformat(), str(row["id"])

    def count(self, page: Page) -> int:
        """How many generations meet a page's condition."""
        query = "select count(*) as count from generations g where owner_id = %(owner)s and deleted_at is null and ("
        (row,) = self._rows(query + page.where + ")", owner=page.owner, **page.parameters)
        return row["count"]

    def one_with_attempts(self, page: Page) -> uuid.UUID:
        """A generation of a page whose scenes have attempts."""
        query = """
            select v.generation_id
            from variants v join scenes s on s.variant_id = v.id join attempts a on a.scene_id = s.id
            where v.generation_id = any (%(ids)s) limit 1
        """
        (match,) = self._rows(query, ids=[row["id"] for row in self._page("id", page)])
        return match["generation_id"]

    @override
    def page(self, page: Page) -> Outline:
        ids = [row["id"] for row in self._page("id", page)]
        parts = self._parts(ids)
        return tuple((str(generation_id), parts[generation_id]) for generation_id in ids)

    @override
    def generation(self, generation_id: uuid.UUID) -> Outline:
        return (str(generation_id), self.variants(generation_id))

    @override
    def variants(self, generation_id: uuid.UUID) -> Outline:
        return self._parts([generation_id])[generation_id]

    def _parts(self, generation_ids: list[uuid.UUID]) -> dict[uuid.UUID, Outline]:
        query = (
            "select v.generation_id, v.id as variant_id, s.id from variants v left join scenes s on s.variant_id = v.id"
            " where v.generation_id = any (%(ids)s) order by v.generation_id, " + _VARIANT_ORDER + ", s.scene_number"
        )
        parts: dict[uuid.UUID, Outline] = dict.fromkeys(generation_ids, ())
        rows = self._rows(query, ids=generation_ids)
        for (generation_id, variant_id), group in itertools.groupby(rows, _generation_and_variant):
            scene_ids = tuple(str(row["id"]) for row in group if row["id"])
            parts[generation_id] = (*parts[generation_id], (str(variant_id), scene_ids))
        return parts

    @override
    def scenes(self, variant_id: uuid.UUID) -> Outline:
        rows = self._rows("select id from scenes where variant_id = %(id)s order by scene_number", id=variant_id)
        return tuple(str(row["id"]) for row in rows)

    @override
    def video(self, scene_id: uuid.UUID) -> Outline:
        (row,) = self._rows("select video_url from scenes where id = %(id)s", id=scene_id)
        return outlines.place(row["video_url"])


def _generation_and_variant(row: Record) -> tuple[uuid.UUID, uuid.UUID]:
    return row["generation_id"], row["variant_id"]


class OldWay(_Asking, Way):
    """A query a generation and a variant, whole rows, offsets, statistics counted when asked; boto3 signs each URL.

    Its answers are rendered as JSON too, and shown as outlines.
    """

    @override
    def page(self, page: Page) -> Outline:
        generations = self._page("*", page)
        for generation in generations:
            generation["variants"] = self._variants(generation["id"])
        return outlines.generations(_rendered(generations))

    @override
    def generation(self, generation_id: uuid.UUID) -> Outline:
        (generation,) = self._rows("select * from generations where id = %(id)s", id=generation_id)
        generation["variants"] = self._variants(generation_id)
        query = "select * from generation_metadata where generation_id = %(id)s"
        generation["generation_metadata"] = self._rows(query, id=generation_id)
        return outlines.generation(_rendered(generation))

    @override
    def variants(self, generation_id: uuid.UUID) -> Outline:
        return outlines.variants(_rendered(self._variants(generation_id)))

    @override
    def scenes(self, variant_id: uuid.UUID) -> Outline:
        return outlines.scenes(_rendered(self._scenes(variant_id)))

    @override
    def video(self, scene_id: uuid.UUID) -> Outline:
        (scene,) = self._rows("select * from scenes where id = %(id)s", id=scene_id)
        return outlines.place(_signed(scene["video_url"]))

    def _variants(self, generation_id: uuid.UUID) -> list[Record]:
        query = "select * from variants where generation_id = %(id)s order by " + _VARIANT_ORDER
        variants = self._rows(query, id=generation_id)
        for variant in variants:
            variant["scenes"] = self._scenes(variant["id"])
        return variants

    def _scenes(self, variant_id: uuid.UUID) -> list[Record]:
        scenes = self._rows("select * from scenes where variant_id = %(id)s order by scene_number", id=variant_id)
        for scene in scenes:
            for name in ("video_url", "thumbnail_url"):
                scene[name] = scene[name] and _signed(scene[name])
        return scenes


def _signed(url: str) -> str:
    params = {"Bucket": "soraking-videos", "Key": urlsplit(url).path[1:]}
    return _s3().generate_presigned_url("get_object", Params=params, ExpiresIn=3600)


@cache
def _s3() -> Any:
    return cast("Any", Session()).client(
        "s3",
        region_name="nyc3",
        endpoint_url="https://nyc3.digitaloceanspaces.com",
        aws_access_key_id="bench",
        aws_secret_access_key="bench-secret",  # noqa: S106
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )


def _rendered(value: object) -> Any:
    """What whoever gets the answer reads."""
    return json.loads(json.dumps(value, default=str))
