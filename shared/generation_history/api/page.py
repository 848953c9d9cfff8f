"""The library page's files, and the headers that they are sent with."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import generation_history

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

#: Beside the policy that the page itself has: what a page cannot say of itself.
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def folder() -> Path:
    """Where the files are: in the installed package, or in the checkout's web/; FileNotFoundError where in neither."""
    package = Path(generation_history.__file__).parent
    for place in (package / "web", package.parents[1] / "web"):
        if (place / "index.html").is_file():
            return place
    raise FileNotFoundError("the library page (web/) is neither in the package generation_history nor beside it")


def file_response(web: Path, name: str) -> "Response":
    """The answer of Flask with this file of the page, or Flask's 404."""
    # An ad cloner that has a Flask server brings Flask; nobody else needs it.
    from flask import send_from_directory  # noqa: PLC0415

    response = send_from_directory(web, name, max_age=None)
    response.headers |= HEADERS
    return response
