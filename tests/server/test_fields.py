"""The fields of a body: kinds, ranges, and what strangers send."""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.server.fields import MAX_DEPTH, MAX_NUMBER, MAX_STOPS, FieldError, Fields


def fields(**values: Any) -> Fields:
    return Fields.parse(json.dumps(values).encode())


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"3", b'"x"', b"null", b"{", b'{"a": }', b"\xff\xfe{\0}\0"]
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(FieldError, match=r"^the body must be a JSON object, got "):
        Fields.parse(body)


@pytest.mark.parametrize("depth", [MAX_DEPTH, 10_000, 1_000_000])
def test_a_body_that_nests_too_deep_is_refused(depth: int) -> None:
    body = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(FieldError, match="nest lists and objects at most"):
        Fields.parse(body)


def test_a_body_may_nest_as_deep_as_the_bound() -> None:
    depth = MAX_DEPTH - 1  # and the object around them
    assert "a" in Fields.parse(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 25, "-" + "9" * 5000, "2e19"]


@pytest.mark.parametrize("digits", NO_NUMBERS)
@pytest.mark.parametrize("place", ['{"unread": %s}', '{"unread": [1, {"x": %s}]}'])
def test_a_number_out_of_all_bounds_is_refused_where_nothing_reads_it(digits: str, place: str) -> None:
    with pytest.raises(FieldError, match=r"^unread(\[1\]\.x)? must be a number in") as caught:
        Fields.parse((place % digits).encode())
    assert len(str(caught.value)) < 200
    assert caught.value.field in {"unread", "unread[1].x"}


@pytest.mark.parametrize("value", [MAX_NUMBER, -MAX_NUMBER, 0.5, 1e19])
def test_other_numbers_are_allowed_where_nothing_reads_them(value: float) -> None:
    assert "unread" in fields(unread=value)


def test_a_byte_order_mark_and_bytes_that_are_no_utf_8_are_read() -> None:
    assert Fields.parse(b'\xef\xbb\xbf{"prompt": "caf\xe9"}').required_text("prompt") == "caf�"


def test_half_of_a_character_becomes_the_replacement_character() -> None:
    read = Fields.parse(rb'{"prompt": "a\ud83d", "stop": ["\udc80"], "pair": "\ud83d\ude00"}')
    assert read.required_text("prompt") == "a�"
    assert read.stops("stop") == ("�",)
    assert read.required_text("pair") == "😀"


def test_null_is_a_missing_field_for_every_reader() -> None:
    for read in (fields(), fields(x=None)):
        assert "x" not in read
        assert read.text("x", "d") == "d"
        assert read.one_of("x", None, ["a"]) is None
        assert read.whole("x", 5, 0, 1) == 5
        assert read.number("x", None, 0, 1) is None
        assert read.switch("x", True) is True
        assert (*read.texts("x"), *read.stops("x"), *read.nested_list("x"), *read.prompts("x")) == ()
        assert "y" not in read.nested("x")
        with pytest.raises(FieldError, match="x is required"):
            read.required_text("x")


