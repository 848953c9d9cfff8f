"""What is too large to be carried is left out of a record and linked, or cut."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from generation_history import json_codec

#: With what is around it in its answer it is carried.
MAX_RECORD_BYTES: Final = json_codec.MAX_BODY_BYTES - 2 * json_codec.AROUND_BYTES
#: A text longer than this is cut where nothing else helps; a prompt never is.
MAX_TEXT_CHARACTERS: Final = 5_000

#: A record as HTTP shows it.
HttpRecord = dict[str, Any]


def trim_to_fit(record: HttpRecord, *trims: Callable[[HttpRecord], HttpRecord]) -> HttpRecord:
    """The record, or else the first of its trimmed forms, that the platform carries.

    Where all are too large, the last form's texts are cut. That always fits: no row makes a list or itself unreadable.
    """
    trimmed = record
    for trim in trims:
        if json_codec.fits(json_codec.to_json(trimmed), MAX_RECORD_BYTES):
            return trimmed
        trimmed = trim(record)
    fits = json_codec.fits(json_codec.to_json(trimmed), MAX_RECORD_BYTES)
    return trimmed if fits else {**with_short_texts(trimmed), "texts_cut": True}


def without_prompts(record: HttpRecord) -> HttpRecord:
    """Its variants' scenes without prompts, which are at each variant's scenes_url."""

    def trim_variant(variant: HttpRecord) -> HttpRecord:
        scenes = [{name: scene[name] for name in scene if name != "sora_prompt"} for scene in variant["scenes"]]
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": scenes}

    return {**record, "prompts_omitted": True, "variants": [trim_variant(variant) for variant in record["variants"]]}


def without_scenes(record: HttpRecord) -> HttpRecord:
    """Its variants without scenes, which are at each variant's scenes_url."""

    def trim_variant(variant: HttpRecord) -> HttpRecord:
        return {**variant, "scenes_url": _scenes_url(variant), "scenes": []}

    return {**record, "scenes_omitted": True, "variants": [trim_variant(variant) for variant in record["variants"]]}


def without_metadata(generation: HttpRecord) -> HttpRecord:
    """The generation without metadata, which is at its metadata_urls, one for each kind there is."""
    kinds: Mapping[str, Any] = generation["metadata"]
    empty_metadata = dict.fromkeys(kinds)
    base = f"/history/generations/{generation['id']}/metadata"
    links = {kind: f"{base}/{kind}" for kind, value in kinds.items() if value is not None}
    return {
        **generation,
        "metadata_omitted": True,
        "metadata_urls": links,
        "metadata": empty_metadata,
        "generation_metadata": [{**row, **empty_metadata} for row in generation["generation_metadata"]],
    }


def with_short_texts(record: HttpRecord) -> HttpRecord:
    """The record with its long texts cut, but for a prompt."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value if len(value) <= MAX_TEXT_CHARACTERS else value[:MAX_TEXT_CHARACTERS] + "…"
        if isinstance(value, list):
            return [cut(item) for item in cast("list[Any]", value)]
        return with_short_texts(cast("HttpRecord", value)) if isinstance(value, dict) else value

    return {name: value if name == "sora_prompt" else cut(value) for name, value in record.items()}


def _scenes_url(variant: Mapping[str, Any]) -> str:
    return f"/history/variants/{variant['id']}/scenes"
