"""The log of a deployed function: one JSON object a line on standard error, as the platforms collect it.

A function's __main__ calls configure() once. Nothing else does: a pipeline that imports the package keeps its own
logging, and what about() says is then simply not shown.
"""

import json
import logging
import re
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))

#: A second guard: no message should hold any of these.
_SECRETS = (
    re.compile(r"((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|sig)=)[^&\s\"'\\]+", re.IGNORECASE),
    re.compile(r"((?:Bearer|Basic) +)[\w.~+/=-]+", re.IGNORECASE),
    re.compile(r"(whsec_)[\w+/=-]+"),
    re.compile(r"(ghk_)[\w-]+"),
    re.compile(r"(\beyJ)[\w-]+\.[\w-]+\.[\w-]*"),
    re.compile(r"(://[^/\s:@\"'\\]+:)[^/\s@\"'\\]+(?=@)"),
)


def configure() -> None:
    """Guarantees that this process logs as JSON: what is ours from INFO, everything else from WARNING."""
    root = logging.getLogger()
    if any(isinstance(handler, _JsonLines) for handler in root.handlers):
        return
    for handler in list(root.handlers):
        # Lambda's own would write every line a second time.
        if type(handler).__name__ == "LambdaLoggerHandler":
            root.removeHandler(handler)
    root.addHandler(_JsonLines())
    logging.getLogger("generation_history").setLevel(logging.INFO)
    # It warns of every error that it raises as well, and many are only a limit's or a lost lease's.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


@contextmanager
def about(**fields: object) -> Generator[None]:
    """Every line logged meanwhile, by this thread and what copies its context, says this too."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def masked(text: str) -> str:
    """The text without what may not be read in a log: signatures of links, tokens, passwords in URLs."""
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


class _JsonLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201
        except Exception:  # noqa: BLE001 - a line that cannot be written stops nothing
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **_about.get(),
        }
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return masked(json.dumps(line, default=str))
