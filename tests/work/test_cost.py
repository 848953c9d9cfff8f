"""A cost is what was rendered at the price of its POST, or unknown; and all totals add up."""

from decimal import ROUND_HALF_UP, Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation_history.errors import InvalidValue, NotSent, SceneFailure
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.pipeline_integrator import PipelineIntegrator
from generation_history.providers.factory import Providers
from tests.support.fakes import FakeProvider, fail_with
from tests.support.scripted_server import answer, hang_up

HOST = "127.0.0.1"
SECONDS = 8
#: What a default video costs by the usual price.
COST = 0.8


@pytest.fixture
def price(db):
    """Records a price, by default of the default video and valid around now."""

    def record(
        usd: object = "0.1", size: str = "*", model: str = "sora-2", since: str = "-1 day", until: str = "1 day"
    ):
        insert = """
            insert into prices (provider, model, size, usd_per_second, valid_from, valid_to, source)
            values (%s, %s, %s, %s, now() + %s::interval, now() + %s::interval, 'a test')
        """
        db.rows(insert, HOST, model, size, usd, since, until)

    return record


@pytest.fixture
def cost_of(db):
    """What a video of a second would cost now."""

    def ask(size: str = "720x1280", *, provider: str = HOST, model: str = "sora-2", seconds: int = 1) -> Decimal | None:
        return db.rows("select cost_of(%s, %s, %s, %s)", provider, model, size, seconds)[0][0]

    return ask


@pytest.fixture
def costs(scenes):
    """The actual cost of the generation of a scene."""

    def read(scene_id: str) -> float | None:
        return scenes.manager.get_generation(scenes.read(scene_id)["generation_id"])["actual_cost"]

    return read


# ------------------------------------------------------------ prices


def test_a_price_of_just_this_size_comes_before_one_of_any(price, cost_of):
    price("0.3", size="720x1280")
    price("0.1", size="*")

    assert (cost_of("720x1280"), cost_of("1x1"), cost_of("1x1", seconds=12)) == (
        Decimal("0.3"),
        Decimal("0.1"),
        Decimal("1.2"),
    )


def test_where_two_prices_are_valid_the_newer_one_counts(price, cost_of):
    price("0.1", since="-2 days")
    price("0.2", since="-1 day")
    price("0.3", since="1 hour")

    assert cost_of() == Decimal("0.2")


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("0", "1 microsecond", True),
        ("-1 microsecond", "0", False),
        ("1 microsecond", "1 day", False),
        ("-1 day", "infinity", True),
    ],
)
def test_a_price_is_valid_from_its_first_moment_to_just_before_its_last(db, since: str, until: str, found):
    with psycopg.connect(db.admin) as connection:
        insert = """
            insert into prices (provider, model, size, usd_per_second, valid_from, valid_to, source)
            values ('p', 'm', '*', 1, now() + %s::interval,
                case %s when 'infinity' then 'infinity' else now() + nullif(%s, 'infinity')::interval end, 'a test')
        """
        connection.execute(insert, [since, until, until])
        # In the same transaction it is still the same moment.
        (cost,) = connection.execute("select cost_of('p', 'm', 's', 1)").fetchone() or ("no row",)

    assert cost == (1 if found else None)


@pytest.mark.parametrize(
    "unknown", [{"provider": "other.example"}, {"model": "sora-9"}, {"provider": None}, {"seconds": None}]
)
def test_what_has_no_price_has_no_known_cost(price, cost_of, unknown: dict):
    price()

    assert cost_of(**unknown) is None


def test_openais_last_prices_are_known_until_it_retired_them(db):
    query = "select distinct valid_to at time zone 'UTC' from prices where provider = 'api.openai.com'"
    assert [str(until) for (until,) in db.rows(query)] == ["2026-09-24 00:00:00"]


@pytest.mark.parametrize("usd", ["-0.00001", "NaN", "100.1", "Infinity"])
def test_a_price_that_cannot_be_right_is_refused(price, usd: str):
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.NumericValueOutOfRange)):
        price(usd)


# ------------------------------------------------------------ what was rendered


def test_an_attempt_keeps_the_price_of_its_post(scenes, price, costs, db):
    price("0.1")
    scene_id = scenes.accepted()
    db.rows("update prices set usd_per_second = 99")

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert costs(scene_id) == COST


def test_a_price_that_comes_after_the_post_changes_nothing(scenes, price, costs):
    scene_id = scenes.accepted()
    price()

    scenes.step()

    assert costs(scene_id) is None


def test_a_post_that_is_sent_again_has_the_price_of_the_last_time(scenes, price, costs, db):
    price("0.1")
    scene_id = scenes.add()
    scenes.provider.before_submit = fail_with(NotSent("429"))
    scenes.step()
    assert scenes.attempt(scene_id)[0] == "not_sent"
    scenes.provider.before_submit = lambda _: None
    db.rows("update prices set usd_per_second = 0.2")

    scenes.step(2)

    assert costs(scene_id) == 2 * COST


