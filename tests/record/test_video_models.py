"""The models of the catalogue and an operator's own, as the table has them."""

import json

import pytest

from generation_history.errors import NotConfigured
from generation_history.record.video_models import VideoModels

OURS = "fal:google/gemini-omni-flash"
DEFINITION = {
    "name": "fal:my/model",
    "prompt": "text",
    "duration": {"field": "seconds", "as": "number", "from": 4, "to": 6},
    "sizes": {"720x1280": {"shape": "tall"}},
    "default": {"size": "720x1280", "seconds": 4},
    "checked": "2026-12-01",
}


@pytest.fixture
def add(db):
    def add(**changes: object) -> None:
        definition = DEFINITION | changes
        insert = "insert into video_models (name, definition) values (%s, %s)"
        db.rows(insert, definition["name"], json.dumps(definition))

    return add


def test_an_operators_model_is_beside_ours(worker_db, add):
    add()

    models = VideoModels(worker_db).catalogue().models

    assert models["fal:my/model"].duration.choices == [4, 5, 6]
    assert OURS in models


def test_an_operators_entry_goes_before_ours_of_the_same_name(worker_db, add):
    add(name=OURS)

    assert VideoModels(worker_db).catalogue().models[OURS].prompt == "text"


def test_work_waits_for_an_entry_that_cannot_be_read_and_no_scene_fails_by_it(worker_db, add):
    """It may be the entry of any model: a default that it corrects would be asked for in vain."""
    add(default={"size": "1080x1920", "seconds": 4})

    with pytest.raises(NotConfigured, match=r"^the table video_models has an entry .*default: must be a size"):
        VideoModels(worker_db).catalogue()
