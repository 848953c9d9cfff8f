"""A client of the simulator's four kinds beside `/v1/videos` that tolerates nothing, and the simulator's own routes."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import requests

KindName = Literal["fal", "replicate", "runway", "gemini"]
KINDS: tuple[KindName, ...] = ("fal", "replicate", "runway", "gemini")

FAL_MODEL = "minimax/h3-max/text-to-video"
REPLICATE_MODEL = "bytedance/seedance-2.0"
GEMINI_FORM = {"type": "video", "delivery": "uri", "resolution": "360p", "duration": "3s"}
_POSTS = {
    "fal": f"/fal/{FAL_MODEL}",
    "replicate": "/replicate/v1/predictions",
    "runway": "/runway/v1/text_to_video",
    "gemini": "/gemini/v1beta/interactions",
}


class KindsClient:
    """One simulator, spoken to as each of its kinds."""

    def __init__(self, base_url: str, *, key: str) -> None:
        self.base_url = base_url.removesuffix("/v1")
        self.headers: Mapping[KindName, Mapping[str, str]] = {
            "fal": {"Authorization": f"Key {key}"},
            "replicate": {"Authorization": f"Bearer {key}"},
            "runway": {"Authorization": f"Bearer {key}", "X-Runway-Version": "2024-11-06"},
            "gemini": {"X-Goog-Api-Key": key},
        }

    def ask(self, kind: KindName, method: str, path: str, **how: Any) -> requests.Response:
        """The answer to a request with the kind's key; `path` may be a whole URL."""
        url = path if path.startswith("http") else self.base_url + path
        return requests.request(method, url, headers=self.headers[kind], timeout=10, **how)

    def get(self, kind: KindName, path: str, **query: object) -> requests.Response:
        return self.ask(kind, "GET", path, params=query)

    def post(self, kind: KindName, prompt: str = "a cat", *, webhook: str = "", **wanted: object) -> requests.Response:
        """The answer to the least POST there is; `wanted` goes where the kind has its model's fields."""
        path = _POSTS[kind]
        match kind:
            case "fal":
                path += f"?fal_webhook={quote(webhook, safe='')}" if webhook else ""
                body: dict[str, Any] = {"prompt": prompt, "duration": 5, **wanted}
            case "replicate":
                body = {"version": REPLICATE_MODEL, "input": {"prompt": prompt, "duration": 4, **wanted}}
                body |= {"webhook": webhook, "webhook_events_filter": ["completed"]} if webhook else {}
            case "runway":
                body = {"model": "gen4.5", "promptText": prompt, "ratio": "1280:720", "duration": 2, **wanted}
            case "gemini":
                body = {"model": "gemini-omni-1.2-flash", "input": prompt, "background": True}
                body["response_format"] = GEMINI_FORM | wanted
                token = {"webhook_config": {"uris": [webhook], "user_metadata": {"token": "t1"}}}
                body |= token if webhook else {}
        return self.ask(kind, "POST", path, json=body)

    def made(self, kind: KindName, prompt: str = "a cat", **how: Any) -> str:
        """The id of a new job."""
        answer = self.post(kind, prompt, **how)
        assert answer.ok, answer.text
        return answer.json()["request_id" if kind == "fal" else "id"]

    def path(self, kind: KindName, job_id: str) -> str:
        """Where a job is looked at; fal's result is there, too."""
        paths = {
            "fal": f"/fal/minimax/h3-max/requests/{job_id}",
            "replicate": f"/replicate/v1/predictions/{job_id}",
            "runway": f"/runway/v1/tasks/{job_id}",
            "gemini": f"/gemini/v1beta/interactions/{job_id}",
        }
        return paths[kind]

    def shown(self, kind: KindName, job_id: str) -> Any:
        """A job as it is shown; of fal, its status."""
        return self.get(kind, self.path(kind, job_id) + ("/status" if kind == "fal" else "")).json()

    def video_url(self, kind: KindName, job_id: str) -> str:
        """Where the video of a completed job is."""
        shown = self.get(kind, self.path(kind, job_id)).json()
        match kind:
            case "fal":
                return shown["video"]["url"]
            case "replicate":
                return shown["output"]
            case "runway":
                return shown["output"][0]
            case "gemini":
                return shown["steps"][0]["content"][0]["uri"]

    def control(self, method: str, what: str, **how: Any) -> Any:
        answer = requests.request(method, f"{self.base_url}/simulator/{what}", timeout=10, **how)
        assert answer.ok, answer.text
        return answer.json()

    def set_faults(self, plan: Mapping[str, object]) -> None:
        """From now on the simulator has these faults, by kind and place: {"fal.create": {"kind": "no_balance"}}."""
        self.control("PUT", "faults", json=plan)

    def switch(self, **switches: bool) -> None:
        self.control("PUT", "switches", json=switches)

    def arrivals(self) -> list[tuple[str, str, str]]:
        """The kind and prompt of each POST that came, and what became of it."""
        return [(each["kind"], each["prompt"], each["answer"]) for each in self.control("GET", "arrivals")["arrivals"]]
