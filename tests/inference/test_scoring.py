"""Many candidates scored at once: as each alone, and what they share is read once."""

from collections.abc import Callable

import pytest

from incoder.errors import IncoderError
from incoder.inference.infill_model import InfillModel
from incoder.inference.prompting_model import attribute_header as header_of
from incoder.inference.reranking import infill_by_reranking

MakeModel = Callable[..., InfillModel]
TEXTS = ["def add(a, b):\n    return a", "def add(a, b):\n    return a + b\n", "def add(x):\n", "def"]
INFILLS = ["a + b", "a", "0\n    # not at all\n", ""]


def score_alone(
    model: InfillModel, parts: list[str], given: list[str], header: str = "", tail: str = ""
) -> list[float]:
    """The log-probabilities of the infills' tokens and ends in the document as training writes it."""
    tokenizer, layout = model.tokenizer, model.infilling_format
    assert layout.end_of_infill_id is not None
    ids = layout.prompt([tokenizer.encode_start(header + parts[0]), *map(tokenizer.encode, parts[1:])])
    wanted: list[int] = []
    for hole, infill in enumerate(given):
        ids += [*layout.hole_start(hole), *tokenizer.encode(tail)]
        start = len(ids)
        ids += [*tokenizer.encode(infill), layout.end_of_infill_id]
        wanted += range(start, len(ids))
    logprobs = model.language_model.logprobs(ids).tolist()
    return [logprobs[index - 1] for index in wanted]


@pytest.mark.parametrize("path", [None, "a.py"])
def test_texts_scored_together_score_as_each_alone(
    fast: InfillModel, slow: InfillModel, path: str | None
) -> None:
    for text, score in zip(TEXTS, fast.score_texts(TEXTS, path=path), strict=True):
        assert score.token_logprobs == pytest.approx(slow.score(text, path=path).token_logprobs, abs=1e-4)


@pytest.mark.parametrize("other", ["", "x = 1\n" * 100])
def test_an_empty_or_a_long_text_may_be_among_the_texts(
    fast: InfillModel, slow: InfillModel, other: str
) -> None:
    for text, score in zip([other, TEXTS[0]], fast.score_texts([other, TEXTS[0]]), strict=True):
        assert score.token_logprobs == pytest.approx(slow.score(text).token_logprobs, abs=1e-4)


def test_what_texts_begin_with_alike_is_read_once(author: MakeModel) -> None:
    model = author("x = 1\n")
    model.score_texts(["value = compute(1)\n", "value = compute(22)\n"])
    (sequences,) = model.language_model.opened  # type: ignore[attr-defined]
    assert sequences.num_reads == 3  # the document's start, what is alike, and the rests side by side


@pytest.mark.parametrize("path", [None, "a.py"])
def test_fills_scored_together_score_as_each_alone(
    fast: InfillModel, slow: InfillModel, path: str | None
) -> None:
    parts = ["def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"]
    scores = fast.score_infills(parts, INFILLS, path=path, token_healing=False)
    for infill, score in zip(INFILLS, scores, strict=True):
        expected = score_alone(slow, parts, [infill], header_of(path))
        assert score.token_logprobs == pytest.approx(expected, abs=1e-4)


def test_infills_of_several_holes_are_scored_with_the_earlier_ones_in_view(
    fast: InfillModel, slow: InfillModel
) -> None:
    parts = ["a = ", "\nb = ", "\nc = ", "\n"]
    infills = [["1", "a", "a + b"], ["1", "2", "3"], ["2", "", "long_name(a)"]]
    for given, score in zip(infills, fast.score_infills(parts, infills, token_healing=False), strict=True):
        assert score.token_logprobs == pytest.approx(score_alone(slow, parts, given), abs=1e-4)


def test_an_infill_that_starts_inside_a_word_has_the_score_that_it_was_written_with(
    author: MakeModel,
) -> None:
    parts = ["import num", "\n\nvalue = nu", ".zeros(4)\n"]
    model = author("import numpy\n\nvalue = numpy.zeros(4)\n")
    (written,) = model.infill(parts).candidates
    assert written.infills == ("py", "mpy")
    (score,) = model.score_infills(parts, [written.infills])
    assert score.total_logprob == pytest.approx(written.total_logprob, abs=1e-3)
    assert score.mean_logprob == pytest.approx(written.logprob, abs=1e-4)


