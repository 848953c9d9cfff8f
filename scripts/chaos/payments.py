"""What was paid for: the provider's own word on every POST and job, held against the attempts that the database keeps.

A POST that was refused, or answered with a 429, provably made no job. Every other one may have made one, whatever came
back, and belongs to the attempt whose intent was committed last before it came. Of attempts that the database has
forgotten, because it failed over or was restored, the intents in the bucket are the word.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import requests
from psycopg.rows import dict_row

from generation_history.storage.object_store import ObjectStore
from generation_history.work.intents import Intent
from scripts.operate.bucket_intents import BucketIntents, read_intents

Row = Mapping[str, Any]
#: A figure of the proof that is too high by one, and why.
Finding = tuple[str, str]

ASK_SECONDS = 30
CENT = Decimal("0.01")
#: The outcome of an attempt that only its intent in the bucket knows.
FORGOTTEN: Final = "forgotten"
_MADE_NO_JOB = {"refused", "busy"}
#: What an attempt without a job says that was refused.
_REFUSED = {"submit_rejected", "moderation_blocked"}

_ATTEMPTS = """
    select s.id::text as scene_id, v.generation_id::text, s.sora_prompt as prompt, a.attempt, a.outcome, a.error_code,
        a.sora_video_id as video_id, a.intended_at, false as purged
    from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
"""
_PURGED_ATTEMPTS = """
    select s.id::text as scene_id, null as generation_id, s.sora_prompt as prompt, a.attempt, a.outcome, a.error_code,
        a.sora_video_id as video_id, a.intended_at, true as purged
    from witness.attempts a join witness.scenes s on s.id = a.scene_id
"""
_PRICES = """
    select provider, model, size, usd_per_second, valid_from, nullif(valid_to, 'infinity') as valid_to from prices
"""
_GENERATIONS = "select id::text, actual_cost from generations where not actual_cost_reported"

#: Keeps the scenes and attempts that a purge removes: what was paid for them is still to be proven.
_WATCH = """
    create schema witness;
    create table witness.scenes (like public.scenes);
    create table witness.attempts (like public.attempts);
    create function witness.remember() returns trigger
    language plpgsql security definer set search_path = pg_catalog as $$
    begin
        execute format('insert into witness.%I select ($1).*', tg_table_name) using old;
        return null;
    end $$;
    create trigger remember after delete on public.scenes for each row execute function witness.remember();
    create trigger remember after delete on public.attempts for each row execute function witness.remember();
"""


@dataclass(frozen=True)
class Payments:
    """Every attempt, every POST that came to the provider, every job it made, and every intent in the bucket.

    Among the attempts are those of what was purged since, and those that the database has forgotten: what an intent
    says is all that is known of these.
    """

    attempts: Sequence[Row]
    posts: Sequence[Row]
    jobs: Mapping[str, Row]
    intents: BucketIntents

    @property
    def open_posts(self) -> list[Row]:
        """The POSTs that may have made a job."""
        return [post for post in self.posts if post["answer"] not in _MADE_NO_JOB]

    def posts_by_prompt(self) -> Iterator[tuple[str, list[Row], defaultdict[int | None, list[Row]]]]:
        """Each prompt with its attempts in order, and with its open POSTs by the number of the attempt they belong to.

        A prompt is one scene's own. POSTs that no intent was committed before are those of None.
        """
        attempts: defaultdict[str, list[Row]] = defaultdict(list)
        for attempt in sorted(self.attempts, key=lambda row: row["attempt"]):
            attempts[attempt["prompt"]].append(attempt)
        posts: defaultdict[str, list[Row]] = defaultdict(list)
        for post in self.open_posts:
            posts[post["prompt"]].append(post)
        for prompt in attempts.keys() | posts.keys():
            posts_by_attempt: defaultdict[int | None, list[Row]] = defaultdict(list)
            for post in posts[prompt]:
                arrived_at = datetime.fromtimestamp(post["arrived_at"], UTC)
                numbers = [
                    row["attempt"]
                    for row in attempts[prompt]
                    if row["intended_at"] and row["intended_at"] <= arrived_at
                ]
                posts_by_attempt[max(numbers, default=None)].append(post)
            yield prompt, attempts[prompt], posts_by_attempt


def watch(admin_url: str) -> None:
    """From now on a superuser's own tables keep what a purge removes."""
    with psycopg.connect(admin_url) as connection:
        connection.execute(_WATCH)


