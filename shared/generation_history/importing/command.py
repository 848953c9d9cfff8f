"""Move the record of an older installation in: its generations, variants, scenes, metadata and videos.

Its tables are those of another Postgres (--from), or of another schema of this database (--schema). Without --apply
nothing is changed: the report tells what would come, what would be changed and what not, and why. A run that was
interrupted is begun again: what is here stays as it is, and what was purged does not come back.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import psycopg

from generation_history import settings
from generation_history.database_urls import checked
from generation_history.errors import HistoryError, NotConfigured
from generation_history.ids import as_uuid
from generation_history.importing.importer import Options, import_history
from generation_history.importing.report import Report
from generation_history.importing.variants import known_type
from generation_history.models import VARIANT_TYPES, VariantType
from generation_history.recordable import plain

#: How often a log is told how far the import is.
PROGRESS_SECONDS = 10.0
#: As a shell says it of what Ctrl-C ended.
INTERRUPTED = 130


class Progress:
    """How many generations are done, on standard error: one line that is written anew, or one every ten seconds."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self.done = 0
        #: Whether what is done stays, as it does unless all is undone at the end.
        self.is_kept = False

    def __call__(self, done: int, of: int) -> None:
        """So many of so many are done."""
        self.done = done
        now, live = time.monotonic(), sys.stderr.isatty()
        if live or done >= of or now - self._told > PROGRESS_SECONDS:
            self._told = now
            rate = done / max(now - self._began, 0.001)
            text = f"{done:,} of {of:,} generations, {rate:,.0f} a second"
            print(
                f"\r{text}" if live else text, end="\n" if not live or done >= of else "", file=sys.stderr, flush=True
            )


def main(arguments: Sequence[str] | None = None, *, program: str = "scripts/import-history") -> int:
    """0 when every row came or has a line that says why not; 1, with the reason, when the import could not go on."""
    options, progress = _parser(program).parse_args(arguments), Progress()
    try:
        target_url = settings.migrate_database_url()
        asked = _options(options, target_url)
        progress.is_kept = asked.apply
        with Report(run="apply" if asked.apply else "dry run", path=options.report) as report:
            import_history(asked, target_url, report, progress)
    except (HistoryError, psycopg.Error, OSError, UnicodeError) as error:
        return _stopped(program, plain(str(error)) or type(error).__name__, 1, progress)
    except KeyboardInterrupt:
        return _stopped(program, "interrupted", INTERRUPTED, progress)
    print(report.text())
    if not asked.apply:
        print("\nnothing was changed: --apply does it")
    return 1 if report.unaccounted() else 0


def _stopped(program: str, reason: str, code: int, progress: Progress) -> int:
    print(f"{program}: {reason}", file=sys.stderr)
    if progress.is_kept and progress.done:
        print(f"{program}: what was told as done is here; the same command does the rest", file=sys.stderr)
    return code


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    parser.add_argument("--from", dest="source", metavar="URL", help="the Postgres URL of the older installation")
    parser.add_argument("--schema", help="the schema that its tables are in (with --from: public)")
    parser.add_argument("--owner", help="the UUID of the owner whom all of it belongs to (HISTORY_OWNER_ID)")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="take a variant type for one of ours: extreme=ultra",
    )
    parser.add_argument(
        "--logs", type=Path, metavar="FOLDER", help="its output/logs, by which sessions find generations"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.csv", help="a line for each change and each refusal")
    parser.add_argument("--no-bucket", action="store_true", help="ask and change nothing in the bucket")
    parser.add_argument("--apply", action="store_true", help="do it")
    return parser


def _options(options: argparse.Namespace, target_url: str) -> Options:
    if options.source is None and options.schema in {None, "public"}:
        raise NotConfigured("name the older installation's tables: --from URL, or --schema NAME beside ours")
    return Options(
        source_url=target_url if options.source is None else checked("--from", options.source),
        source_setting="--schema" if options.source is None else "--from",
        schema=options.schema or "public",
        owner_id=_owner(options.owner),
        mapped=_mapped(options.map),
        logs=options.logs,
        ask_bucket=not options.no_bucket,
        apply=options.apply,
    )


def _owner(named: str | None) -> UUID:
    if named is None:
        return settings.owner_id()
    owner = as_uuid(named)
    if owner is None:
        raise NotConfigured("--owner must be a UUID like 018f0000-0000-7000-8000-000000000000")
    return owner


def _mapped(pairs: Sequence[str]) -> Mapping[str, VariantType]:
    mapped: dict[str, VariantType] = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        known = known_type(new, {})
        if known is None or not old.strip():
            raise NotConfigured(f"--map must be like extreme=ultra, and the second one of {', '.join(VARIANT_TYPES)}")
        mapped[old.strip().lower()] = known
    return mapped
