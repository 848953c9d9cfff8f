"""Ids sort by time, and have a short form that does not say the time."""

from uuid import UUID

from generation_history.ids import short_id, uuid7


def test_ids_of_one_moment_begin_alike_and_their_short_forms_differ(monkeypatch):
    """The old page and its logs named generations by the beginning."""
    monkeypatch.setattr("time.time_ns", lambda: 1_790_000_000_000_000_000)
    made = [uuid7() for _ in range(20)]

    assert len({str(one)[:8] for one in made}) == 1
    assert len({short_id(one) for one in made}) == 20


def test_a_short_id_is_the_same_for_an_id_and_its_text():
    text = "01a21055-74f0-7849-9a80-bc2191f48b60"

    assert short_id(text) == short_id(UUID(text)) == "91f48b60"
