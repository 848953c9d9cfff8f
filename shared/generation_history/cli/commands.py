"""`generation-history`: its commands, and how an error of any of them is told: in one line, without a token."""

import sys
from typing import Any, NoReturn

import click

from generation_history.cli.changing import cancel, delete, restore, retry
from generation_history.cli.costs import costs
from generation_history.cli.downloading import download
from generation_history.cli.importing import import_history
from generation_history.cli.reading import list_generations, show, stats
from generation_history.cli.watching import watch
from generation_history.errors import HistoryError
from generation_history.logs import masked
from generation_history.recordable import plain


class Commands(click.Group):
    """A group whose errors are one line on standard error each: exit code 2 for wrong usage, 1 for all else."""

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """Runs the command that the arguments name, and ends the process with its exit code."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **more)
        try:
            code: object = super().main(*args, standalone_mode=False, **more)
        except click.exceptions.NoArgsIsHelpError as asked:
            asked.show()
            sys.exit(asked.exit_code)
        except click.ClickException as error:
            _fail(error.format_message() + _hint(error), error.exit_code)
        except click.Abort:
            _fail("aborted")
        except (HistoryError, OSError) as error:
            _fail(str(error))
        except Exception as error:  # noqa: BLE001 - nobody who types a command is helped by a traceback
            _fail(f"this should not happen: {type(error).__name__}: {error}")
        sys.exit(code if isinstance(code, int) else 0)


def _hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" ({context.command_path} --help)" if context else ""


def _fail(text: str, code: int = 1) -> NoReturn:
    click.echo(f"generation-history: {masked(plain(text))}", err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="generation-history")
def commands() -> None:
    """Look at recorded generations, and change them.

    GENERATION is an id, a short id, or eight or more of its first characters where no other id begins with these.

    The record is that of the API at HISTORY_URL, to which HISTORY_TOKEN is shown. Without HISTORY_URL it is the record
    of HISTORY_OWNER_ID in the database of DATABASE_URL.
    """


# In the order of the help.
for command in (list_generations, show, watch, download, retry, cancel, delete, restore, stats, costs, import_history):
    commands.add_command(command)
