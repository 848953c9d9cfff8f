"""The settings of a running stack as a file for a server of your own, in lines that docker and dotenv read alike."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from generation_history.environment import UNSET
from generation_history.errors import NotConfigured
from scripts.local.stack import Stack

#: What only scripts use: it is the tables' owner.
_NOT_FOR_SERVERS: Final = frozenset({"MIGRATE_DATABASE_URL", "ADMIN_DATABASE_URL"})


@contextmanager
def environment_file(path: str | Path, stack: Stack) -> Generator[Path]:
    """The file is there as long as the block runs, and only this user may read it; NotConfigured where it cannot be."""
    file = Path(path)
    settings = {
        name: value
        for name, value in sorted(stack.environment.items())
        if value != UNSET and name not in _NOT_FOR_SERVERS
    }
    try:
        # Another's file of this name would keep its rights.
        file.unlink(missing_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "utf-8")
    except OSError as error:
        raise NotConfigured(f"--env: {file} cannot be written: {error.strerror}") from None
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
