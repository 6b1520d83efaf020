"""Open documents equal the text that the editor has, whatever it changes and however it counts columns."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from incoder.language_server.documents import Change, Document, Documents
from incoder.language_server.positions import Encoding, chosen_encoding, to_column, to_units

ENCODINGS = (Encoding.Utf8, Encoding.Utf16, Encoding.Utf32)
CODECS = {Encoding.Utf8: ("utf-8", 1), Encoding.Utf16: ("utf-16-le", 2), Encoding.Utf32: ("utf-32-le", 4)}
# ASCII, two bytes, three bytes, an astral character, half of a surrogate pair, all line ends, and others that
# Python takes for line ends.
SIGNS = st.lists(
    st.sampled_from(["a", " ", "é", "中", "😀", "\ud83d", "\n", "\r", "\r\n", "\x0c", "\u2028"])
).map("".join)


def units(text: str, encoding: Encoding) -> int:
    """The units of a text: the reference for columns."""
    codec, width = CODECS[encoding]
    return len(text.encode(codec, "surrogatepass")) // width


def lines_of(text: str) -> list[str]:
    return re.split("(?<=\n)|(?<=\r)(?!\n)", text)


def position(text: str, offset: int, encoding: Encoding) -> types.Position:
    """The position of an offset that is not within a line end: the reference for positions."""
    lines = lines_of(text)
    line = 0
    while line < len(lines) - 1 and offset >= len(lines[line]):
        offset -= len(lines[line])
        line += 1
    return types.Position(line, units(lines[line][:offset], encoding))


def is_within_line_end(text: str, offset: int) -> bool:
    return text[offset - 1 : offset + 1] == "\r\n" if offset else False


def replace(start: types.Position, end: types.Position, text: str) -> types.TextDocumentContentChangePartial:
    return types.TextDocumentContentChangePartial(types.Range(start, end), text)


@given(st.data(), SIGNS, st.sampled_from(ENCODINGS))
def test_changes_equal_those_of_the_whole_text(data: st.DataObject, text: str, encoding: Encoding) -> None:
    document = Document("file:///a.py", text, encoding=encoding)
    for _ in range(data.draw(st.integers(1, 4))):
        places = [offset for offset in range(len(text) + 1) if not is_within_line_end(text, offset)]
        start, end = sorted(data.draw(st.tuples(st.sampled_from(places), st.sampled_from(places))))
        new = data.draw(SIGNS)
        first, last = position(text, start, encoding), position(text, end, encoding)
        change = document.apply(replace(first, last, new))
        assert (change.old, change.new) == (text[start:end], new)
        text = text[:start] + new + text[end:]
        assert document.text == text
        assert list(document.lines) == lines_of(text)


@given(SIGNS, st.sampled_from(ENCODINGS), st.data())
def test_positions_and_offsets_are_each_others_inverse(
    text: str, encoding: Encoding, data: st.DataObject
) -> None:
    document = Document("file:///a.py", text, encoding=encoding)
    offset = data.draw(st.integers(0, len(text)).filter(lambda one: not is_within_line_end(text, one)))
    place = document.position_at(offset)
    assert place == position(text, offset, encoding)
    assert document.offset(place) == offset
    assert (document.before(place), document.after(place)) == (text[:offset], text[offset:])


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(line=st.text(st.sampled_from("aé中😀\ud83d"), max_size=6))
def test_a_column_within_a_character_is_its_beginning(encoding: Encoding, line: str) -> None:
    for number in range(units(line, encoding) + 3):
        column = to_column(line, number, encoding)
        assert to_units(line, column, encoding) <= number
        assert column == len(line) or to_units(line, column + 1, encoding) > number


def test_utf8_is_chosen_where_offered_and_unknown_encodings_are_passed_over() -> None:
    assert chosen_encoding(["utf-16", "utf-8"]) is Encoding.Utf8
    assert chosen_encoding(["ebcdic", "utf-32", "utf-16"]) is Encoding.Utf32
    assert chosen_encoding(["ebcdic"]) is chosen_encoding([]) is chosen_encoding(None) is Encoding.Utf16


def test_positions_outside_of_the_document_are_its_nearest_place() -> None:
    document = Document("file:///a.py", "ab\r\ncd")
    assert document.before(types.Position(0, 99)) == "ab"
    assert document.before(types.Position(99, 0)) == "ab\r\ncd"


def test_a_change_costs_what_it_changes_and_not_what_the_document_has() -> None:
    def seconds(num_lines: int) -> float:
        document = Document("file:///a.py", "x = 1\n" * num_lines)
        start = time.perf_counter()
        for number in range(300):
            place = types.Position(num_lines // 2, 5 + number)
            document.apply(replace(place, place, "1"))
        return time.perf_counter() - start

    assert min(seconds(20_000) for _ in range(3)) < 10 * min(seconds(200) for _ in range(3))


def test_listeners_hear_of_each_event_and_changes_of_unknown_documents_are_ignored() -> None:
    documents, heard = Documents(), list[object]()
    documents.on_open.append(lambda document: heard.append(document.uri))
    documents.on_change.append(lambda _, changes: heard.append(list(changes)))
    documents.on_close.append(lambda document: heard.append(document.text))
    identifier = types.VersionedTextDocumentIdentifier(2, "file:///a.py")
    place = types.Position(0, 1)
    documents.change(identifier, [replace(place, place, "b")])
    documents.open(types.TextDocumentItem("file:///a.py", "python", 1, "ac"))
    documents.change(identifier, [replace(place, place, "b")])
    documents.close("file:///a.py")
    documents.close("file:///a.py")
    assert heard == ["file:///a.py", [Change(0, 1, "", "b")], "abc"]


def test_the_document_that_was_changed_last_is_the_last_one() -> None:
    documents = Documents()
    for name in "abc":
        documents.open(types.TextDocumentItem(name, "python", 1, ""))
    place = types.Position(0, 0)
    documents.change(types.VersionedTextDocumentIdentifier(2, "a"), [replace(place, place, "x")])
    assert [document.uri for document in documents.all()] == ["b", "c", "a"]
