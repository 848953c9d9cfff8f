"""import: the record of an older installation moves in; scripts/import-history is the same from a checkout."""

import click

from generation_history.importing import command


@click.command("import", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def import_history(arguments: tuple[str, ...]) -> int:
    """Move the record of an older installation in (import --help)."""
    return command.main(arguments, program="generation-history import")
