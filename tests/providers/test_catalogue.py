"""The catalogue: whatever it lets pass makes a body that the model takes, whatever it refuses it refuses by name."""

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation_history.errors import InvalidValue
from generation_history.providers import FirstFrame, VideoRequest
from generation_history.providers.catalogue import Catalogue, Model, catalogue, ours, parse_model, put
from scripts.local.simulator.models import FAL, GEMINI, REPLICATE, RUNWAY, check_input

MODELS = {model.name: model for model in ours()}
IMAGE = FirstFrame("images/one.png", "image/png", "https://store.example/b/images/one.png", b"0")
EACH = pytest.mark.parametrize("model", ours(), ids=lambda model: model.name)


def judge(model: Model, request: VideoRequest) -> object:
    """What the simulator's model makes of the body; an error of its for one that it does not take."""
    body = model.body(request)
    match model.kind:
        case "fal":
            return check_input(FAL[model.provider_model], body, status=422)
        case "replicate":
            assert set(body) == {"input"}
            return check_input(REPLICATE[model.provider_model], body["input"], status=422)
        case "runway":
            way = RUNWAY["text_to_video"][model.provider_model]
            return check_input(way, {"model": model.provider_model, **body}, status=400)
        case _:
            form = {"type": "video", "delivery": "uri", **body["response_format"]}
            assert set(body) == {"input", "response_format"}
            return check_input(GEMINI[model.provider_model], form, status=400)


