"""The limits stand once: what the database's own constraints hold is what limits.py says."""

import re

import pytest

from generation_history import limits

CONSTRAINTS = {
    "generations_source_video_url_length": limits.MAX_SOURCE_URL,
    "scenes_sora_prompt_length": limits.MAX_PROMPT,
    "scenes_scene_number": limits.MAX_SCENE_NUMBER,
    "scenes_seconds": limits.MAX_SECONDS,
    "idempotency_keys_key": limits.MAX_IDEMPOTENCY_KEY,
}


@pytest.mark.parametrize(("constraint", "limit"), CONSTRAINTS.items(), ids=CONSTRAINTS.keys())
def test_a_constraint_of_the_database_has_the_limit(db, constraint: str, limit: int):
    ((definition,),) = db.rows("select pg_get_constraintdef(oid) from pg_constraint where conname = %s", constraint)

    assert max(map(int, re.findall(r"\d+", definition))) == limit


def test_a_late_answers_id_is_as_long_as_an_index_takes(db):
    ((body,),) = db.rows("select prosrc from pg_proc where proname = 'record_late_answer'")

    assert f"octet_length(p_sora_video_id) > {limits.MAX_JOB_ID_BYTES}" in body
