"""scripts/smoke: whether the functions at a URL do what they should, seen from outside; one line a check.

SMOKE_TOKEN, a token or an API key that may read, and HEALTH_TOKEN are read from the environment. Where there is none
(yet), what it would open is not looked at, and a line says so.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import requests

from generation_history.environment import UNSET

TIMEOUT_S: Final = 35
#: A new installation is healthy once its poller and its purge have run.
HEALTHY_WITHIN_S: Final = 120.0
PAUSE_S: Final = 5.0

Check = Callable[[], str | None]


class Smoke:
    """The checks of one base URL: where the paths of docs/api.md begin."""

    def __init__(self, url: str, *, patience: float) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._token = os.environ.get("SMOKE_TOKEN") or UNSET
        self._health = os.environ.get("HEALTH_TOKEN") or UNSET
        self._is_open = os.environ.get("HISTORY_ACCESS") == "single-owner"

    def checks(self) -> Iterator[tuple[str, Check]]:
        """Each check's name, and what returns why it failed, or None."""
        if self._health == UNSET:
            yield "health: skipped, there is no HEALTH_TOKEN", lambda: None
        else:
            yield "health says that the work gets done", self.is_healthy
            yield "health is closed without its token", lambda: self._closed("/ops/health")
        yield "the history is closed without a token", self.is_closed
        if self._token == UNSET and not self._is_open:
            yield "the history to its owner: skipped, there is no SMOKE_TOKEN", lambda: None
        else:
            yield "the history opens to its owner", self.opens
        yield "no strange page may read", self.no_strange_page

    def is_healthy(self) -> str | None:
        """Healthy within the patience; else its problems. A provider that is down is no fault of what was deployed."""
        deadline = time.monotonic() + self._patience
        while True:
            answer = self._get("/ops/health", self._health)
            problems = None if answer.ok else _problems(answer)
            if answer.ok or (problems and all(problem.startswith("the provider ") for problem in problems)):
                return None
            if time.monotonic() > deadline:
                return f"it answers {answer.status_code}: {answer.text[:500]}"
            time.sleep(PAUSE_S)

    def is_closed(self) -> str | None:
        """401 without a token, unless this is for a single owner."""
        return None if self._is_open else self._closed("/history/generations")

    def opens(self) -> str | None:
        """A page of generations."""
        answer = self._get("/history/generations?limit=1", self._token)
        return None if answer.ok and answer.json().get("success") else f"it answers {answer.status_code}"

    def no_strange_page(self) -> str | None:
        """A page of an origin that nobody named gets no leave."""
        headers = {"Origin": "https://strange.example", "Access-Control-Request-Method": "GET"}
        answer = requests.options(f"{self.url}/history/generations", headers=headers, timeout=TIMEOUT_S)
        allowed_origin = answer.headers.get("Access-Control-Allow-Origin")
        return f"it is told that {allowed_origin} may" if allowed_origin else None

    def _closed(self, path: str) -> str | None:
        status = self._get(path, UNSET).status_code
        return None if status == requests.codes.unauthorized else f"it answers {status} instead of 401"

    def _get(self, path: str, token: str) -> requests.Response:
        headers = {} if token == UNSET else {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.url}{path}", headers=headers, timeout=TIMEOUT_S)


def _problems(answer: requests.Response) -> list[str]:
    """What health says is wrong; nothing where it does not answer as it should."""
    try:
        body = cast("dict[str, Any]", answer.json())
        return [str(problem) for problem in body["problems"]]
    except (ValueError, KeyError, TypeError):
        return []


def main(arguments: list[str] | None = None) -> int:
    """0 when every check holds."""
    parser = argparse.ArgumentParser(prog="scripts/smoke", description=__doc__)
    parser.add_argument("url", help="where the paths of docs/api.md begin")
    parser.add_argument(
        "--patience", type=float, default=HEALTHY_WITHIN_S, help="seconds that health may take to be well"
    )
    options = parser.parse_args(arguments)
    failures = 0
    for name, check in Smoke(cast("str", options.url), patience=options.patience).checks():
        try:
            reason = check()
        except requests.RequestException as error:
            reason = f"it cannot be reached: {type(error).__name__}"
        except ValueError:
            reason = "its answer is no JSON"
        failures += reason is not None
        print(f"{'FAILED' if reason else 'ok    '}  {name}{f': {reason}' if reason else ''}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
