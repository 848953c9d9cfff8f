"""An older installation as it really is: its tables, filled with odd rows, its objects and its logs."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

LONG_AGO = datetime(2025, 11, 3, 10, 0, tzinfo=UTC)
TABLES = ("generations", "variants", "scenes", "generation_metadata")
HOST = "https://soraking-videos.nyc3.digitaloceanspaces.com"
#: As that installation has them: nearly everything may be null, and nothing is checked.
_SCHEMA = """
    create schema {0};
    create table {0}.generations (
        id uuid primary key, source_video_url text not null, source_video_type varchar(50), status varchar(50) not null,
        total_variants integer not null, variant_types text[] not null, cost_estimate numeric(10, 2),
        actual_cost numeric(10, 2), error_message text, created_at timestamptz, updated_at timestamptz,
        completed_at timestamptz);
    create table {0}.variants (
        id uuid primary key, generation_id uuid not null references {0}.generations on delete cascade,
        variant_type varchar(50) not null, status varchar(50) not null, scenes_completed integer, total_scenes integer,
        error_message text, created_at timestamptz, updated_at timestamptz, completed_at timestamptz);
    create table {0}.scenes (
        id uuid primary key, variant_id uuid not null references {0}.variants on delete cascade,
        scene_number integer not null, sora_prompt text not null, sora_video_id varchar(255), sora_status varchar(50),
        video_url text, thumbnail_url text, duration integer, resolution varchar(50), file_size bigint,
        status varchar(50) not null, error_message text, created_at timestamptz, updated_at timestamptz,
        completed_at timestamptz);
    create table {0}.generation_metadata (
        id uuid primary key, generation_id uuid not null references {0}.generations on delete cascade,
        original_analysis jsonb, transformation_data jsonb, prompts_data jsonb, evaluation_data jsonb,
        created_at timestamptz, updated_at timestamptz);
    create table {0}.events (
        id bigint generated always as identity, session_id text, level text, message text, data jsonb,
        "timestamp" timestamptz default now());
