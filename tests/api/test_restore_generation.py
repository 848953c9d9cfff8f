"""POST /history/generations/{id}/restore: a deleted generation is shown again, and anything else is not found."""

import uuid

import pytest

from generation_history.record.generation_manager import GenerationManager


@pytest.fixture
def restore(call):
    """Asks for a generation to be restored."""
    return lambda generation_id, **more: call("generations", f"/{generation_id}/restore", method="POST", **more)


@pytest.fixture
def deleted(open_to_one, manager, generation_factory) -> dict:
    generation = generation_factory(2, submit=True)
    assert manager.delete_generation(generation["id"])
    return generation


def test_a_restored_generation_is_shown_again(call, restore, deleted):
    assert call("generations", f"/{deleted['id']}").status == 404

    answer = restore(deleted["id"])

    assert (answer.status, answer.json) == (200, {"success": True, "message": "Generation restored"})
    assert call("generations", f"/{deleted['id']}").json["generation"]["id"] == deleted["id"]
    assert call("generations").json["count"] == 1


def test_deleting_and_restoring_over_http_undo_each_other(call, restore, open_to_one, generation_factory, db):
    generation = generation_factory(2, submit=True)

    assert call("generations", f"/{generation['id']}", method="DELETE").status == 200
    assert db.rows("select 1 from jobs") == []
    assert restore(generation["id"]).status == 200

    assert db.rows("select step from jobs") == [("submit",)] * 2


def test_restoring_twice_is_not_found(restore, deleted):
    restore(deleted["id"])

    assert "deleted" in restore(deleted["id"]).refused(404, "not_found")


def test_what_is_not_deleted_or_unknown_is_not_found(restore, open_to_one, generation_factory):
    restore(generation_factory(1)["id"]).refused(404, "not_found")
    restore(uuid.uuid4()).refused(404, "not_found")


def test_an_id_that_is_none_is_refused(restore, open_to_one, db):
    assert "generation_id" in restore("no-id").refused(400, "invalid_value")


def test_what_is_being_purged_is_not_found(restore, deleted, db):
    db.rows("update generations set purging_since = now()")

    restore(deleted["id"]).refused(404, "not_found")


def test_someone_elses_is_not_found_and_stays_deleted(restore, by_token, db):
    owner = str(uuid.uuid4())
    by_owner = GenerationManager(owner)
    generation = by_owner.create_generation("https://video.example/ad", "url", ["soft"], None)
    by_owner.delete_generation(generation["id"])

    restore(generation["id"], headers=by_token(sub=str(uuid.uuid4()))).refused(404, "not_found")
    assert db.rows("select count(*) from generations where deleted_at is not null") == [(1,)]

    assert restore(generation["id"], headers=by_token(sub=owner)).status == 200


def test_restoring_needs_a_token(restore, by_token, db):
    by_token()

    restore(uuid.uuid4()).refused(401, "not_authenticated")


def test_restoring_is_asked_for_by_post_alone(call, deleted):
    for method in ("GET", "DELETE", "PUT"):
        call("generations", f"/{deleted['id']}/restore", method=method).refused(405, "method_not_allowed")
