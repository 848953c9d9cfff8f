"""The intents that lie in the bucket, as whoever was there for the first time would read them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from generation_history.providers import VideoRequest
from generation_history.storage.object_store import ObjectStore
from generation_history.work.intents import MAX_BYTES, PREFIX, Intent, fingerprint

_INTENT = TypeAdapter(Intent)


@dataclass(frozen=True)
class BucketIntents:
    """Every intent in the bucket by its scene's id and attempt, and what is wrong with others, in words."""

    by_attempt: Mapping[tuple[str, int], Intent] = field(default_factory=dict[tuple[str, int], Intent])
    #: The objects among them that are no intents, or that nobody should be able to read a prompt in.
    problems: Sequence[str] = ()
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])

    def prompt(self, intent: Intent) -> str:
        """The prompt that the intent is of, or its fingerprint where nobody has ever asked for it."""
        return self.prompts.get(intent.request_sha256, intent.request_sha256)


def read_intents(store: ObjectStore, prompts: Collection[str]) -> BucketIntents:
    """All of them; the prompts are those that the intents may be of, and tell nobody."""
    by_attempt: dict[tuple[str, int], Intent] = {}
    problems: list[str] = []
    for key, _ in store.keys(PREFIX):
        body = store.get_bytes(key, most_bytes=MAX_BYTES) or b""
        try:
            intent = _INTENT.validate_json(body)
        except ValidationError:
            problems.append(f"{key} is no intent: {body[:200]!r}")
            continue
        if intent.key != key:
            problems.append(f"{key} is the intent of {intent.key}")
            continue
        by_attempt[str(intent.scene_id), intent.attempt] = intent
        problems += [f"{key} tells the prompt {prompt!r}" for prompt in prompts if _tells(body, prompt)]
    return BucketIntents(by_attempt, problems, _fingerprints(prompts, by_attempt.values()))


def _tells(body: bytes, prompt: str) -> bool:
    return prompt != "" and (prompt.encode() in body or json.dumps(prompt)[1:-1].encode() in body)


def _fingerprints(prompts: Collection[str], intents: Collection[Intent]) -> dict[str, str]:
    """The prompt of each fingerprint that these may have: model, size and seconds are among those that intents name."""
    shapes = {(intent.model, intent.size, intent.seconds) for intent in intents}
    return {fingerprint(VideoRequest(prompt, *shape)): prompt for prompt in prompts for shape in shapes}
