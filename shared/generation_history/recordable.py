"""Texts that an error or a provider may have made of anything, as the database and a terminal take them."""

#: What is kept of the reason of a failure, and of an answer that was not understood.
MAX_REASON_CHARACTERS = 2_000
MAX_ANSWER_CHARACTERS = 4_000


def recordable(text: str, max_characters: int = MAX_REASON_CHARACTERS) -> str:
    """The text as the database takes it, and not too long: an unexpected error may say anything."""
    return text[:max_characters].replace("\0", "").encode(errors="replace").decode()


def plain(text: str) -> str:
    """The text in one line, without what a terminal would obey."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in " ".join(text.split()))


def recordable_answer(answer: str | None) -> str | None:
    """The answer of a provider as it is kept with its attempt."""
    return None if answer is None else recordable(answer, MAX_ANSWER_CHARACTERS)
