"""One instance of a function, as the platform's launcher runs it: a process that answers one call after another.

Calls come as lines of JSON on standard input, answers go out as lines on standard output; what the function prints
goes to standard error. The process ends when its input does, so it never outlives its host.
"""

import importlib.util
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, cast


class Context:
    """What the platform tells a function about a call."""

    api_host = ""
    api_key = ""

    def __init__(self, function_name: str, activation_id: str, deadline: float) -> None:
        self.function_name = function_name
        self.activation_id = activation_id
        self.request_id = activation_id
        self.deadline = int(deadline * 1000)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends the call."""
        return max(0, self.deadline - int(time.time() * 1000))


def main(path: str, function_name: str) -> None:
    """Answers calls until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    calls: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(calls,), daemon=True).start()
    module = _load(Path(path))
    while True:
        call = json.loads(calls.get())
        context = Context(function_name, call["activation_id"], call["deadline"])
        answer = _answer(module, call["event"], context)
        # What JSON cannot hold, or UTF-8, ends the instance: bytes, dates, NaN, half of a surrogate pair.
        answers.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        answers.flush()


def _receive(calls: "queue.SimpleQueue[str]") -> None:
    """Hand calls on; the end of input ends the process at once, whatever it is doing."""
    for line in sys.stdin:
        calls.put(line)
    os._exit(0)


def _load(path: Path) -> ModuleType:
    # The platform appends a function's own folder last.
    os.chdir(path.parent)
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location("main__", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules["main__"] = module
    spec.loader.exec_module(module)
    return module


def _answer(module: ModuleType, event: dict[str, Any], context: Context) -> dict[str, Any]:
    try:
        # The platform counts main's arguments: a decorator or a callable object would be called with none.
        if module.main.__code__.co_argcount != 2:  # noqa: PLR2004
            return {"error": "main must be a plain def main(event, context)"}
        answer: object = module.main(event, context)
    except Exception as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {error}"}
    return (
        cast("dict[str, Any]", answer)
        if isinstance(answer, dict)
        else {"error": "the function did not return an object"}
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
