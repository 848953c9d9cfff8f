"""The proof, once no work is left, that nothing was lost, nothing was paid for twice, and that every number is right.

It compares what the database, the provider and the object store say by themselves; it trusts no counter of ours.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import psycopg
import requests
from psycopg.rows import dict_row

from generation_history.models import FAILURE_CODES, Status
from generation_history.record.generation_manager import GenerationManager
from generation_history.storage import quarantine
from generation_history.storage.keys import owned_key, scene_key, thumbnail_key
from generation_history.storage.object_store import ObjectStore
from generation_history.work import intents
from scripts.chaos.intent_checks import check_intents, count_unheard, read_unknown
from scripts.chaos.payments import ASK_SECONDS, FORGOTTEN, Row, check_costs, check_posts, count_unposted, read_payments
from scripts.local.simulator.directives import read_directives
from scripts.local.simulator.picture import digest

_SCENES = """
    select s.id::text, s.sora_prompt as prompt, s.status, s.attempt, s.error_code, s.video_url, s.thumbnail_url,
        s.file_size, s.duration, s.error_message, v.generation_id::text, g.owner_id,
        g.deleted_at is not null as deleted,
        (select a.sora_video_id from attempts a where a.scene_id = s.id and a.attempt = s.attempt) as video_id,
        (select a.outcome from attempts a where a.scene_id = s.id and a.attempt = s.attempt) as outcome,
        (select array[a.video_url, a.thumbnail_url] from attempts a
            where a.scene_id = s.id and a.attempt = s.attempt) as own
    from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
"""
_VARIANTS = """
    select v.id::text, v.status, v.scenes_completed, v.total_scenes,
        array(select s.status from scenes s where s.variant_id = v.id) as scenes
    from variants v
"""
_GENERATIONS = """
    select g.id::text, g.owner_id, g.status, g.error_message, g.actual_cost, g.deleted_at is not null as deleted,
        array(select s.status from scenes s join variants v on v.id = s.variant_id
            where v.generation_id = g.id) as scenes
    from generations g
"""
_VERSIONS = """
    select s.id::text, s.sora_prompt as prompt, v.generation_id::text, a.video_url, a.thumbnail_url, a.file_size
    from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
    where a.video_url is not null
"""
_UNFETCHED = """
    select s.id::text, a.attempt, a.outcome
    from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
    join generations g on g.id = v.generation_id
    where g.deleted_at is null
        and (a.outcome in ('intended', 'accepted', 'adopted', 'late') or a.outcome = 'stored' and a.video_url is null)
"""
# Their generations are deleted: a worker goes on with what is there once they are restored.
_AWAITED = """
    select v.generation_id, v.variant_type, s.scene_number, a.attempt
    from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
    join generations g on g.id = v.generation_id
    where a.outcome = 'late' and g.deleted_at is not null