"""


@dataclass
class OldInstallation:
    """Its tables in a schema, and its objects, put by put(key, bytes)."""

    connection: psycopg.Connection
    put: Callable[[str, bytes], None]
    film: bytes
    logs: Path
    schema: str = "old"
    #: By what is odd about it, the id of its generation.
    named: dict[str, uuid.UUID] = field(default_factory=dict)

    def create(self, reader: str = "history_migrate") -> None:
        """Make the tables, each with the policy that lets everyone do everything; the reader owns them."""
        self.connection.execute(_SCHEMA.format(self.schema))
        self.connection.execute(f"grant usage on schema {self.schema} to {reader}")
        for table in (*TABLES, "events"):
            self.connection.execute(f"alter table {self.schema}.{table} enable row level security")
            self.connection.execute(f"create policy everything on {self.schema}.{table} using (true)")
            self.connection.execute(f"alter table {self.schema}.{table} owner to {reader}")

    # ------------------------------------------------------------ rows

    def generation(self, *variant_types: str, **values: Any) -> uuid.UUID:
        usual = {
            "source_video_url": "https://video.example/ad",
            "source_video_type": "url",
            "status": "completed",
            "variant_types": list(variant_types or ("soft",)),
            "total_variants": len(variant_types or ("soft",)),
            "cost_estimate": Decimal("0.77"),
            "actual_cost": Decimal("0.96"),
            "completed_at": LONG_AGO + timedelta(minutes=5),
        }
        return self._insert("generations", usual | values)

    def variant(self, generation_id: uuid.UUID, variant_type: str = "soft", **values: Any) -> uuid.UUID:
        usual = {"status": "completed", "scenes_completed": 1, "total_scenes": 1, "completed_at": LONG_AGO}
        return self._insert("variants", {"generation_id": generation_id, "variant_type": variant_type} | usual | values)

    def scene(self, variant_id: uuid.UUID, number: int = 1, **values: Any) -> uuid.UUID:
        usual = {"sora_prompt": f"scene {number}", "status": "pending"}
        return self._insert("scenes", {"variant_id": variant_id, "scene_number": number} | usual | values)

    def metadata(self, generation_id: uuid.UUID, **values: Any) -> uuid.UUID:
        return self._insert("generation_metadata", {"generation_id": generation_id} | values)

    def stored(
        self, generation_id: uuid.UUID, variant_id: uuid.UUID, number: int = 1, folder: str = "soft", **values: Any
    ) -> uuid.UUID:
        """A completed scene whose video and thumbnail are in the bucket, where its row says."""
        key = f"generations/{generation_id}/{folder}/scene_{number}"
        self.put(f"{key}.mp4", self.film)
        self.put(f"{key}_thumb.jpg", b"\xff\xd8thumbnail")
        usual = {
            "video_url": f"{HOST}/{key}.mp4",
            "thumbnail_url": f"{HOST}/{key}_thumb.jpg",
            "duration": 2,
            "resolution": "160x90",
            "file_size": len(self.film),
            "sora_video_id": f"video_{uuid.uuid4().hex}",
            "status": "completed",
            "completed_at": LONG_AGO,
        }
        return self.scene(variant_id, number, **(usual | values))

    def whole(self, *variant_types: str, scenes: int = 1, **values: Any) -> uuid.UUID:
        """A completed generation with videos, of which nothing is odd but the values that are said."""
        generation_id = self.generation(*variant_types, **values)
        for kind in variant_types or ("soft",):
            variant_id = self.variant(generation_id, kind, scenes_completed=scenes, total_scenes=scenes)
            for number in range(1, scenes + 1):
                self.stored(generation_id, variant_id, number, kind)
        return generation_id

    def unstored(self, **values: Any) -> uuid.UUID:
        """As its pipeline really left each of them: completed, and the scene waits for ever."""
        generation_id = self.generation(**values)
        variant_id = self.variant(
            generation_id, status="pending", scenes_completed=0, total_scenes=4, completed_at=None
        )
        self.scene(variant_id)
        return generation_id

    def session(self, name: str, number: int = 1, time: str = "20251103_100000", kind: str = "") -> str:
        """The key of a video under sessions/."""
        key = f"sessions/{name}/generated/{time}_{kind}scene_{number:02d}.mp4"
        self.put(key, self.film)
        return key

    def log(self, session: str, generation_id: uuid.UUID) -> None:
        folder = self.logs / session
        folder.mkdir(parents=True)
        (folder / "pipeline.log").write_text(
            f"2025-11-03 10:00:00 | INFO     | Pipeline session started\n"
            f"2025-11-03 10:00:01 | INFO     | Generation tracking started: {generation_id}\n"
        )
        (folder / "events.json").write_text('[{"message": "broken off')

    def event(self, session: str, generation_id: uuid.UUID) -> None:
        self.connection.execute(
            f"insert into {self.schema}.events (session_id, level, message, data) values (%s, 'INFO', %s, %s)",
            [session, "Pipeline session created", Jsonb({"generation_id": str(generation_id)})],
        )

    def _insert(self, table: str, values: dict[str, Any]) -> uuid.UUID:
        row = {"id": uuid.uuid4(), "created_at": LONG_AGO, "updated_at": LONG_AGO + timedelta(minutes=6)} | values
        columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.connection.execute(f"insert into {self.schema}.{table} ({columns}) values ({places})", list(row.values()))
        return row["id"]

    # ------------------------------------------------------------ all of it

    def rows(self) -> Iterator[tuple[str, uuid.UUID]]:
        """Table and id of every row."""
        for table in TABLES:
            for (row_id,) in self.connection.execute(f"select id from {self.schema}.{table}").fetchall():
                yield table, row_id

    def fill(self, generations: int = 53) -> None:
        """So many generations, one for each oddity, and the rest as they should be."""
        for odd in (self._odd_generations, self._odd_variants, self._odd_scenes, self._odd_objects, self._odd_metadata):
            odd()
        assert len(self.named) <= generations
        while len(self.named) < generations:
            self.named[f"as it should be {len(self.named)}"] = self.whole()

    def _odd_generations(self) -> None:
        make = self.named
        for number in range(3):
            make[f"failed with completed_at {number}"] = self.unstored(status="failed", error_message="no")
        make["processing of last year"] = self.unstored(status="processing", actual_cost=None, completed_at=None)
        make["pending of last year"] = self.unstored(status="pending", actual_cost=None, completed_at=None)
        make["unknown type"] = self.whole("extreme")
        make["no types"] = self.generation(variant_types=[], total_variants=0)
        make["types of the variants alone"] = self.whole(variant_types=[], total_variants=0)
        make["type in capitals"] = self.whole("Medium")
        make["total_variants wrong"] = self.whole(total_variants=4)
        make["a type twice"] = self.whole(variant_types=["soft", "soft"], total_variants=2)
        make["status unknown"] = self.whole(status="done")
        make["status in capitals"] = self.whole(status="Completed")
        make["no source"] = self.whole(source_video_url="")
        make["long source"] = self.whole(source_video_url="data:" + "x" * 5_000)
        make["negative cost"] = self.whole(actual_cost=Decimal(-1), cost_estimate=Decimal("NaN"))
        make["no created_at"] = self.whole(created_at=None)
        make["no time at all"] = self.whole(created_at=None, updated_at=None, completed_at=None)
        make["no completed_at"] = self.whole(completed_at=None)
        make["no source type"] = self.whole(source_video_type=None)

    def _odd_variants(self) -> None:
        make = self.named
        make["a variant of unknown type"] = one = self.whole()
        self.scene(self.variant(one, "extreme"))
        make["a variant twice"] = one = self.whole()
        self.scene(self.variant(one, scenes_completed=0, total_scenes=4), 1)
        make["scenes_completed null"] = one = self.generation()
        self.stored(one, self.variant(one, scenes_completed=None, total_scenes=None))
        make["more completed than total"] = one = self.generation()
        self.stored(one, self.variant(one, scenes_completed=5, total_scenes=4))
        make["a variant's status unknown"] = one = self.generation()
        self.stored(one, self.variant(one, status="Done"))

    def _odd_scenes(self) -> None:
        odd = {
            "failed with a time": {"status": "failed", "completed_at": LONG_AGO, "sora_video_id": "video_1"},
            "a long prompt": {"sora_prompt": "p" * 32_001},
            "negative sizes": {"duration": -1, "file_size": -1},
            "completed without a video": {"status": "completed", "completed_at": LONG_AGO},
            "an empty URL": {"status": "completed", "video_url": "", "thumbnail_url": ""},
            "a video elsewhere": {"status": "completed", "video_url": "https://cdn.example/v.mp4", "file_size": 7},
            "a job's id that is none": {"sora_video_id": "../video_1"},
        }
        for name, values in odd.items():
            self.named[name] = one = self.generation()
            self.scene(self.variant(one), **values)
        self.named["number 0"] = one = self.generation()
        variant = self.variant(one)
        self.stored(one, variant, 0)
        self.stored(one, variant, 1)
        self.named["a number twice"] = one = self.generation()
        variant = self.variant(one)
        self.stored(one, variant, 1)
        self.scene(variant, 1)

    def _odd_objects(self) -> None:
        make = self.named
        make["wrong size"] = one = self.generation()
        self.stored(one, self.variant(one), file_size=1)
        make["bare"] = one = self.generation()
        bare = dict.fromkeys(("thumbnail_url", "duration", "resolution", "file_size"))
        self.stored(one, self.variant(one), **bare)
        make["no such object"] = one = self.generation()
        url = f"{HOST}/generations/{one}/soft/scene_1.mp4"
        self.scene(self.variant(one), status="completed", completed_at=LONG_AGO, video_url=url)
        make["session by log"] = self.unstored()
        self.log("session_1", make["session by log"])
        self.session("session_1")
        make["session by event"] = self.unstored()
        self.event("session_2", make["session by event"])
        self.session("session_2")
        self.session("session_2", time="20251103_110000")
        self.session("session_3")

    def _odd_metadata(self) -> None:
        make = self.named
        make["metadata twice"] = one = self.whole()
        self.metadata(one, original_analysis=Jsonb({"old": 1}), prompts_data=Jsonb({"kept": 1}))
        later = {"updated_at": LONG_AGO + timedelta(hours=1)}
        self.metadata(one, original_analysis=Jsonb({"new": 1}), **later)
        make["metadata as a text"] = one = self.whole()
        self.metadata(one, original_analysis=Jsonb(json.dumps({"hook": "fast"})), evaluation_data=Jsonb("just a word"))
        make["metadata with NaN"] = one = self.whole()
        self.metadata(one, original_analysis=Jsonb('{"score": NaN}'), prompts_data=Jsonb('{"text": "a\\u0000b"}'))
