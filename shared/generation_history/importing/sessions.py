"""Sessions: which generation a session of the older installation was of, and the videos that lie under sessions/.

Its pipeline put videos under sessions/SESSION/generated/ and never named them in a row. The link is in its logs
(pipeline.log, events.json) and in its table of events.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from generation_history.errors import NotConfigured
from generation_history.importing.report import Decisions, Line
from generation_history.models import VARIANT_TYPES
from generation_history.storage.listing import StoredObject

PREFIX: Final = "sessions/"
LOGS: Final = ("pipeline.log", "events.json")
_TOLD: Final = re.compile(
    r"(?:generation tracking started: *|generation_id[\\\"' ]*[:=][\\\"' ]*)"
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b",
    re.IGNORECASE,
)
_VIDEO: Final = re.compile(r"sessions/(?P<session>[^/]+)/generated/(?P<name>[^/]*_?scene_(?P<number>\d{1,4}))\.mp4")


@dataclass(frozen=True)
class SessionVideo:
    """A scene's video under sessions/: its scene's number, and the variant's type where the name has one."""

    object: StoredObject
    number: int
    variant_type: str | None


class Links:
    """Which generation each session is of."""

    def __init__(self) -> None:
        self._generations: dict[str, set[UUID]] = defaultdict(set)

    def add_text(self, session: str, text: str) -> None:
        """A line of a log, or an event, that may tell it."""
        self._generations[session].update(UUID(found) for found in _TOLD.findall(text))

    def add_logs(self, folder: Path) -> None:
        """What the folder's sessions tell, a folder each; NotConfigured where there is no such folder."""
        if not folder.is_dir():
            raise NotConfigured(f"--logs: there is no folder {folder}")
        for session in sorted(path for path in folder.iterdir() if path.is_dir()):
            for log in (session / name for name in LOGS):
                if log.is_file():
                    with log.open(encoding="utf-8", errors="replace") as lines:
                        for line in lines:
                            self.add_text(session.name, line)

    def of(self, session: str) -> set[UUID]:
        """The generations that the session is said to be of: one, if all is well."""
        return self._generations.get(session, set())


class SessionVideos:
    """The videos under sessions/ by their generation; what cannot be one is in lines."""

    def __init__(self) -> None:
        self._videos: dict[UUID, list[SessionVideo]] = {}
        #: All that lies under sessions/, by its key.
        self.objects: dict[str, StoredObject] = {}
        self.lines: list[Line] = []

    def find(self, objects: Iterable[StoredObject], links: Links) -> None:
        """Each object is a generation's video, or has a line that says why it stays where it is."""
        told = Decisions()
        for found in objects:
            self.objects[found.key] = found
            match = _VIDEO.fullmatch(found.key)
            generations = links.of(found.key.split("/")[1])
            if match is None:
                told.note("session_object", "objects", found.key)
            elif len(generations) != 1:
                why = "session_ambiguous" if generations else "session_unlinked"
                told.note(why, "objects", found.key, " ".join(sorted(map(str, generations))))
            else:
                video = SessionVideo(found, int(match["number"]), _variant_type(match["name"]))
                self._videos.setdefault(next(iter(generations)), []).append(video)
        self.lines = told.lines

    def of(self, generation_id: UUID) -> list[SessionVideo]:
        """The generation's videos, the newest of each scene first: a name begins with its time."""
        return sorted(self._videos.pop(generation_id, ()), key=lambda video: video.object.key, reverse=True)

    def left(self) -> Iterator[Line]:
        """A line for each video whose generation is not in the older installation's record."""
        yield from videos_left(self._videos, "session_foreign")


def videos_left(videos: Mapping[UUID, Sequence[SessionVideo]], reason: str) -> Iterator[Line]:
    """A line for each of these generations' videos, which stay where they are for this reason."""
    for generation_id, found in sorted(videos.items()):
        told = Decisions(generation_id)
        for video in found:
            told.note(reason, "objects", video.object.key, generation_id)
        yield from told.lines


def _variant_type(name: str) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((kind for kind in VARIANT_TYPES if kind in words), None)
