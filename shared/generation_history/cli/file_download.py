"""A file fetched by a signed link: under its name it is whole or not there, and what was begun is gone on with.

What has come so far lies beside it, under a name that says which object it is a part of; so a part of another object
is never gone on with.
"""

import hashlib
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from generation_history.cli import waiting
from generation_history.cli.http_calls import Interrupted, opened
from generation_history.errors import HistoryError
from generation_history.providers.http import Session, chunks
from generation_history.urls import UnclearUrl, Url, parse_url

#: After so many breaks a download is given up for now; the next one goes on where it was.
ATTEMPTS: Final = 5
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")

#: Told how many bytes there are by now, and of how many.
Progress = Callable[[int, int | None], None]


class Download:
    """One file: links are asked for anew with each attempt, because they expire."""

    def __init__(self, link: Callable[[], str], target: Path, *, force: bool, progress: Progress) -> None:
        self._link = link
        self._target = target
        self._force = force
        self._progress = progress
        self._session = Session()

    def run(self) -> int:
        """The bytes of the file, which is there now; HistoryError where there is something under its name already."""
        self._refuse_to_overwrite()
        retrying = Retrying(
            retry=retry_if_exception_type(Interrupted),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            sleep=lambda seconds: waiting.pause(seconds),  # noqa: PLW0108 - a test may put another in its place
            reraise=True,
        )
        part = retrying(self._fetch)
        size = part.stat().st_size
        self._give_name(part)
        return size

    def _refuse_to_overwrite(self) -> None:
        if not self._force and os.path.lexists(self._target):
            raise HistoryError(f"{self._target} is there already; --force replaces it")

    def _fetch(self) -> Path:
        """The whole file under its temporary name."""
        url = _url_of(self._link())
        for part in self._begun():
            with opened(self._session, url, {"Range": f"bytes={part.stat().st_size}-"}) as response:
                if self._goes_on(part, response):
                    return self._write(response, part, append=True)
                self._check(response, url, but=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            part.unlink()
        with opened(self._session, url, {}) as response:
            self._check(response, url)
            return self._write(response, self._part_of(response), append=False)

    def _check(self, response: requests.Response, url: Url, *, but: int = HTTPStatus.OK) -> None:
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Interrupted(f"{url.origin} answers {status} to the link of {self._target.name}")
        if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, but}:
            raise HistoryError(f"{url.origin} answers {status} to the link of {self._target.name}")

    def _begun(self) -> list[Path]:
        prefix, suffix = f".{self._target.name}.", ".part"
        folder = self._target.parent
        there = sorted(path for path in folder.iterdir() if path.name.startswith(prefix) and path.suffix == suffix)
        return [path for path in there if path.stat().st_size]

    def _goes_on(self, part: Path, response: requests.Response) -> bool:
        """Whether the answer goes on where the part ends, and is of the same object."""
        sent = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or sent is None:
            return False
        return int(sent[1]) == part.stat().st_size and part == self._part_of(response)

    def _part_of(self, response: requests.Response) -> Path:
        """The temporary name; without an ETag nobody knows what a part is of, so each download has another one."""
        etag = response.headers.get("ETag") or os.urandom(8).hex()
        named = hashlib.sha256(f"{etag} {_total(response)}".encode()).hexdigest()[:16]
        return self._target.parent / f".{self._target.name}.{named}.part"

    def _write(self, response: requests.Response, part: Path, *, append: bool) -> Path:
        total = _total(response)
        with part.open("ab" if append else "wb") as file:
            self._progress(file.tell(), total)
            for chunk in chunks(response):
                file.write(chunk)
                self._progress(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())
        size = part.stat().st_size
        if total is not None and size != total:
            part.unlink()
            raise Interrupted(f"{self._target.name} has {total} bytes, and {size} came")
        return part

    def _give_name(self, part: Path) -> None:
        if self._force:
            part.replace(self._target)
            return
        try:
            # Fails where there is something by now, which a rename would replace.
            os.link(part, self._target)
        except FileExistsError:
            self._refuse_to_overwrite()
        except OSError:
            # A file system without hard links.
            self._refuse_to_overwrite()
            part.replace(self._target)
        else:
            part.unlink()


def _url_of(link: str) -> Url:
    try:
        return parse_url(link)
    except UnclearUrl as error:
        raise HistoryError(f"the link is no plain URL: {error}") from None


def _total(response: requests.Response) -> int | None:
    """How many bytes the whole file has; None where the answer does not say."""
    sent = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if sent:
        return int(sent[2])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdecimal() else None
