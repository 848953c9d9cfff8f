"""The levels of variants, and the nearest one to a pipeline's own word for a level."""

import difflib
import logging
from collections.abc import Sequence
from typing import Final

from generation_history.errors import InvalidValue
from generation_history.models import VARIANT_TYPES, VariantType
from generation_history.recordable import recordable

logger = logging.getLogger(__name__)

MAX_GIVEN_TYPE: Final = 50
#: Of a word that says nothing.
_USUAL: Final[VariantType] = "medium"
_LEVELS: Final[tuple[VariantType, ...]] = VARIANT_TYPES
_SYNONYMS: Final[dict[VariantType, frozenset[str]]] = {
    "soft": frozenset({"calm", "easy", "gentle", "light", "low", "mild", "minimal", "subtle", "weak"}),
    "medium": frozenset({"balanced", "default", "mid", "middle", "moderate", "normal", "standard"}),
    "aggressive": frozenset({"bold", "hard", "high", "intense", "strong", "urgent"}),
    "ultra": frozenset({"crazy", "extreme", "highest", "insane", "max", "maximal", "maximum", "top", "wild"}),
}


def nearest_level(word: str) -> VariantType:
    """The level itself in any letter case, else one of the same meaning, else of a similar spelling, else medium."""
    plain_word = word.strip().lower()
    for level, synonyms in _SYNONYMS.items():
        if plain_word in {level, *synonyms}:
            return level
    levels: dict[str, VariantType] = {level: level for level in _LEVELS}
    return levels.get("".join(difflib.get_close_matches(plain_word, _LEVELS, n=1)), _USUAL)


def assign_levels(words: Sequence[object]) -> dict[VariantType, str | None]:
    """A level for each of a pipeline's words, in order, with the word itself where it is none of the levels.

    Levels keep their names; another word has the nearest level that is free. A word that is repeated counts once, and
    no word at all is an empty one. InvalidValue for more words than there are levels.
    """
    texts = list(dict.fromkeys(given_type(word) for word in words)) or [""]
    if len(texts) > len(_LEVELS):
        raise InvalidValue(f"variant_types must name at most {len(_LEVELS)} levels")
    levels: dict[str, VariantType] = {level: level for level in _LEVELS if level in texts}
    for text in texts:
        if text not in levels:
            levels[text] = _nearest_free(nearest_level(text), set(levels.values()))
            logger.warning("the level %r is kept as %s", text, levels[text])
    return {levels[text]: None if text == levels[text] else text for text in texts}


def given_type(word: object) -> str:
    """A pipeline's word for a level as it is kept."""
    return recordable("" if word is None else str(word), MAX_GIVEN_TYPE)


def _nearest_free(level: VariantType, taken: set[VariantType]) -> VariantType:
    place = _LEVELS.index(level)
    return min((other for other in _LEVELS if other not in taken), key=lambda other: abs(_LEVELS.index(other) - place))
