"""A client of `/v1/videos` that tolerates nothing and sees the answers as they are, and the simulator's own routes."""

from typing import Any
from urllib.parse import quote

import requests

from tests.support.waiting import eventually

#: The least a request needs for a video that is quickly rendered.
SMALL = {"seconds": "1", "size": "64x96"}


class RawClient:
    """One server and nothing between it and the test."""

    def __init__(self, base_url: str, *, key: str = "") -> None:
        self.base_url = base_url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method: str, path: str, *, timeout: float = 10, **how: Any) -> requests.Response:
        return requests.request(method, self.base_url + path, headers=self._headers, timeout=timeout, **how)

    def get(self, path: str, *, timeout: float = 10, **query: object) -> requests.Response:
        return self.ask("GET", path, timeout=timeout, params=query)

    def create(self, prompt: str = "a cat", *, timeout: float = 10, **wanted: str) -> requests.Response:
        form = {name: (None, value) for name, value in (SMALL | wanted | {"prompt": prompt}).items()}
        return self.ask("POST", "/videos", timeout=timeout, files=form)

    def made(self, prompt: str = "a cat") -> str:
        """The path of a new job."""
        return "/videos/" + quote(self.create(prompt).json()["id"], safe="")

    def finished(self) -> str:
        """The path of a new job whose video is there."""
        path = self.made()
        eventually(lambda: self.get(path).json()["status"] == "completed")
        return path

    def control(self, method: str, what: str, **how: Any) -> requests.Response:
        return requests.request(method, f"{self.base_url.removesuffix('/v1')}/simulator/{what}", timeout=10, **how)

    def set_faults(self, **faults: object) -> None:
        """From now on the simulator has these faults."""
        answer = self.control("PUT", "faults", json=faults)
        assert answer.ok, answer.text

    def happened(self) -> dict[str, list[int]]:
        """How often each of the faults did."""
        shown = self.control("GET", "faults").json()
        return {place: [fault["happened"] for fault in faults] for place, faults in shown.items()}

    def counted(self) -> tuple[int, int]:
        """The number of POSTs that made a job, and of the jobs there are."""
        jobs = self.control("GET", "jobs").json()["jobs"]
        return self.control("GET", "posts").json()["total"], len(jobs)
