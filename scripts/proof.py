"""The proof, once no work is left, that nothing was lost, nothing was paid for twice, and that every number is right.

It compares what the database, the provider and the object store say by themselves; it trusts no counter of ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import psycopg
import requests
from psycopg.rows import dict_row

from generation_history.models import FAILURE_CODES, Status
from generation_history.object_store import ObjectStore, key_of
from scripts.local.simulator.directives import read_directives
from scripts.local.simulator.picture import digest

ASK_SECONDS = 30
Row = Mapping[str, Any]

_SCENES = """
    select s.id::text, s.sora_prompt as prompt, s.status, s.attempt, s.error_code, s.video_url, s.thumbnail_url,
        s.file_size, s.error_message, v.generation_id::text,
        array(select a.sora_video_id from attempts a
            where a.scene_id = s.id and a.sora_video_id is not null order by 1) as video_ids,
        (select a.outcome from attempts a where a.scene_id = s.id and a.attempt = s.attempt) as outcome
    from scenes s join variants v on v.id = s.variant_id
"""
_VARIANTS = """
    select v.id::text, v.status, v.scenes_completed, v.total_scenes,
        array(select s.status from scenes s where s.variant_id = v.id) as scenes
    from variants v
"""
_GENERATIONS = """
    select g.id::text, g.status, g.error_message,
        array(select s.status from scenes s join variants v on v.id = s.variant_id
            where v.generation_id = g.id) as scenes
    from generations g
