"""The LocalStack that whoever runs the tests has running, as localstack-client finds it."""

import os

from localstack_client.session import Session

#: What localstack-client reads, the second before the first.
ADDRESSES = ("LOCALSTACK_HOST", "AWS_ENDPOINT_URL")
NOT_THERE = f"no LocalStack: set {ADDRESSES[0]} to its host:port to have it tested too"


def session() -> Session | None:
    """A session of the LocalStack that the environment names; None where it names none.

    Left alone, localstack-client takes whatever is at port 4566.
    """
    return Session() if any(os.environ.get(name, "").strip() for name in ADDRESSES) else None
