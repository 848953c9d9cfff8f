"""What is too large to be carried is left out of a record and linked, or cut."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from generation_history import json_codec

#: With what is around it in its answer it is carried.
MAX_RECORD_BYTES: Final = json_codec.MAX_BODY_BYTES - 2 * json_codec.AROUND_BYTES
#: A text longer than this is cut where nothing else helps; a prompt never is.
MAX_TEXT_CHARACTERS: Final = 5_000

#: A record as HTTP shows it.
Shown = dict[str, Any]


def first_that_fits(record: Shown, *smaller: Callable[[Shown], Shown]) -> Shown:
    """The record, or else the first of these smaller ones of it, that the platform carries.

    Where none does, the last one's texts are cut, which always does: no row makes a list or itself unreadable.
    """
    shown = record
    for reduced in smaller:
        if json_codec.fits(json_codec.to_json(shown), MAX_RECORD_BYTES):
            return shown
        shown = reduced(record)
    fits = json_codec.fits(json_codec.to_json(shown), MAX_RECORD_BYTES)
    return shown if fits else {**with_short_texts(shown), "texts_cut": True}


def without_prompts(record: Shown) -> Shown:
    """Its variants' scenes without prompts, which are at each variant's scenes_url."""

    def of_variant(variant: Shown) -> Shown:
        scenes = [{name: scene[name] for name in scene if name != "sora_prompt"} for scene in variant["scenes"]]
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": scenes}

    return {**record, "prompts_omitted": True, "variants": [of_variant(variant) for variant in record["variants"]]}


def without_scenes(record: Shown) -> Shown:
    """Its variants without scenes, which are at each variant's scenes_url."""

    def of_variant(variant: Shown) -> Shown:
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": []}

    return {**record, "scenes_omitted": True, "variants": [of_variant(variant) for variant in record["variants"]]}


def without_metadata(generation: Shown) -> Shown:
    """The generation without metadata, which is at its metadata_urls, one for each kind there is."""
    kinds: Mapping[str, Any] = generation["metadata"]
    nothing = dict.fromkeys(kinds)
    base = f"/history/generations/{generation['id']}/metadata"
    links = {kind: f"{base}/{kind}" for kind, value in kinds.items() if value is not None}
    return {
        **generation,
        "metadata_omitted": True,
        "metadata_urls": links,
        "metadata": nothing,
        "generation_metadata": [{**row, **nothing} for row in generation["generation_metadata"]],
    }


def with_short_texts(record: Shown) -> Shown:
    """The record with its long texts cut, but for a prompt."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value if len(value) <= MAX_TEXT_CHARACTERS else value[:MAX_TEXT_CHARACTERS] + "…"
        if isinstance(value, list):
            return [cut(each) for each in cast("list[Any]", value)]
        return with_short_texts(cast("Shown", value)) if isinstance(value, dict) else value

    return {name: value if name == "sora_prompt" else cut(value) for name, value in record.items()}


def _scenes_url(variant: Mapping[str, Any]) -> str:
    return f"/history/variants/{variant['id']}/scenes"
