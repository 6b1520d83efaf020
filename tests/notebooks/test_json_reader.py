"""A JSON text read piece by piece: the same values as Python's decoder, at their offsets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.notebooks.json_reader import JsonReader, pattern_in_strings, string_offset

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def read(reader: JsonReader) -> Any:
    """The value there, with every container walked through."""
    match reader.next_character():
        case "{":
            return {name: read(reader) for name in reader.members()}
        case "[":
            return [read(reader) for _ in reader.items()]
        case _:
            return reader.value()


@given(value=JSON, indent=st.sampled_from([None, 0, 1, "\t"]), ascii_only=st.booleans())
def test_every_text_is_read_as_pythons_decoder_reads_it(value: Any, indent: Any, ascii_only: bool) -> None:
    reader = JsonReader(json.dumps(value, indent=indent, ensure_ascii=ascii_only))
    assert read(reader) == value
    reader.end()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1, column 1: expecting value"),
        ('{"a": 1,}', "line 1, column 9: a name in double quotes is missing"),
        ("[1,\n 2,]", "line 2, column 4: expecting value"),
        ("[1 2]", "line 1, column 4: , is missing"),
        ('{"a" 1}', "line 1, column 6: : is missing"),
        ("{1: 2}", "line 1, column 2: a name in double quotes is missing"),
        ('["a\nb"]', "line 1, column 4: invalid control character at"),
        ('["a', "line 1, column 2: unterminated string starting at"),
        ("[1", "line 1, column 3: , is missing"),
        ("1 2", "line 1, column 3: there is more text after the value"),
    ],
)
def test_an_error_says_where_the_text_is_no_json(text: str, problem: str) -> None:
    def read_all() -> None:
        reader = JsonReader(text)
        read(reader)
        reader.end()

    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(IncoderError) as error:
        read_all()
    assert str(error.value) == problem


def test_a_value_that_nests_too_deep_is_an_error() -> None:
    with pytest.raises(IncoderError, match="line 1, column 1: the value nests too deep"):
        JsonReader("[" * 200_000).value()


def test_a_number_of_any_length_is_text() -> None:
    assert JsonReader("9" * 5000).value() == "9" * 5000


def escaped(text: str) -> str:
    """The text as a JSON string in which every character is an escape."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return '"' + "".join(rf"\u{units[place : place + 4]}" for place in range(0, len(units), 4)) + '"'


@given(text=st.text(st.characters() | st.sampled_from('\\"/\n😀'), max_size=20), data=st.data())
@pytest.mark.parametrize("write", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False), escaped])
def test_a_string_can_be_cut_at_every_character(write: Any, text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    written = "  " + write(text)
    offset = string_offset(written, 2, len(written), place)
    assert json.loads(written[:offset] + '"') == text[:place]
    assert json.loads('"' + written[offset:]) == text[place:]


@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"/\n😀'), min_size=1))
@pytest.mark.parametrize("write", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False), escaped])
def test_a_text_is_found_in_strings_however_they_are_written(write: Any, text: str) -> None:
    assert pattern_in_strings(text).search(write(f"before {text} after").encode())
    assert not pattern_in_strings(text + "!").search(write(f"before {text} after").encode())
