"""An older installation's own Sora client: its server is written here, and its result lacks two keys."""

import os
import time
from typing import Any

import requests

TIMEOUT = 20


class SoraClient:
    def __init__(self) -> None:
        self.headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
        self.finished: list[dict[str, Any]] = []
        self.base_url = "https://api.openai.com/v1/videos"

    def render(self, prompt: str) -> dict[str, Any]:
        body = {"prompt": prompt, "size": "160x288", "seconds": "1"}
        job = requests.post(self.base_url, json=body, headers=self.headers, timeout=TIMEOUT).json()
        while job["status"] not in {"completed", "failed"}:
            time.sleep(0.05)
            job = requests.get(f"{self.base_url}/{job['id']}", headers=self.headers, timeout=TIMEOUT).json()
        result = {"job_id": job["id"], "status": job["status"]}
        self.finished.append(result)
        return result