"""
_JOBS = "select scene_id::text, step, lease_token, last_error from jobs"


@dataclass
class Proof:
    """What was found. Every number but the first four must be 0; problems says in words what does not hold."""

    scenes: int = 0
    completed: int = 0
    failed: dict[str, int] = field(default_factory=dict[str, int])
    provider_jobs: int = 0
    unfinished_scenes: int = 0
    unfit_failures: int = 0
    double_posts: int = 0
    lost_jobs: int = 0
    orphans: int = 0
    missing: int = 0
    wrong_objects: int = 0
    wrong_totals: int = 0
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

    def found(self, figure: str, problem: str) -> None:
        """One more of this figure, and why."""
        setattr(self, figure, getattr(self, figure) + 1)
        self.problems.append(problem)


def prove(admin_url: str, store: ObjectStore, provider_url: str) -> Proof:
    """The proof over everything in this database, this bucket and this simulator, none of which holds anything else.

    Each scene's prompt is its own: a provider job belongs to the scene of its prompt.
    """
    proof = Proof()
    with psycopg.connect(admin_url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        scenes, variants, generations, jobs = (
            cursor.execute(query).fetchall() for query in (_SCENES, _VARIANTS, _GENERATIONS, _JOBS)
        )
    for job in jobs:
        proof.found("jobs_left", f"scene {job['scene_id']} is still to {job['step']}: {job['last_error']}")
        proof.leases_left += job["lease_token"] is not None
    _check_scenes(proof, scenes)
    _check_payments(proof, scenes, _provider_jobs(provider_url))
    _check_objects(proof, scenes, store)
    _check_totals(proof, variants, generations)
    return proof


def _provider_jobs(provider_url: str) -> dict[str, list[str]]:
    """The ids of every job the provider ever accepted, by prompt."""
    answer = requests.get(f"{provider_url.removesuffix('/v1')}/simulator/jobs", timeout=ASK_SECONDS).json()
    found: dict[str, list[str]] = {}
    for job in answer["jobs"]:
        found.setdefault(job["prompt"], []).append(job["id"])
    return found


def _check_scenes(proof: Proof, scenes: Sequence[Row]) -> None:
    proof.scenes = len(scenes)
    for scene in scenes:
        status, code = scene["status"], scene["error_code"]
        name = f"scene {scene['id']} ({scene['prompt']!r})"
        if status == "completed":
            proof.completed += 1
            if scene["outcome"] != "stored" or scene["video_url"] is None:
                proof.found("unfinished_scenes", f"{name} is completed, its attempt {scene['outcome']}")
        elif status == "failed":
            proof.failed[str(code)] = proof.failed.get(str(code), 0) + 1
            if not _fits(scene):
                proof.found("unfit_failures", f"{name} failed as {code}: {scene['error_message']}")
        else:
            proof.found("unfinished_scenes", f"{name} is {status}")


def _fits(scene: Row) -> bool:
    """Whether this failure is what the prompt asked the simulator for, or a POST that provably made no job."""
    code, asked = scene["error_code"], read_directives(scene["prompt"])
    if code == "submit_unknown":
        # That the provider has no job of it is checked with the payments.
        return not scene["video_ids"] or scene["attempt"] > 1
    wanted = {end[0] for end in (asked.rejection, asked.failure) if end}
    return code in FAILURE_CODES and (
        code in {"provider_failed" if end == "provider_error" else end for end in wanted}
        or (code == "expired" and asked.expires_after is not None)
    )


def _check_payments(proof: Proof, scenes: Sequence[Row], jobs: Mapping[str, Sequence[str]]) -> None:
    """The provider's jobs of a prompt are those that its scene's attempts name: none is lost, none was paid twice."""
    proof.provider_jobs = sum(len(ids) for ids in jobs.values())
    by_prompt = {scene["prompt"]: scene for scene in scenes}
    for prompt, ids in jobs.items():
        scene = by_prompt.get(prompt)
        known: list[str] = [] if scene is None else scene["video_ids"]
        for lost in sorted(set(ids) - set(known)):
            proof.found("lost_jobs", f"no scene knows {lost}, a paid job of {prompt!r}")
        for _ in range(len(ids) - (scene["attempt"] if scene else 0)):
            proof.found("double_posts", f"{len(ids)} jobs were made of {prompt!r}")
    for scene in scenes:
        for unknown in sorted(set(scene["video_ids"]) - set(jobs.get(scene["prompt"], []))):
            proof.found("lost_jobs", f"scene {scene['id']} names {unknown}, which is no job of its prompt")


def _check_objects(proof: Proof, scenes: Sequence[Row], store: ObjectStore) -> None:
    """Every object is named by one row, every named object is there, and a video is its own prompt's, whole."""
    named: dict[str | None, Row] = {
        key_of(url, scene["generation_id"]): scene
        for scene in scenes
        for url in (scene["video_url"], scene["thumbnail_url"])
        if url is not None
    }
    stored = {key for key, _modified in store.keys("")}
    for key in sorted(stored - named.keys()):
        proof.found("orphans", f"no row names the object {key}")
    for key, scene in named.items():
        if key not in stored:
            proof.found("missing", f"scene {scene['id']} names an object that is not there: {key}")
        elif key.endswith(".mp4"):
            video = requests.get(store.signed_url(key)[0], timeout=ASK_SECONDS).content
            # The simulator writes the prompt's digest into its video.
            if len(video) != scene["file_size"] or digest(scene["prompt"]).hex().encode() not in video:
                proof.found("wrong_objects", f"{key} is not the video of scene {scene['id']}")


def _check_totals(proof: Proof, variants: Sequence[Row], generations: Sequence[Row]) -> None:
    for variant in variants:
        scenes = variant["scenes"]
        expected = (_status(scenes, some_are_enough=False), scenes.count("completed"), len(scenes))
        if (variant["status"], variant["scenes_completed"], variant["total_scenes"]) != expected:
            proof.found("wrong_totals", f"variant {variant['id']} is not {expected}: {dict(variant)}")
    for generation in generations:
        scenes = generation["scenes"]
        failed = scenes.count("failed")
        expected = (
            _status(scenes, some_are_enough=True),
            f"{failed} of {len(scenes)} scenes failed" if failed else None,
        )
        if (generation["status"], generation["error_message"]) != expected:
            proof.found("wrong_totals", f"generation {generation['id']} is not {expected}: {dict(generation)}")


def _status(scenes: Sequence[str], *, some_are_enough: bool) -> Status:
    pending, processing, completed, failed = get_args(Status)
    if set(scenes) - {completed, failed}:
        return pending if set(scenes) == {pending} else processing
    enough = "completed" in scenes if some_are_enough else "failed" not in scenes
    return completed if enough else failed