def test_the_prefix_tail_is_given_and_not_scored(fast: InfillModel, slow: InfillModel) -> None:
    (score,) = fast.score_infills(
        ["a = 1\nb = 2\n", "d = 4\n"], ["c = 3\n"], num_tail_lines=2, token_healing=False
    )
    expected = score_alone(slow, ["a = 1\n", "d = 4\n"], ["c = 3\n"], tail="b = 2\n")
    assert score.token_logprobs == pytest.approx(expected, abs=1e-4)


def test_infills_in_windows_of_their_own_are_all_scored(fast: InfillModel) -> None:
    parts = ["a = ", "\n" + "# far\n" * 60 + "b = ", "\n"]
    (both,) = fast.score_infills(parts, [("1", "22")], token_healing=False)
    (later,) = fast.score_infills(["a = 1" + parts[1], "\n"], ["22"], token_healing=False)
    assert both.num_tokens == later.num_tokens + len(fast.tokenizer.encode("1")) + 1
    assert both.token_logprobs[-later.num_tokens :] == pytest.approx(later.token_logprobs, abs=1e-4)


def test_the_line_ends_of_a_file_do_not_change_its_scores(fast: InfillModel) -> None:
    (unix,) = fast.score_infills(["a = 1\n", "c = 3\n"], ["b = 2\n"])
    (windows,) = fast.score_infills(["a = 1\r\n", "c = 3\r\n"], ["b = 2\r\n"])
    assert windows.token_logprobs == pytest.approx(unix.token_logprobs, abs=1e-4)  # read in other steps
    unix_text, windows_text = "a = 1\nb = 2\n", "\ufeffa = 1\r\nb = 2\r\n"
    assert fast.score(windows_text) == fast.score(unix_text)
    assert fast.score_texts([windows_text, "x"]) == fast.score_texts([unix_text, "x"])
    assert fast.line_logprobs(windows_text) == fast.line_logprobs(unix_text)


def test_what_the_fills_share_is_read_once(author: MakeModel) -> None:
    model = author("x = 1\n")
    model.score_infills(["x = ", "\n"], ["compute(1)", "compute(22)"])
    (sequences,) = model.language_model.opened  # type: ignore[attr-defined]
    assert sequences.num_reads == 3


def test_no_fills_have_no_scores(fast: InfillModel) -> None:
    assert fast.score_infills("x = <FILL>\n", []) == ()
    assert fast.score_texts([]) == ()


def test_fills_that_cannot_be_scored_are_refused(fast: InfillModel) -> None:
    with pytest.raises(IncoderError, match="no hole"):
        fast.score_infills("x = 1\n", ["1"])
    with pytest.raises(IncoderError, match="2 holes, got 1"):
        fast.score_infills("x = <FILL>\ny = <FILL>\n", ["1"])
    with pytest.raises(IncoderError, match="too long"):
        fast.score_infills("x = <FILL>\n", ["1 + " * 200])


def test_reranking_puts_the_completion_first_that_fits_the_suffix_best(dice: InfillModel) -> None:
    prefix, suffix = "def f(x):\n", "print(f(1))\n"
    result = infill_by_reranking(
        dice, prefix, suffix, num_candidates=6, max_new_tokens=6, truncate=lambda text: text[:9]
    )
    written = dice.complete(prefix, num_candidates=6, max_new_tokens=6, temperature=0.8, top_p=0.95)
    assert {one.infills[0] for one in result.candidates} == {one.infills[0][:9] for one in written.candidates}
    totals = [dice.score(prefix + one.infills[0] + suffix).total_logprob for one in result.candidates]
    assert totals == sorted(totals, reverse=True)
    assert [one.total_logprob for one in result.candidates] == pytest.approx(totals)
    assert all(one.text == prefix + one.infills[0] + suffix for one in result.candidates)
    by_mean = infill_by_reranking(dice, prefix, suffix, num_candidates=6, max_new_tokens=6, rank_by="mean")
    assert [one.logprob for one in by_mean.candidates] == sorted(
        (one.logprob for one in by_mean.candidates), reverse=True
    )