@pytest.mark.parametrize("value", [True, "1", "0.2", [], {}, 1.5])
def test_a_whole_number_is_nothing_else(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^n must be a whole number in \[0, 9\], got "):
        fields(n=value).whole("n", 1, 0, 9)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    read = fields(n=5.0).whole("n", 1, 0, 9)
    assert (read, type(read)) == (5, int)


@pytest.mark.parametrize("value", [-1, 10, 1e18])
def test_a_whole_number_is_in_its_range_at_both_ends(value: float) -> None:
    with pytest.raises(FieldError, match="got "):
        fields(n=value).whole("n", 1, 0, 9)
    assert [fields(n=one).whole("n", 1, 0, 9) for one in (0, 9)] == [0, 9]


@pytest.mark.parametrize("value", [True, "0.2", [], {}, -0.1, 2.1])
def test_a_number_is_in_its_range_and_nothing_else(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^t must be a number in \[0, 2\], got "):
        fields(t=value).number("t", 1.0, 0, 2)


@pytest.mark.parametrize("value", [0, 1, "true", []])
def test_a_switch_is_true_or_false(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^stream must be true or false, got "):
        fields(stream=value).switch("stream", False)


@pytest.mark.parametrize("value", [3, True, ["x"], {"x": "y"}])
def test_a_text_is_a_string(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^prompt must be a string, got "):
        fields(prompt=value).text("prompt", "")


def test_an_error_does_not_repeat_what_may_be_code() -> None:
    secret = "api_key = 'hunter2'"
    for read in ("whole", "number"):
        with pytest.raises(FieldError) as caught:
            getattr(fields(n=secret), read)("n", 1, 0, 9)
        assert "got a string" in str(caught.value)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(FieldError, match=r"got a list$"):
        fields(prompt=[secret]).text("prompt", "")


def test_stop_strings_are_many_or_one_and_count_once() -> None:
    assert fields(stop="\n").stops("stop") == ("\n",)
    assert fields(stop=["a", "b", "a", ""]).stops("stop") == ("a", "b")
    many = [f"stop {index}" for index in range(MAX_STOPS)]
    assert fields(stop=many).stops("stop") == tuple(many)


@pytest.mark.parametrize(
    ("stop", "rule"),
    [
        (["a"] * 10_000, "at most 256 items, got 10000"),
        (["a" * 5000], "at most 1024 characters, got one of 5000"),
        (["a", 3], r"stop\[1\] must be a string, got 3"),
        ({"a": 1}, "stop must be a list, got an object"),
    ],
)
def test_stop_strings_are_bounded(stop: Any, rule: str) -> None:
    with pytest.raises(FieldError, match=rule):
        fields(stop=stop).stops("stop")


def test_an_object_names_its_place_in_errors() -> None:
    body = fields(options={"seed": -3}, files=[{"text": "x"}, {"text": 5}])
    with pytest.raises(FieldError, match=r"^options\.seed must be") as caught:
        body.nested("options").whole("seed", 0, 0, 9)
    assert caught.value.field == "options.seed"
    first, second = body.nested_list("files")
    assert first.required_text("text") == "x"
    with pytest.raises(FieldError, match=r"^files\[1\]\.text must be a string, got 5"):
        second.required_text("text")
    others: list[Any] = [[], "x", 3]
    for value in others:
        with pytest.raises(FieldError, match="must be an object"):
            fields(options=value).nested("options")
        with pytest.raises(FieldError, match=r"files\[0\] must be an object"):
            fields(files=[value]).nested_list("files")


@pytest.mark.parametrize(
    ("value", "prompts"),
    [
        ("x", (("x",),)),
        ("", (("",),)),
        ([], ()),
        (["x", "y"], (("x",), ("y",))),
        ([5, 6], ((5, 6),)),
        ([5, "x", 6], ((5, "x", 6),)),
        (["x", 6], (("x", 6),)),
        ([[5, 6], [7]], ((5, 6), (7,))),
        (["x", [5, "y"]], (("x",), (5, "y"))),
        ([[]], ((),)),
    ],
)
def test_prompts_are_texts_token_ids_and_lists_of_either(value: Any, prompts: Any) -> None:
    assert fields(prompt=value).prompts("prompt") == prompts


@pytest.mark.parametrize(
    "value", [3, {}, [True], [[True]], [-1], [[2**31]], [1.5], [5, [6]], [None], ["x"] * 257]
)
def test_other_prompts_are_refused(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^prompt"):
        fields(prompt=value).prompts("prompt")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=3), inside, max_size=4),
    max_leaves=8,
)


@given(json_values)
def test_no_value_makes_a_reader_fail_in_another_way(value: Any) -> None:
    try:
        body = Fields.parse(json.dumps({"x": value}).encode())
    except FieldError:
        return
    readers: list[Callable[[], object]] = [
        lambda: body.text("x", ""),
        lambda: body.required_text("x"),
        lambda: body.one_of("x", "", ["a"]),
        lambda: body.whole("x", 0, -5, 5),
        lambda: body.number("x", 0, -5, 5),
        lambda: body.switch("x", False),
        lambda: body.stops("x"),
        lambda: body.nested("x"),
        lambda: body.nested_list("x"),
        lambda: body.prompts("x"),
    ]
    for read in readers:
        with suppress(FieldError):
            found = read()
            assert not isinstance(found, float) or math.isfinite(found)