def read_payments(admin_url: str, store: ObjectStore, provider_url: str) -> Payments:
    """What the database, the bucket and the provider each say was paid for."""
    with psycopg.connect(admin_url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        attempts = cursor.execute(_ATTEMPTS).fetchall()
        if cursor.execute("select 1 from pg_namespace where nspname = 'witness'").fetchone():
            attempts += cursor.execute(_PURGED_ATTEMPTS).fetchall()
    jobs, posts = _read_simulator(provider_url, "jobs"), _read_simulator(provider_url, "arrivals")
    prompts = {row["prompt"] for row in (*attempts, *posts)}
    intents = read_intents(store, prompts)
    places = {_place(attempt) for attempt in attempts}
    forgotten = [_forgotten(intents, place) for place in intents.by_attempt if place not in places]
    attempts = [_posted(attempt, intents.by_attempt.get(_place(attempt))) for attempt in attempts]
    return Payments([*attempts, *forgotten], posts, {job["id"]: job for job in jobs}, intents)


def _place(attempt: Row) -> tuple[str, int]:
    return attempt["scene_id"], attempt["attempt"]


def _posted(attempt: Row, intent: Intent | None) -> Row:
    """The attempt with the time of its POST.

    Where the database forgot that, who came to the scene next intended it anew before the bucket was asked, and the job
    may have been recorded then.
    """
    if intent is None or attempt["intended_at"] is None:
        return attempt
    return {**attempt, "intended_at": min(attempt["intended_at"], intent.intended_at)}


def _forgotten(intents: BucketIntents, place: tuple[str, int]) -> Row:
    """An attempt that the database does not know, as far as its intent does."""
    intent = intents.by_attempt[place]
    return {
        "scene_id": place[0],
        "generation_id": str(intent.generation_id),
        "prompt": intents.prompt(intent),
        "attempt": intent.attempt,
        "outcome": FORGOTTEN,
        "error_code": None,
        "video_id": intent.job_id,
        "intended_at": intent.intended_at,
        "purged": intent.purged,
    }


def _read_simulator(provider_url: str, kind: str) -> list[Row]:
    url = f"{provider_url.removesuffix('/v1')}/simulator/{kind}"
    return requests.get(url, timeout=ASK_SECONDS).json()[kind]


def check_posts(payments: Payments, reported: Collection[tuple[str, int]]) -> Iterator[Finding]:
    """An attempt was posted once at most, all its POSTs that provably made no job aside, and names the job it made.

    A job that nobody heard of and the database has forgotten is not lost while scripts/reconcile reports it.
    """
    for prompt, attempts, posts in payments.posts_by_prompt():
        for post in posts[None]:
            yield "double_posts", f"{prompt!r} was posted before any intent was committed"
            if post["job_id"]:
                yield "lost_jobs", f"no attempt knows {post['job_id']}, a paid job of {prompt!r}"
        for attempt in attempts:
            is_reported = attempt["video_id"] is None and (attempt["scene_id"], attempt["attempt"]) in reported
            yield from _check_attempt(attempt, posts[attempt["attempt"]], is_reported=is_reported)


def _check_attempt(attempt: Row, posts: Sequence[Row], *, is_reported: bool) -> Iterator[Finding]:
    name = f"attempt {attempt['attempt']} of {attempt['prompt']!r}"
    for _ in posts[1:]:
        answers = ", ".join(post["answer"] or "nothing" for post in posts)
        yield "double_posts", f"{name} was posted {len(posts)} times: {answers}"
    if posts and _denies(attempt) and not attempt["purged"]:
        yield "untold_posts", f"{name} was posted, and says {attempt['outcome']} {attempt['error_code']}"
    job_ids = {post["job_id"] for post in posts if post["job_id"]}
    # Whose generation was purged wanted nothing of it any more: what the database had forgotten stayed so.
    for job_id in sorted(job_ids - {attempt["video_id"]}) if not attempt["purged"] and not is_reported else []:
        yield "lost_jobs", f"no attempt knows {job_id}, a paid job of {attempt['prompt']!r}"
    if attempt["video_id"] is not None and attempt["video_id"] not in job_ids:
        yield "lost_jobs", f"{name} names {attempt['video_id']}, which no POST of it made"


def _denies(attempt: Row) -> bool:
    """Whether the attempt says that no POST of it can have made a job."""
    is_refused = attempt["outcome"] == "failed" and attempt["error_code"] in _REFUSED
    return attempt["video_id"] is None and (is_refused or attempt["outcome"] == "not_sent")


def check_costs(
    admin_url: str, provider_url: str, payments: Payments, told: Collection[tuple[str, int]]
) -> Iterator[Finding]:
    """Each generation's actual cost is that of the jobs which the provider rendered for it, by the prices then.

    A scene that a failover has forgotten has no row to hold a cost; scripts/reconcile tells of its attempts (told).
    Of a purge that the database has forgotten nothing is recorded again.
    """
    with psycopg.connect(admin_url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        prices, generations = (cursor.execute(query).fetchall() for query in (_PRICES, _GENERATIONS))
    host = urlsplit(provider_url).hostname
    costs: defaultdict[str | None, list[Decimal | None]] = defaultdict(list)
    for attempt in payments.attempts:
        job = payments.jobs.get(attempt["video_id"])
        # What came late for a deleted generation is fetched when that is restored; nobody has asked for it until then.
        counts = attempt["outcome"] != "late" and not attempt["purged"] and _place(attempt) not in told
        if job is not None and job["status"] == "completed" and counts:
            costs[attempt["generation_id"]].append(_cost(job, attempt["intended_at"], host, prices))
    for generation in generations:
        expected = _sum(costs[generation["id"]])
        if generation["actual_cost"] != expected:
            problem = f"says {generation['actual_cost']}, and its jobs cost {expected}"
            yield "wrong_costs", f"generation {generation['id']} {problem}"


def _cost(job: Row, moment: datetime, host: str | None, prices: Iterable[Row]) -> Decimal | None:
    """None where nobody knows what such a video cost."""
    valid_prices = [
        price
        for price in prices
        if (price["provider"], price["model"]) == (host, job["model"])
        and price["size"] in {job["size"], "*"}
        and price["valid_from"] <= moment
        and (price["valid_to"] is None or moment < price["valid_to"])
    ]
    closest = max(valid_prices, key=lambda price: (price["size"] != "*", price["valid_from"]), default=None)
    return closest["usd_per_second"] * int(job["seconds"]) if closest else None


def _sum(costs: Sequence[Decimal | None]) -> Decimal | None:
    amounts = [cost for cost in costs if cost is not None]
    return sum(amounts, Decimal()).quantize(CENT, ROUND_HALF_UP) if costs and len(amounts) == len(costs) else None


def count_unposted(payments: Payments) -> int:
    """The number of attempts beyond the POSTs that may have made a job: those that were refused or never left."""
    post_counts = Counter(post["prompt"] for post in payments.open_posts)
    return sum((Counter(attempt["prompt"] for attempt in payments.attempts) - post_counts).values())
