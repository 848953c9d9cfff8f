"""JSON as it travels: any value comes through, and is as long as it is said to be."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generation_history import json_codec

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(VALUES)
@example({"a": '"\\\x00\x1f\x7f\u2028\U0001f600/<ü'})
def test_any_value_comes_through(value: object):
    text = json_codec.to_json(value)

    assert json.loads(text) == value
    assert "\n" not in text


@pytest.mark.parametrize("depth", [100, 255, 256, 900])
def test_a_deep_value_comes_through(depth: int):
    value = json.loads("[" * depth + "]" * depth)

    assert json.loads(json_codec.to_json(value)) == value


def test_half_of_a_surrogate_pair_is_no_reason_to_fail():
    assert json.loads(json_codec.to_json({"path": "\ud800"})) == {"path": "\ud800"}


@given(VALUES, st.integers(-3, 3))
def test_a_body_fits_if_the_platform_counts_no_more(value: object, spare: int):
    body = json_codec.to_json(value)
    counted = len(json.dumps(body, ensure_ascii=False).encode())

    assert json_codec.carried_bytes(body) == counted
    assert json_codec.fits(body, counted + spare) == (spare >= 0)
