"""Each kind draws what its name says, and nothing where a text has none."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.objective.span_kinds import (
    annotations,
    arguments,
    bindings,
    block_openers,
    characters,
    docstrings,
    lines,
    names,
    strings,
    words,
)
from incoder.objective.span_kinds.block_text import BlockText, Range

Draw = Callable[[BlockText, np.random.Generator], Range | None]

TEXT = b'''\
def scale(xs: list[int], by=2) -> float:
    """Multiply all numbers.

    Slow.
    """
    # not (this, one)
    total: float = sum(xs, key="a,b")
    for one in xs:
        print(total, one)
    return total * by
'''
KINDS: dict[str, Draw] = {
    "lines": lambda text, rng: lines.draw(text, rng, 1.5),
    "block-openers": lambda text, rng: block_openers.draw(text, rng, 1.0),
    "bindings": bindings.draw,
    "characters": characters.draw,
    "words": words.draw,
    "names": names.draw,
    "arguments": arguments.draw,
    "strings": strings.draw,
    "annotations": annotations.draw,
    "docstrings": docstrings.draw,
}


def drawn(kind: str, data: bytes = TEXT, num_draws: int = 400) -> set[bytes]:
    text = BlockText(data)
    spans = (KINDS[kind](text, np.random.default_rng(seed)) for seed in range(num_draws))
    return {data[slice(*span)] for span in spans if span is not None}


def test_annotations_are_the_types_of_parameters_results_and_variables() -> None:
    assert drawn("annotations") == {b"list[int]", b"float"}


def test_an_annotation_of_several_lines_is_no_part_of_a_line() -> None:
    assert drawn("annotations", b"x: Annotated[\n    int,\n] = 1\n") == set()


def test_arguments_are_items_between_commas_and_strings_hide_theirs() -> None:
    found = drawn("arguments")
    assert {b"xs", b'key="a,b"', b'xs, key="a,b"', b"total", b"one", b"total, one", b"int"} <= found
    assert {b"xs: list[int]", b"by=2", b"xs: list[int], by=2"} <= found
    assert not any(b"this" in item for item in found)


def test_names_are_whole_and_in_code() -> None:
    assert drawn("names") == {b"scale", b"xs", b"list", b"int", b"by", b"float", b"total", b"sum", b"key"} | {
        b"one",
        b"print",
    }


def test_strings_are_the_content_of_one_line_or_its_end() -> None:
    assert drawn("strings") == {b"a,b", b",b", b"b"}


def test_a_docstring_is_all_of_it_or_its_first_paragraph() -> None:
    assert drawn("docstrings") == {b"Multiply all numbers.", b"Multiply all numbers.\n\n    Slow.\n    "}
    assert drawn("docstrings", b'x = """no docstring"""\n') == set()


def test_block_openers_end_with_a_line_before_a_deeper_one() -> None:
    found = drawn("block-openers")
    assert all(span.rstrip().endswith(b":") for span in found)
    assert {b"    for one in xs:\n", b"for one in xs:"} <= found
    assert drawn("block-openers", b"x = 3:\ny\n") == set()


def test_a_binding_is_used_after_its_line_and_unknown_before_it() -> None:
    data = b"old = 1\nnew = old\nold = 3\nunused = 4\nprint(old, new)\n"
    found = drawn("bindings", data)
    assert {b"new = old\n", b"old = 1\n"} <= found
    assert not any(b"3" in span or b"4" in span for span in found)


@pytest.mark.parametrize(
    "line",
    [b"for name in xs:", b"with f() as name:", b"import name", b"from a import b as name", b"name: int = 3"],
)
def test_a_name_may_be_bound_in_many_ways(line: bytes) -> None:
    assert line in {span.strip() for span in drawn("bindings", line + b"\n    print(name)\n", 60)}


def test_characters_leave_some_of_their_line_on_both_sides() -> None:
    text = BlockText(TEXT)
    for seed in range(400):
        span = characters.draw(text, np.random.default_rng(seed))
        if span is None:
            continue
        start, end = text.line_content(text.line_of(span[0]))
        assert start < span[0] < span[1] < end


def test_words_end_with_a_word_and_some_begin_inside_one() -> None:
    found = drawn("words")
    assert {b"return", b"total", b"turn total"} & found
    assert {b"eturn", b"turn", b"urn"} & found
    assert all(span[-1:].isalnum() for span in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff", b"'''", b'"""\n', b"((((", b"))))", b"x"])
def test_texts_without_structure_are_no_trouble(kind: str, data: bytes) -> None:
    for span in drawn(kind, data, 20):
        assert span.strip()


@given(
    st.lists(
        st.sampled_from(
            [b"x", b" ", b"\n", b"\r\n", b"(", b")", b",", b'"', b"'", b'"""', b"\\", b"#", b":", b"def f("]
        )
        | st.binary(max_size=2),
        max_size=40,
    ).map(b"".join),
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 2**32),
)
def test_a_span_is_inside_its_text_and_not_blank(data: bytes, kind: str, seed: int) -> None:
    span = KINDS[kind](BlockText(data), np.random.default_rng(seed))
    if span is not None:
        assert 0 <= span[0] < span[1] <= len(data)


def test_quotes_that_never_close_take_linear_time() -> None:
    for data in (b'"""' + b"\\x" * 20_000, b'"' * 20_001, b"'''''" * 6_000, b"((" * 20_000):
        for kind in KINDS:
            drawn(kind, data, 1)
