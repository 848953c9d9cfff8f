"""How long and how large what is recorded may be, in characters where nothing else is said.

The database's constraints, the request models and the messages have these numbers from here, or are held to them by
tests/db/test_limits.py.
"""

from typing import Final

MAX_SOURCE_URL: Final = 4_096
MAX_SOURCE_TYPE: Final = 50
MAX_PROMPT: Final = 32_000
#: Prompts of one variant in one request.
MAX_PROMPTS: Final = 100
MAX_SCENE_NUMBER: Final = 1_000
#: Of a video that a provider is asked for.
MAX_SECONDS: Final = 600
MAX_IDEMPOTENCY_KEY: Final = 200
#: Names of models and sizes in a request.
MAX_MODEL: Final = 200
#: Gateways put a whole path into a provider job's id.
MAX_JOB_ID: Final = 1_000
#: A longer id may not fit into an index.
MAX_JOB_ID_BYTES: Final = 2_000
#: What a caller says of a failure.
MAX_ERROR_MESSAGE: Final = 10_000
MAX_DOLLARS: Final = 99_999_999.99