@st.composite
def possible(draw: st.DrawFn) -> tuple[Model, VideoRequest]:
    """A model, and anything that it says it can do."""
    model = draw(st.sampled_from(ours()))
    return model, VideoRequest(
        draw(st.text(min_size=1, max_size=(model.max_prompt or 2000) // 2)),
        model.name,
        draw(st.sampled_from(sorted(model.sizes))),
        draw(st.sampled_from(model.duration.choices)),
        draw(st.sampled_from([None, True, False])) if model.sound else None,
        draw(st.none() | st.integers(0, 2**32 - 1)) if model.seed else None,
    )


@given(possible())
def test_whatever_a_model_can_do_makes_a_body_that_it_takes(asked):
    model, request = asked
    made = judge(model, request)

    assert made.size() == request.size
    assert made.seconds() == request.seconds
    assert json.dumps(request.prompt) in json.dumps(model.body(request))


@EACH
def test_every_length_and_size_and_choice_of_a_model_makes_a_body_that_it_takes(model):
    for size in model.sizes:
        for seconds in model.duration.choices:
            for sound in (None, True, False) if model.sound else (None,):
                for seed in (None, 0, 2**32 - 1) if model.seed else (None,):
                    judge(model, VideoRequest("a cat", model.name, size, seconds, sound, seed))


@given(st.sampled_from(ours()), st.integers(1, 1000))
def test_a_length_that_a_model_does_not_have_is_refused_with_the_nearest(model, seconds):
    request = VideoRequest("a cat", model.name, model.default.size, seconds)
    choices = model.duration.choices
    if seconds in choices:
        model.check(request)
        return
    with pytest.raises(InvalidValue, match=f"seconds: {model.name}") as raised:
        model.body(request)

    nearest = int(str(raised.value).rpartition(" ")[2])
    assert nearest in choices
    assert all(abs(nearest - seconds) <= abs(choice - seconds) for choice in choices)


@given(st.sampled_from(ours()), st.integers(16, 9999), st.integers(16, 9999))
def test_a_size_that_a_model_does_not_have_is_refused_with_one_that_it_has(model, width, height):
    size = f"{width}x{height}"
    request = VideoRequest("a cat", model.name, size, model.default.seconds)
    if size in model.sizes:
        model.check(request)
        return
    with pytest.raises(InvalidValue, match=f"size: {model.name} has no {size}") as raised:
        model.body(request)

    assert str(raised.value).rpartition(" ")[2] in model.sizes


@pytest.mark.parametrize(("size", "nearest"), [("720x1280", "768x1366"), ("1280x720", "1366x768"), ("1x1", None)])
def test_the_nearest_size_has_the_shape_that_was_asked_for(size, nearest):
    model = MODELS["fal:minimax/h3-max/text-to-video"]
    with pytest.raises(InvalidValue) as raised:
        model.check(VideoRequest("a cat", model.name, size, 8))

    if nearest:
        assert str(raised.value).endswith(f"the nearest is {nearest}")


@pytest.mark.parametrize("size", ["", "tall", "720", "axb", "0x0"])
def test_what_is_no_size_is_refused_by_name(size):
    model = ours()[0]

    with pytest.raises(InvalidValue, match="size"):
        model.check(VideoRequest("a cat", model.name, size, 8))


@EACH
def test_a_choice_that_a_model_does_not_have_is_refused_by_its_name(model):
    usual = VideoRequest("a cat", model.name, model.default.size, model.default.seconds)
    for name, value in (("sound", True), ("sound", False), ("seed", 0), ("image", IMAGE)):
        request = VideoRequest(**{**vars(usual), name: value})
        if getattr(model, name):
            model.check(request)
        else:
            with pytest.raises(InvalidValue, match=f"{name}: {model.name} has no such choice"):
                model.check(request)


def test_a_prompt_is_measured_as_the_provider_measures_it():
    """Runway counts units of UTF-16: an emoji has two."""
    model = MODELS["runway:gen4.5"]
    model.check(VideoRequest("a" * 1000, model.name, "1280x720", 2))

    for prompt in ("a" * 1001, "\N{CAT FACE}" * 501):
        with pytest.raises(InvalidValue, match=r"sora_prompt: runway:gen4[.]5 takes at most 1000 characters"):
            model.check(VideoRequest(prompt, model.name, "1280x720", 2))


def cost(name: str, size: str, seconds: int, **otherwise: object) -> Decimal | None:
    return MODELS[name].cost(VideoRequest("a cat", name, size, seconds, **otherwise))


def test_a_price_is_of_the_size_and_of_the_sound():
    kling = "fal:fal-ai/kling-video/v3/pro/text-to-video"

    assert cost("fal:minimax/h3-max/text-to-video", "854x480", 5) == Decimal("0.25")
    assert cost("fal:minimax/h3-max/text-to-video", "1920x1080", 5) == Decimal("0.80")
    assert cost(kling, "1280x720", 10, sound=False) == Decimal("1.12")
    # Where nobody says, the dearer is reckoned with: the model has sound unless it is told not to.
    assert cost(kling, "1280x720", 10) == cost(kling, "1280x720", 10, sound=True) == Decimal("1.68")
    assert cost("replicate:bytedance/seedance-2.0", "1280x720", 4) is None


@EACH
def test_a_price_has_its_source_and_each_entry_its_date(model):
    assert (model.price_source is None) == (not model.prices)
    assert date(2026, 11, 1) <= model.checked


def test_a_model_that_nobody_knows_is_refused_with_the_nearest_names():
    with pytest.raises(InvalidValue, match="fal:minimax/h3-max/text-to-video"):
        catalogue().find("fal:minimax/h3-max/text-to-vido")
    with pytest.raises(InvalidValue, match=r"runway:gen4\.5"):
        catalogue().find("runway:x")
    with pytest.raises(InvalidValue, match="the nearest are none"):
        Catalogue([]).find("fal:x")


def test_a_model_of_a_videos_server_need_not_be_known():
    assert catalogue().find("sora-2") is None
    assert catalogue().find("org/model:8b") is None


USUAL = json.loads(ours()[0].model_dump_json(by_alias=True))


def test_an_entry_of_an_operator_goes_before_ours_of_the_same_name():
    changed = USUAL | {"prices": [{"usd_per_second": "0.01"}]}
    found = catalogue([changed]).find(USUAL["name"])

    assert found is not None
    assert found.cost(VideoRequest("a cat", found.name, "854x480", 5)) == Decimal("0.05")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "nobody:x"}, "name"),
        ({"name": "x"}, "name"),
        ({"default": {"size": "1x1", "seconds": 5}}, "default"),
        ({"default": {"size": "854x480", "seconds": 99}}, "default"),
        ({"prices": [{"sizes": ["17x17"], "usd_per_second": "1"}]}, "prices"),
        ({"prices": [{"usd_per_second": "-1"}]}, "prices.0.usd_per_second"),
        ({"prompt": "a b"}, "prompt"),
        ({"prompt": "__class__.x()"}, "prompt"),
        ({"sizes": {}}, "sizes"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_an_entry_that_cannot_be_right_is_refused_by_the_place(change, place):
    with pytest.raises(InvalidValue, match=f"^{place}"):
        parse_model(USUAL | change)


def test_a_field_may_be_within_others():
    body: dict[str, object] = {}
    put(body, "a.b.c", 1)
    put(body, "a.d", 2)

    assert body == {"a": {"b": {"c": 1}, "d": 2}}