"""
_JOBS = "select scene_id::text, step, lease_token, last_error from jobs"


@dataclass
class Proof:
    """What was found. Every number from unfinished_scenes on must be 0; problems says in words what does not hold.

    posts are those that may have made a job, refused_posts those that provably made none, as the provider saw them;
    attempts without a post are unposted_attempts, so posts = attempts - unposted_attempts where nothing is wrong.
    Of forgotten_attempts only the bucket knows; of unheard_jobs it knows no more than that they were posted.
    """

    scenes: int = 0
    completed: int = 0
    failed: dict[str, int] = field(default_factory=dict[str, int])
    provider_jobs: int = 0
    attempts: int = 0
    unposted_attempts: int = 0
    forgotten_attempts: int = 0
    posts: int = 0
    refused_posts: int = 0
    intents: int = 0
    unheard_jobs: int = 0
    cents: int = 0
    unfinished_scenes: int = 0
    unfit_failures: int = 0
    double_posts: int = 0
    untold_posts: int = 0
    lost_jobs: int = 0
    unfetched_jobs: int = 0
    unrecorded_jobs: int = 0
    unintended_posts: int = 0
    wrong_intents: int = 0
    orphans: int = 0
    missing: int = 0
    wrong_objects: int = 0
    wrong_totals: int = 0
    wrong_costs: int = 0
    jobs_left: int = 0
    leases_left: int = 0
    problems: list[str] = field(default_factory=list[str])

    @property
    def holds(self) -> bool:
        """Whether all of it is as it must be."""
        return not self.problems

    def __str__(self) -> str:
        """The figures on one line."""
        figures = {name: value for name, value in vars(self).items() if name not in {"failed", "problems"}}
        failed = ",".join(f"{code}:{number}" for code, number in sorted(self.failed.items())) or "none"
        return " ".join([*(f"{name}={value}" for name, value in figures.items()), f"failed={failed}"])

    def add_problem(self, figure: str, problem: str) -> None:
        """Adds one to this figure, and the problem to the list."""
        setattr(self, figure, getattr(self, figure) + 1)
        self.problems.append(problem)


def prove(admin_url: str, store: ObjectStore, provider_url: str) -> Proof:
    """The proof over everything in this database, this bucket and this simulator, none of which holds anything else.

    Each scene's prompt is its own: a provider job belongs to the scene of its prompt. DATABASE_URL names this database.
    """
    proof = Proof()
    payments = read_payments(admin_url, store, provider_url)
    unknown = read_unknown(admin_url, store)
    with psycopg.connect(admin_url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        scenes, variants, generations, jobs, versions, unfetched, awaited = (
            cursor.execute(query).fetchall()
            for query in (_SCENES, _VARIANTS, _GENERATIONS, _JOBS, _VERSIONS, _UNFETCHED, _AWAITED)
        )
    for job in jobs:
        proof.add_problem("jobs_left", f"scene {job['scene_id']} is still to {job['step']}: {job['last_error']}")
        proof.leases_left += job["lease_token"] is not None
    _check_scenes(proof, scenes)
    for attempt in unfetched:
        detail = f"is {attempt['outcome']}, and has no video"
        proof.add_problem("unfetched_jobs", f"attempt {attempt['attempt']} of scene {attempt['id']} {detail}")
    videos = [
        scene_key(row["generation_id"], row["variant_type"], row["scene_number"], attempt=row["attempt"])
        for row in awaited
    ]
    spared_keys = {*videos, *map(thumbnail_key, videos)}
    _check_objects(
        proof, [*scenes, *versions], store, forgotten_generations=set(unknown.values()), spared_keys=spared_keys
    )
    _check_totals(proof, variants, generations)
    _check_statistics(proof, scenes, generations)
    proof.provider_jobs = len(payments.jobs)
    proof.attempts, proof.unposted_attempts = len(payments.attempts), count_unposted(payments)
    proof.forgotten_attempts = sum(attempt["outcome"] == FORGOTTEN for attempt in payments.attempts)
    proof.intents, proof.unheard_jobs = len(payments.intents.by_attempt), count_unheard(payments)
    proof.posts = len(payments.open_posts)
    proof.refused_posts = len(payments.posts) - proof.posts
    proof.cents = int(100 * sum(generation["actual_cost"] or 0 for generation in generations))
    for figure, problem in (
        *check_posts(payments, unknown),
        *check_intents(payments, unknown),
        *check_costs(admin_url, provider_url, payments, unknown),
    ):
        proof.add_problem(figure, problem)
    return proof


def _check_scenes(proof: Proof, scenes: Sequence[Row]) -> None:
    proof.scenes = len(scenes)
    for scene in scenes:
        status, code = scene["status"], scene["error_code"]
        name = f"scene {scene['id']} ({scene['prompt']!r})"
        if status == "completed":
            proof.completed += 1
            if scene["outcome"] != "stored" or scene["video_url"] is None:
                proof.add_problem("unfinished_scenes", f"{name} is completed, its attempt {scene['outcome']}")
            elif scene["own"] != [scene["video_url"], scene["thumbnail_url"]]:
                proof.add_problem("wrong_objects", f"{name} has other objects than its attempt: {scene['own']}")
        elif status == "failed":
            proof.failed[str(code)] = proof.failed.get(str(code), 0) + 1
            if not _fits(scene):
                proof.add_problem("unfit_failures", f"{name} failed as {code}: {scene['error_message']}")
        else:
            proof.add_problem("unfinished_scenes", f"{name} is {status}")


def _fits(scene: Row) -> bool:
    """Whether this failure is what the prompt asked for, or a person, or a POST that may have made no job."""
    code, directives = scene["error_code"], read_directives(scene["prompt"])
    if code == "submit_unknown":
        # That the provider has no job of it is checked with the payments.
        return scene["video_id"] is None
    if code == "cancelled":
        return scene["deleted"]
    codes = {end[0] for end in (directives.rejection, directives.failure) if end}
    return code in FAILURE_CODES and (
        code in {"provider_failed" if end == "provider_error" else end for end in codes}
        or (code == "expired" and directives.expires_after is not None)
    )


def _check_objects(
    proof: Proof,
    rows: Sequence[Row],
    store: ObjectStore,
    *,
    forgotten_generations: Collection[str],
    spared_keys: Collection[str],
) -> None:
    """Every object is named by a row, every named object is there, and a video is its own prompt's, whole.

    rows are the scenes, and the attempts with their own videos. Objects of forgotten generations are paid for: they
    stay until a person decides. A spared key is a late attempt's, which goes on with its object once it is restored.
    """
    rows_by_key: defaultdict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        for url in (row["video_url"], row["thumbnail_url"]):
            if url is not None:
                rows_by_key[owned_key(url, row["generation_id"])].append(row)
    # What is in quarantine was an orphan and is none any more, unless a row names it: then its object is missing.
    other_prefixes = (intents.PREFIX, quarantine.PREFIX)
    keys = {key for key, _modified in store.keys("") if not key.startswith(other_prefixes)}
    for key in sorted(keys - rows_by_key.keys()):
        if key.split("/")[1] not in forgotten_generations and key not in spared_keys:
            proof.add_problem("orphans", f"no row names the object {key}")
    for key, owners in rows_by_key.items():
        problem = _check_object(store, key, owners) if key in keys else None
        if key not in keys:
            proof.add_problem("missing", f"scene {owners[0]['id']} names an object that is not there: {key}")
        elif problem is not None:
            proof.add_problem("wrong_objects", problem)


def _check_object(store: ObjectStore, key: str | None, owners: Sequence[Row]) -> str | None:
    """What is wrong with an object that these rows name; None where nothing is."""
    if key is None or not key.endswith(".mp4"):
        return None
    video = requests.get(store.signed_url(key)[0], timeout=ASK_SECONDS).content
    # The simulator writes the prompt's digest into its video.
    if any(len(video) != row["file_size"] or not _is_of(video, row["prompt"]) for row in owners):
        return f"{key} is not the video of scene {owners[0]['id']}"
    return None


def _is_of(video: bytes, prompt: str) -> bool:
    return digest(prompt).hex().encode() in video


def _check_totals(proof: Proof, variants: Sequence[Row], generations: Sequence[Row]) -> None:
    for variant in variants:
        scenes = variant["scenes"]
        expected = (_status(scenes, some_are_enough=False), scenes.count("completed"), len(scenes))
        if (variant["status"], variant["scenes_completed"], variant["total_scenes"]) != expected:
            proof.add_problem("wrong_totals", f"variant {variant['id']} is not {expected}: {dict(variant)}")
    for generation in generations:
        scenes = generation["scenes"]
        failed_count = scenes.count("failed")
        expected = (
            _status(scenes, some_are_enough=True),
            f"{failed_count} of {len(scenes)} scenes failed" if failed_count else None,
        )
        if (generation["status"], generation["error_message"]) != expected:
            proof.add_problem("wrong_totals", f"generation {generation['id']} is not {expected}: {dict(generation)}")


def _check_statistics(proof: Proof, scenes: Sequence[Row], generations: Sequence[Row]) -> None:
    """What each owner is told adds up to what is there."""
    for owner in {generation["owner_id"] for generation in generations}:
        generations_of_owner = [row for row in generations if row["owner_id"] == owner and not row["deleted"]]
        videos = [
            row for row in scenes if row["owner_id"] == owner and not row["deleted"] and row["status"] == "completed"
        ]
        costs = [row["actual_cost"] for row in generations_of_owner]
        expected: dict[str, Any] = {
            "total_generations": len(generations_of_owner),
            **{status: sum(row["status"] == status for row in generations_of_owner) for status in get_args(Status)},
            "total_cost": float(sum(cost for cost in costs if cost is not None)),
            "cost_unknown": costs.count(None),
            "total_videos": len(videos),
            "total_bytes": sum(row["file_size"] for row in videos),
            "total_seconds": sum(row["duration"] for row in videos),
        }
        stats = GenerationManager(owner).get_stats()
        totals = {name: stats.get(name) for name in expected}
        if totals != expected:
            proof.add_problem("wrong_totals", f"owner {owner} is told {totals}, and there is {expected}")


def _status(scenes: Sequence[str], *, some_are_enough: bool) -> Status:
    pending, processing, completed, failed = get_args(Status)
    if set(scenes) - {completed, failed}:
        return pending if set(scenes) == {pending} else processing
    is_completed = "completed" in scenes if some_are_enough else "failed" not in scenes
    return completed if is_completed else failed
