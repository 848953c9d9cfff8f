"""Make, list and revoke API keys, in the database that MIGRATE_DATABASE_URL names.

A key is printed once, when it is made; only its hash is kept. A revoked key is good for half a minute more, in
instances that have just seen it.
"""

import argparse
import sys
from datetime import datetime
from uuid import UUID

import psycopg

from generation_history import settings
from generation_history.api.api_keys import SCOPES, fingerprint, new_key
from generation_history.errors import HistoryError, NotFound
from generation_history.ids import uuid7
from scripts.operate.migrate import connect, one_line

MAX_DAYS = 3650

_CREATE = """
    insert into api_keys (id, owner_id, name, sha256, scopes, expires_at)
    values (%(id)s, %(owner_id)s, %(name)s, %(sha256)s, %(scopes)s, now() + make_interval(days => %(days)s))
"""
_LIST = """
    select id, owner_id, name, scopes, created_at, last_used_at,
           case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired'
                when expires_at is null then 'live' else 'live until ' || to_char(expires_at, 'YYYY-MM-DD') end as state
    from api_keys order by created_at, id
"""
_REVOKE = "update api_keys set revoked_at = coalesce(revoked_at, now()) where id = %(id)s"


def create(url: str, owner_id: UUID, name: str, scopes: list[str], days: int | None) -> tuple[UUID, str]:
    """The id of a new key, and the key itself, which nobody can read again."""
    key_id, key = uuid7(), new_key()
    row = {"id": key_id, "owner_id": owner_id, "name": name, "scopes": scopes, "days": days}
    with connect(url) as connection:
        connection.execute(_CREATE, row | {"sha256": fingerprint(key)})
    return key_id, key


def revoke(url: str, key_id: UUID) -> None:
    """Guarantees that the key is revoked; NotFound where there is none."""
    with connect(url) as connection:
        if not connection.execute(_REVOKE, {"id": key_id}).rowcount:
            raise NotFound(f"there is no key {key_id}")


def show(url: str) -> None:
    """Prints every key there is, the oldest first."""
    with connect(url) as connection:
        for key_id, owner_id, name, scopes, created_at, last_used_at, state in connection.execute(_LIST):
            usage = f"used {_day(last_used_at)}" if last_used_at else "never used"
            print(f"{key_id}  {owner_id}  {','.join(scopes):10}  {_day(created_at)}  {usage}  {state}  {name}")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _name(text: str) -> str:
    if not 1 <= len(text) <= 100 or not text.isprintable():  # noqa: PLR2004
        raise argparse.ArgumentTypeError("a name has 1 to 100 printable characters")
    return text


def _scopes(text: str) -> list[str]:
    scopes = text.split(",")
    if not set(scopes) <= set(SCOPES):
        raise argparse.ArgumentTypeError(f"scopes are {' and '.join(SCOPES)}, separated by a comma")
    return sorted(set(scopes))


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"days are from 1 to {MAX_DAYS}")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/api-key", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create_command = commands.add_parser("create", help="print a new key")
    create_command.add_argument("--owner", type=UUID, required=True, metavar="UUID", help="whom the key speaks for")
    create_command.add_argument("--name", type=_name, required=True, help="what it is for")
    create_command.add_argument("--scopes", type=_scopes, required=True, help="read, write, or read,write")
    create_command.add_argument("--days", type=_days, help="how long it is good; for ever unless given")
    commands.add_parser("list", help="show all keys, never their secrets")
    end = commands.add_parser("revoke", help="make a key useless")
    end.add_argument("id", type=UUID)
    return parser.parse_args()


def main() -> int:
    """0 when it is done; 1, with the reason, when it is not."""
    arguments = _arguments()
    try:
        url = settings.migrate_database_url()
        if arguments.command == "create":
            key_id, key = create(url, arguments.owner, arguments.name, arguments.scopes, arguments.days)
            print(key)
            print(f"this is the key {key_id}, shown this once", file=sys.stderr)
        elif arguments.command == "list":
            show(url)
        else:
            revoke(url, arguments.id)
            print(f"revoked {arguments.id}")
    except (HistoryError, psycopg.Error) as error:
        print(f"scripts/api-key: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
