"""Options that several commands have, and how a command gets its record and its output."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from generation_history import settings
from generation_history.cli.history import Filters, History
from generation_history.cli.output import Output
from generation_history.errors import NotConfigured
from generation_history.models import STATUSES, VARIANT_TYPES

Function = Callable[..., Any]

generation_argument = click.argument("generation", metavar="GENERATION")


def with_record(command: Function) -> Function:
    """The command with the options that say where the record is; it is called with that record and an output first."""

    @click.option("--url", metavar="URL", help="Base URL of the API, which stands before /history [HISTORY_URL].")
    @click.option("--token", metavar="TOKEN", help="Token or API key [HISTORY_TOKEN, which other users cannot see].")
    @click.option("--direct", is_flag=True, help="Use the database itself [DATABASE_URL, HISTORY_OWNER_ID].")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, as the API answers.")
    @wraps(command)
    def run(*, url: str | None, token: str | None, direct: bool, as_json: bool, **given: Any) -> None:
        command(open_history(url, token, direct=direct), Output(as_json=as_json), **given)

    return run


def with_filters(command: Function) -> Function:
    """The command with the filters of the API's lists, which it is given as one."""

    @click.option("--status", multiple=True, metavar="STATUS", callback=_statuses, help=f"{', '.join(STATUSES)}.")
    @click.option("--variant-type", type=click.Choice(VARIANT_TYPES), help="Generations that have this variant.")
    @click.option("--created-from", "--from", metavar="TIME", help="A day (UTC), or a time with its zone; included.")
    @click.option("--created-to", "--to", metavar="TIME", help="The same for the end; included.")
    @click.option("-q", "--q", metavar="TEXT", help="Three or more characters of the source's URL.")
    @wraps(command)
    def run(*args: Any, status: list[str], variant_type: str | None, q: str | None, **given: Any) -> None:
        filters = Filters(
            status=status,
            variant_type=variant_type,
            created_from=given.pop("created_from"),
            created_to=given.pop("created_to"),
            q=q,
        )
        command(*args, filters=filters, **given)

    return run


def open_history(url: str | None, token: str | None, *, direct: bool) -> History:
    """The record of the API that is named; without one, or with direct, the record in the database of the settings."""
    if direct and (url or token):
        raise click.UsageError("--direct uses the database itself: --url and --token are for the API")
    api = None if direct else settings.api(url, token)
    if api is not None:
        # Late, both: one needs no database, the other no HTTP client.
        from generation_history.cli.over_http import HttpHistory  # noqa: PLC0415

        return HttpHistory(api)
    if not direct:
        _require_database()
    from generation_history.cli.direct import DirectHistory  # noqa: PLC0415

    return DirectHistory()


def _require_database() -> None:
    try:
        settings.database_url()
    except NotConfigured as error:
        if not str(error).startswith("DATABASE_URL is not set"):
            raise
        raise NotConfigured(
            "HISTORY_URL is not set: the base URL of the API; without it, DATABASE_URL and HISTORY_OWNER_ID are used"
        ) from None


def _statuses(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> list[str]:
    """The statuses, each by itself or several with commas."""
    named = [status for each in given for status in each.split(",")]
    for status in named:
        if status not in STATUSES:
            raise click.BadParameter(f"{status!r} is not one of {', '.join(STATUSES)}.")
    return named
