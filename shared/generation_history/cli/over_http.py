"""The record over HTTP: the calls of docs/api.md with a token."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential

from generation_history import errors
from generation_history.cli import waiting
from generation_history.cli.history import Answer, Filters
from generation_history.cli.http_calls import Reply, call
from generation_history.errors import HistoryError, NotConfigured, Unavailable
from generation_history.providers.http import Session
from generation_history.settings import ApiSettings
from generation_history.urls import UnclearUrl, parse_url, resolve

ATTEMPTS: Final = 4
#: After so long no other attempt begins.
LAST_ATTEMPT_SECONDS: Final = 60
_REDIRECTS: Final = range(300, 400)
#: What a gateway says when the function behind it gave no answer.
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_BY_CODE: Final[Mapping[str, type[HistoryError]]] = {errors.ArchiveFailed.code: errors.Conflict} | {
    kind.code: kind
    for kind in (
        errors.InvalidValue,
        errors.NotAuthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.TooLarge,
        errors.NotConfigured,
        errors.Unavailable,
    )
}


class HttpHistory:
    """The record that the API at a URL shows to a token."""

    def __init__(self, api: ApiSettings) -> None:
        self._base = api.url
        self._token = api.token
        self._session = Session()

    def list_page(self, filters: Filters, *, limit: int, cursor: str | None = None) -> Answer:
        """A page of generations, newest first."""
        params = {"limit": limit, "cursor": cursor, **filters, "status": ",".join(filters.get("status") or ()) or None}
        return self._read("/history/generations", {name: value for name, value in params.items() if value is not None})

    def get_generation(self, generation_id: str) -> Answer:
        """One generation; what makes it too large for an answer is left out."""
        return self._read(f"/history/generations/{generation_id}")

    def variants_of(self, generation: Answer) -> list[Answer]:
        """The generation's variants; scenes that the answer had no room for are read page by page."""
        if not generation.get("scenes_omitted"):
            return generation["variants"]
        return [{**variant, "scenes": self._scenes(variant["id"])} for variant in generation["variants"]]

    def get_stats(self) -> Answer:
        """Totals over everything that is not deleted."""
        return self._read("/history/stats")

    def fail_generation(self, generation_id: str, reason: str) -> Answer:
        """The generation, failed."""
        body = {"status": "failed", "error_message": reason}
        return self._write("PATCH", f"/history/generations/{generation_id}", body)

    def delete_generation(self, generation_id: str) -> Answer:
        """A message that the generation is hidden."""
        return self._write("DELETE", f"/history/generations/{generation_id}")

    def restore_generation(self, generation_id: str) -> Answer:
        """A message that the deleted generation is back."""
        return self._write("POST", f"/history/generations/{generation_id}/restore")

    def retry_scene(self, scene_id: str, *, confirmed: bool) -> Answer:
        """The failed scene, pending again."""
        return self._write("POST", f"/history/scenes/{scene_id}/retry", {"confirmed": True} if confirmed else None)

    def ask_for_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands, which is made if it is not there."""
        return self._write("POST", f"/history/generations/{generation_id}/download")

    def get_archive(self, generation_id: str) -> Answer:
        """How the generation's zip stands."""
        return self._read(f"/history/generations/{generation_id}/download")

    def video_link(self, scene_id: str) -> str:
        """The signed link that the scene's permanent link leads to."""
        reply = self._retrying()(self._call, "GET", f"/history/scenes/{scene_id}/video", {"download": "true"}, None)
        if reply.status != HTTPStatus.FOUND:
            raise HistoryError(f"the API answers {reply.status} where a link to a video should be")
        try:
            return resolve(reply.location, parse_url(self._base)).text
        except UnclearUrl as error:
            raise HistoryError(f"the API leads to no plain URL: {error}") from None

    def _scenes(self, variant_id: str) -> list[Answer]:
        scenes: list[Answer] = []
        after = 0
        while True:
            page = self._read(f"/history/variants/{variant_id}/scenes", {"after": after})
            scenes += page["scenes"]
            after = page["next_after"]
            if after is None:
                return scenes

    def _read(self, path: str, params: Any = None) -> Answer:
        return self._answer(self._retrying()(self._call, "GET", path, params, None))

    def _write(self, method: str, path: str, body: Any = None) -> Answer:
        # Once: whether it was done is not known after a break, and a person sees it better than a loop.
        return self._answer(self._call(method, path, None, body))

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(LAST_ATTEMPT_SECONDS),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            sleep=lambda seconds: waiting.pause(seconds),  # noqa: PLW0108 - a test may put another in its place
            reraise=True,
        )

    def _call(self, method: str, path: str, params: Any, body: Any) -> Reply:
        """The API's answer, which is no error."""
        url = parse_url(f"{self._base}{path}")
        reply = call(self._session, method, url, token=self._token, params=params, body=body)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(reply)
        return reply

    def _refusal(self, reply: Reply) -> HistoryError:
        """The error that an answer stands for, in the API's own words, without the token if they repeat it."""
        text = reply.json.get("error")
        if not isinstance(text, str):
            if reply.status in _TRY_AGAIN:
                return Unavailable(f"{self._base} answers {reply.status}; try again soon")
            return NotConfigured(
                f"HISTORY_URL: {self._base} answers {reply.status}, and not as the API does:"
                " it is the URL that stands before /history, behind a gateway it ends with /api"
            )
        text = text.replace(self._token, "***") if self._token else text
        return _BY_CODE.get(str(reply.json.get("code")), HistoryError)(text)

    def _answer(self, reply: Reply) -> Answer:
        if reply.status in _REDIRECTS:
            raise NotConfigured(f"HISTORY_URL: {self._base} redirects to another address; name that one")
        if reply.json.get("success") is not True:
            raise NotConfigured(f"HISTORY_URL: what {self._base} answers is no answer of the API")
        return reply.json