def test_nothing_is_paid_for_what_failed_before_it_was_rendered(scenes, manager, price, generation_factory):
    price()
    generation = generation_factory(3, submit=True)
    scenes.step()
    failed, rejected = generation["variants"][0]["scenes"][:2]
    scenes.provider.change(manager.get_scene(failed["id"])["sora_video_id"], status="failed")
    scenes.provider.change(
        manager.get_scene(rejected["id"])["sora_video_id"], status="failed", error_code="moderation_blocked"
    )

    scenes.step()

    assert manager.get_generation(generation["id"])["actual_cost"] == COST


def test_a_generation_of_which_nothing_was_rendered_has_no_cost(scenes, price, costs):
    price()
    scene_id = scenes.accepted(status="failed")

    scenes.step()

    assert costs(scene_id) is None


def test_what_was_rendered_and_could_not_be_fetched_is_paid_for(scenes, scripted, price, costs):
    price()
    scene_id = scenes.accepted()
    scripted.script(hang_up)
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "download_failed")
    assert costs(scene_id) == COST


def test_a_second_attempt_adds_up(scenes, manager, scripted, film, price, costs):
    price()
    scene_id = scenes.accepted()
    scripted.script(answer(404, {"error": {"message": "The video is no longer available"}}))
    scenes.pass_deadline()
    scenes.step()
    assert scenes.ended(scene_id) == ("failed", "expired")
    assert costs(scene_id) == COST

    manager.retry_scene(scene_id)
    scripted.script(answer(200, film, kind="video/mp4"))
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert costs(scene_id) == 2 * COST


def test_fetching_the_same_job_again_costs_nothing_more(scenes, manager, scripted, film, price, costs):
    price()
    scene_id = scenes.accepted()
    scripted.script(hang_up)
    scenes.pass_deadline()
    scenes.step()

    manager.retry_scene(scene_id)
    scripted.script(answer(200, film, kind="video/mp4"))
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert costs(scene_id) == COST


def test_one_rendered_video_without_a_price_makes_the_cost_unknown(scenes, manager, price, generation_factory, db):
    price()
    generation = generation_factory(2, submit=True)
    db.rows("update scenes set model = 'sora-9' where scene_number = 2")
    first, second = (scene["id"] for scene in generation["variants"][0]["scenes"])
    read = lambda: manager.get_generation(generation["id"])["actual_cost"]  # noqa: E731
    scenes.step()
    scenes.provider.change(manager.get_scene(second)["sora_video_id"], status="in_progress")
    scenes.step()
    assert (scenes.ended(first), read()) == (("completed", None), COST)

    scenes.provider.change(manager.get_scene(second)["sora_video_id"], status="completed")
    scenes.step()

    assert (scenes.ended(second), read()) == (("completed", None), None)


# ------------------------------------------------------------ what a caller did


@pytest.mark.parametrize("first", ["caller", "worker"])
@pytest.mark.parametrize("job", [{}, {"sora_video_id": "video_of_a_caller"}])
def test_a_video_that_a_caller_paid_for_by_itself_makes_the_cost_unknown(
    scenes, manager, price, generation_factory, db, job: dict, first: str
):
    price()
    generation = generation_factory(2, submit=True)
    by_caller = generation["variants"][0]["scenes"][1]["id"]
    db.rows("delete from jobs where scene_id = %s", by_caller)

    def complete() -> None:
        manager.update_scene(by_caller, **job)
        manager.update_scene(by_caller, status="completed", video_url="https://elsewhere.example/video.mp4")

    steps = [complete, lambda: scenes.step(2)]
    for step in steps if first == "caller" else reversed(steps):
        step()

    assert manager.get_generation(generation["id"])["actual_cost"] is None


