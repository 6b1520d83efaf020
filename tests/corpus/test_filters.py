import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus import filters
from incoder.corpus.filter_settings import FilterSettings
from incoder.corpus.source_file import Dropped
from incoder.document import Document


def reason(text: str, **settings: object) -> str | None:
    return reason_of("a.py", text, **settings)


def reason_of(path: str, text: str, **settings: object) -> str | None:
    rules = filters.filters_of(FilterSettings.model_validate(settings))
    document = Document(text, path, "p", "folder")
    return next(filter(None, (rule(document) for rule in rules)), None)


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n"])
def test_blank_files_are_empty(text: str) -> None:
    assert reason(text) == "empty"


def test_the_longest_line_counts_in_characters() -> None:
    lines = "x = 1\n" * 100
    assert reason(lines + "y" * 3000) is None
    assert reason(lines + "y" * 3001) == "long line"
    assert reason(lines + "é" * 3000) is None


def test_the_mean_line_leaves_out_empty_lines() -> None:
    assert reason("y" * 100 + "\n\n\n" + "y" * 100) is None
    assert reason("y" * 101 + "\n\n\r\n" + "y" * 100) == "long mean line"


def test_a_lone_carriage_return_ends_a_line() -> None:
    assert reason("\r".join(["y" * 90] * 40)) is None


def test_text_with_few_word_characters_is_low_alphanumeric() -> None:
    assert reason("abcd......") is None
    assert reason("abc.......") == "low alphanumeric"


@pytest.mark.parametrize(("generator", "phrase"), filters.GENERATED_PHRASES.items())
def test_generated_files_name_their_generator(generator: str, phrase: str) -> None:
    text = f"# {phrase}\nx = 1\n"
    assert reason(text) == f"generated: {generator}"
    assert reason(text, generated=False) is None


def test_the_gpl_phrase_is_a_switch() -> None:
    text = "# under the GNU General Public License\nx = 1\n"
    assert reason(text) == "mentions the GPL"
    assert reason(text, gpl_phrase=False) is None


@given(st.text())
def test_the_fast_count_of_word_characters_is_the_regular_expression(text: str) -> None:
    assert filters.num_word_characters(text) == len(re.sub(r"\W+", "", text))


def test_dropped_documents_are_reported_and_the_others_pass() -> None:
    documents = [Document(text, f"{number}.py", "p", "folder") for number, text in enumerate(["é = 1", " "])]
    dropped = list[object]()
    kept = list(filters.filtered(documents, filters.filters_of(FilterSettings()), dropped.append))
    assert kept == documents[:1]
    assert dropped == [Dropped("p", "1.py", 1, "empty")]
