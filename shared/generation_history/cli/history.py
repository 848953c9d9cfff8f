"""What the commands ask of a record, whether they reach it over HTTP or in its database."""

from collections.abc import Iterator
from typing import Any, Protocol, TypedDict

#: An answer of the HTTP API (docs/api.md), or a part of one.
Answer = dict[str, Any]
#: Generations of a page: as many as the API gives at once.
MAX_PAGE = 100


class Filters(TypedDict, total=False):
    """What a list is narrowed to, by the parameters of the API; what is None or not there narrows nothing."""

    status: list[str]
    variant_type: str | None
    created_from: str | None
    created_to: str | None
    q: str | None


class History(Protocol):
    """One owner's record: each call gives what the HTTP API answers, or raises what the answer's code stands for."""

    def list_page(self, filters: Filters, *, limit: int, cursor: str | None = None) -> Answer:
        """A page of generations, newest first."""
        ...

    def get_generation(self, generation_id: str) -> Answer:
        """One generation whole."""
        ...

    def variants_of(self, generation: Answer) -> list[Answer]:
        """The variants of what get_generation gave, with all scenes: also those that the answer had no room for."""
        ...

    def get_stats(self) -> Answer:
        """Totals over everything that is not deleted."""
        ...

    def fail_generation(self, generation_id: str, reason: str) -> Answer:
        """The generation, failed: scenes that were not submitted are cancelled, what is paid for is still stored."""
        ...

    def delete_generation(self, generation_id: str) -> Answer:
        """A message that the generation is hidden."""
        ...

    def restore_generation(self, generation_id: str) -> Answer:
        """A message that the deleted generation is back."""
        ...

    def retry_scene(self, scene_id: str, *, confirmed: bool) -> Answer:
        """The failed scene, pending again."""
        ...

    def ask_for_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands, which is made if it is not there."""
        ...

    def get_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands, with a link once it is ready."""
        ...

    def video_link(self, scene_id: str) -> str:
        """A signed link to the scene's stored video."""
        ...


def pages(history: History, filters: Filters, *, limit: int = MAX_PAGE, cursor: str | None = None) -> Iterator[Answer]:
    """Each page from the cursor on, to the end of the list."""
    while True:
        page = history.list_page(filters, limit=limit, cursor=cursor)
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return