def test_a_video_that_a_pipeline_processed_makes_the_cost_unknown(
    manager, videos, scripted, provider, price, monkeypatch, costs
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    price()
    pipeline = PipelineIntegrator(gen_manager=manager, video_manager=videos)
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft"], 0.8)
    (scene_id,) = pipeline.create_scene_records(generation_id, "soft", ["a"])

    pipeline.process_sora_video(
        scene_id, "video_x", f"{scripted.base_url}/videos/video_x/content", generation_id, "soft", 1
    )

    assert manager.get_generation(generation_id)["actual_cost"] is None
    assert manager.get_stats()["cost_unknown"] == 1


def test_a_reported_cost_stands_whatever_comes(scenes, manager, price, generation_factory):
    price()
    generation = generation_factory(2, submit=True)
    manager.update_generation_status(generation["id"], "processing", actual_cost=3.5)

    scenes.step(2)
    assert manager.get_generation(generation["id"])["actual_cost"] == 3.5
    manager.update_generation_status(generation["id"], "completed")
    assert manager.get_generation(generation["id"])["actual_cost"] == 3.5

    manager.update_generation_status(generation["id"], "completed", actual_cost=0)
    assert manager.get_generation(generation["id"])["actual_cost"] == 0


@pytest.mark.parametrize("cost", [-0.01, float("nan"), float("inf"), 100_000_000, 1e300])
def test_a_cost_that_cannot_be_right_is_refused_by_name(manager, generation_factory, db, cost: float):
    generation = generation_factory(1)
    before = db.everything()

    with pytest.raises(InvalidValue, match="actual_cost"):
        manager.update_generation_status(generation["id"], "completed", actual_cost=cost)
    with pytest.raises(InvalidValue, match="cost_estimate"):
        manager.create_generation("https://video.example/ad", "url", ["soft"], cost)

    assert db.everything() == before


# ------------------------------------------------------------ totals

OUTCOME = st.sampled_from(["stored", "failed", "moderated", "lost", "by a caller", "not sent"])
SCENE = st.tuples(OUTCOME, st.sampled_from(["known", "dear", "unknown"]))
GENERATION = st.tuples(
    st.lists(SCENE, min_size=1, max_size=4),
    st.none() | st.integers(0, 999_999).map(lambda cents: cents / 100),
    st.none() | st.integers(0, 999_999).map(lambda cents: cents / 100),
    st.booleans(),
)
PRICES = {"known": Decimal("0.1"), "dear": Decimal("0.33333"), "unknown": None}


class NoVideos(VideoStorageManager):
    """Stores nothing, and loses what a test says is lost."""

    def __init__(self, lost: set[str]) -> None:
        super().__init__()
        self._lost = lost

    def store(self, _provider, provider_job_id, *_, **__):
        if provider_job_id in self._lost:
            raise SceneFailure("invalid_video", "no video", final=True)
        return "https://store.example/video.mp4", None, {"duration": 8, "resolution": "1x1", "file_size": 1}


class Fates(FakeProvider):
    """A provider that does with a job what its prompt says."""

    def add(self, request, **known):
        fate = {"failed": {"status": "failed"}, "moderated": {"status": "failed", "error_code": "moderation_blocked"}}
        return super().add(request, **fate.get(request.prompt, {}), **known)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(generations=st.lists(GENERATION, max_size=4))
def test_all_totals_are_what_a_recount_gives(manager, db, queue, make_worker, generations):
    db.rows("delete from generations")
    db.rows("delete from prices")
    for model, usd in PRICES.items():
        if usd is not None:
            insert = "insert into prices values ('p.test', %s, '*', %s, '-infinity', 'infinity', 'a test')"
            db.rows(insert, model, usd)
    provider = Fates("http://p.test/v1")
    videos = NoVideos(set())
    recorded = [(record(manager, db, *generation), *generation) for generation in generations]
    worker = make_worker(providers=Providers([provider]), videos=videos)
    for _ in range(2):
        db.rows("update jobs set run_at = now()")
        worker.run(seconds=600)
        videos._lost |= {job.id for job in provider.jobs.values() if job.prompt == "lost"}
    expected, estimated = {}, Decimal(0)
    for generation_id, outcomes, estimate, reported, delete in recorded:
        if delete:
            manager.delete_generation(generation_id)
        else:
            expected[generation_id] = recount(outcomes) if reported is None else Decimal(str(reported))
            estimated += Decimal(str(estimate or 0))

    assert not db.rows("select 1 from jobs")
    listed = {generation["id"]: generation["actual_cost"] for generation in manager.list_generations()}
    assert listed == {known: None if cost is None else float(cost) for known, cost in expected.items()}
    stats = manager.get_stats()
    assert (stats["total_cost"], stats["cost_unknown"], stats["estimated_cost"]) == (
        float(sum((cost for cost in expected.values() if cost is not None), Decimal(0))),
        list(expected.values()).count(None),
        float(estimated),
    )


def record(manager, db, outcomes, estimate: float | None, reported: float | None, _delete) -> str:
    """The id of a new generation whose scenes are queued, but for those that a caller ended."""
    prompts = [outcome for outcome, _ in outcomes]
    made = manager.create_with_scenes("https://video.example/ad", "url", {"soft": prompts}, cost_estimate=estimate)
    if reported is not None:
        manager.update_generation_status(made["id"], "processing", actual_cost=reported)
    scenes = manager.get_generation(made["id"])["variants"][0]["scenes"]
    for scene, (outcome, model) in zip(scenes, outcomes, strict=True):
        db.rows("update scenes set model = %s where id = %s", model, scene["id"])
        if outcome == "by a caller":
            manager.update_scene(scene["id"], status="completed")
        if outcome == "not sent":
            db.rows("delete from jobs where scene_id = %s", scene["id"])
    return made["id"]


def recount(outcomes: list[tuple[str, str]]) -> Decimal | None:
    """What the generation cost, counted by hand."""
    rendered = [(outcome, PRICES[model]) for outcome, model in outcomes if outcome in {"stored", "lost", "by a caller"}]
    costs = [usd for outcome, usd in rendered if usd is not None and outcome != "by a caller"]
    if not rendered or len(costs) < len(rendered):
        return None
    return (sum(costs, Decimal(0)) * SECONDS).quantize(Decimal("0.01"), ROUND_HALF_UP)
