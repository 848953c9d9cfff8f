"""What the boxes of a file say before it is opened: whether it may be an mp4, and whether it broke off.

Whether it is a video is ffmpeg's to say: here nothing is judged that a player would play.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from generation_history.errors import SceneFailure

BOX_HEAD_BYTES: Final = 8
#: A file of 32 MB may be four million boxes; one of two hours in fragments of a second has 14,400.
MAX_BOXES: Final = 50_000
#: What stands before the first box that tells is padding.
MAX_FIRST_BOXES: Final = 64

#: No video is as large.
MAX_FIRST_BYTES: Final = 2**28

#: Boxes that tell an mp4, and a QuickTime film, from everything else (ISO/IEC 14496-12, 4.3 and 8.1).
_SIGNATURE_BOXES: Final = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx"})
_PADDING: Final = frozenset({b"free", b"skip", b"wide", b"pnot", b"uuid"})
#: Boxes without which a film is not whole.
_FILM: Final = frozenset({b"ftyp", b"moov", b"moof", b"mdat"})
_PICTURES: Final = frozenset({b"moof", b"mdat"})


def check_is_mp4(path: Path) -> None:
    """Guarantees that the file is made of boxes as an mp4 is; padding may stand before the first one that tells."""
    with path.open("rb") as file:
        head = file.read(BOX_HEAD_BYTES)
    if not (may_begin(head) or any(kind in _SIGNATURE_BOXES for kind, _ in _boxes(path, MAX_FIRST_BOXES))):
        raise SceneFailure("invalid_video", "the file is not an mp4: it has none of an mp4's boxes")


def may_begin(head: bytes) -> bool:
    """Whether a file that begins so may be an mp4."""
    # The letters of a text would be the length of half a gigabyte.
    return head[4:BOX_HEAD_BYTES] in _SIGNATURE_BOXES | _PADDING and int.from_bytes(head[:4]) < MAX_FIRST_BYTES


def is_whole(path: Path, *, length_is_known: bool) -> bool:
    """Whether nothing of the film broke off: its top-level boxes end within the file (ISO/IEC 14496-12, 4.2).

    What follows the film and is no box of it may be anything: players do not look at it. Where the file's length is
    not known, pictures without a moov box, which often comes last, are a film that broke off between two boxes.
    """
    kinds: set[bytes] = set()
    for kind, box_is_whole in _boxes(path, MAX_BOXES):
        if not box_is_whole:
            return kind not in _FILM and b"moov" in kinds and not _PICTURES.isdisjoint(kinds)
        kinds.add(kind)
    return length_is_known or b"moov" in kinds or _PICTURES.isdisjoint(kinds)


def _boxes(path: Path, limit: int) -> Iterator[tuple[bytes, bool]]:
    """The kind of each top-level box, at most so many, and whether all of it is there; crumbs after them are none."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb") as file:
        for _ in range(limit):
            file.seek(offset)
            head = file.read(16)
            if len(head) < BOX_HEAD_BYTES:
                return
            length = int.from_bytes(head[:4])
            if length == 1:
                length = int.from_bytes(head[8:16])
            if length == 0:
                # To the end of the file.
                length = size - offset
            if length < BOX_HEAD_BYTES:
                return
            offset += length
            yield head[4:BOX_HEAD_BYTES], offset <= size
            if offset >= size:
                return
