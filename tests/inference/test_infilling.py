"""Holes, stopping rules, stop strings and windows, with a model that writes one given document."""

import time
from collections.abc import Callable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference import infilling, request_state
from incoder.inference.candidates import text_of
from incoder.inference.decoding.decode_loop import decoding
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import Generation, run_alone
from incoder.request import InfillRequest
from incoder.request_settings import RequestSettings
from incoder.results import Candidate, InfillResult
from incoder.sampling_params import SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer

DOCUMENT = """import numpy as np


def mean(xs):
    return sum(xs) / len(xs)


for x in range(10):
    print(x)
"""

MakeAuthor = Callable[..., InfillModel]
Transcript = Callable[..., str]


def with_holes(*gone: str, document: str = DOCUMENT) -> list[str]:
    """The parts that are left of the document without these pieces, which come in this order."""
    parts = []
    for piece in gone:
        at = document.index(piece)
        before, document = document[:at], document[at + len(piece) :]
        parts.append(before)
    return [*parts, document]


@pytest.mark.parametrize(
    "gone",
    [
        ["\n    print"],
        ["import numpy"],  # at the very start
        ["print(x)\n"],  # at the very end
        [DOCUMENT],
        ["numpy", "sum", "range", "x)\n"],
        [""],  # nothing is missing
    ],
)
def test_holes_are_filled_with_what_is_missing(gone: list[str], author: MakeAuthor) -> None:
    result = author(DOCUMENT).infill(with_holes(*gone), temperature=0)
    assert result.infills == tuple(gone)
    assert result.text == DOCUMENT
    assert set(result.candidates[0].finish_reasons) == {"end"}


def test_a_string_is_cut_at_the_hole_markers(author: MakeAuthor) -> None:
    text = DOCUMENT.replace("print", "<FILL>").replace("numpy", "<FILL>")
    assert author(DOCUMENT).infill(text, temperature=0).infills == ("numpy", "print")
    assert author(DOCUMENT).infill(Parts.split(text), temperature=0).text == DOCUMENT


def test_a_text_without_a_hole_is_refused(author: MakeAuthor) -> None:
    for parts in ("x = 1", ["x = 1"], []):
        with pytest.raises(IncoderError, match="no hole"):
            author(DOCUMENT).infill(parts)


def test_a_hole_that_begins_inside_a_token_is_filled_as_if_it_did_not(author: MakeAuthor) -> None:
    start = DOCUMENT.index("    return sum")
    for cut in range(start, start + len("    return sum(xs)")):
        parts = [DOCUMENT[:cut], " / len(xs)\n" + DOCUMENT.split(" / len(xs)\n")[1]]
        assert author(DOCUMENT).infill(parts, temperature=0).text == DOCUMENT, parts


def test_without_token_healing_such_a_hole_is_not_filled(author: MakeAuthor) -> None:
    parts = ["".join(DOCUMENT.partition("    ret")[:2]), DOCUMENT.partition("    return sum(xs)")[2]]
    assert author(DOCUMENT).infill(parts, temperature=0).text == DOCUMENT
    assert author(DOCUMENT).infill(parts, temperature=0, token_healing=False).infills[0].startswith("?")


def test_token_healing_applies_to_every_hole(author: MakeAuthor) -> None:
    parts = [
        "import nu",
        DOCUMENT[len("import numpy") : DOCUMENT.index("urn ")],
        " sum" + DOCUMENT.split(" sum")[1],
    ]
    assert author(DOCUMENT).infill(parts, temperature=0).infills == ("mpy", "urn")


def test_token_healing_completes_a_character_cut_in_two(author: MakeAuthor) -> None:
    document = "# 漢字 and 🙂 are text as well\n"
    data = document.encode()
    for cut in range(len(data) + 1):
        prefix = data[:cut].decode("utf-8", "surrogateescape")
        infill = author(document).infill([prefix, ""], temperature=0).infills[0]
        assert (prefix + infill).encode("utf-8", "surrogateescape")[:cut] == data[:cut]
        if not 0x80 <= (data[cut : cut + 1] or b"a")[0] < 0xC0:  # at a character, the infill is text
            assert prefix + infill == document


def test_a_line_end_is_not_taken_back(author: MakeAuthor, transcript: Transcript) -> None:
    model = author(DOCUMENT)
    model.infill(["import numpy as np\n", "\n\n"], temperature=0, max_new_tokens=1)
    assert transcript(model).startswith("<START>import numpy as np\n<0>")


def test_a_completion_has_token_healing_and_ends_at_its_length(author: MakeAuthor) -> None:
    result = author(DOCUMENT).complete("import nu", temperature=0, max_new_tokens=7)
    assert result.text == "import nu" + result.infills[0]
    assert DOCUMENT.startswith(result.text)
    assert result.candidates[0].finish_reasons == ("length",)


def test_an_infill_has_at_most_max_new_tokens(author: MakeAuthor, tiny_tokenizer: Tokenizer) -> None:
    for length in range(1, 6):
        result = author(DOCUMENT).infill(
            ["import numpy as np\n\n\n", ""], temperature=0, max_new_tokens=length
        )
        assert len(tiny_tokenizer.encode(result.infills[0])) == length
        assert result.candidates[0].finish_reasons == ("length",)


@pytest.mark.parametrize(
    ("stop", "expected", "reason"),
    [
        (" / ", "sum(xs)", "stop"),
        ("s) / le", "sum(x", "stop"),
        (["no such", "len", "(xs)"], "sum", "stop"),
        ("sum", "", "stop"),
        ("\r\n", "sum(xs) / len(xs)", "end"),
        ("    return", "sum(xs) / len(xs)", "end"),  # occurs before the infill, not in it
    ],
)
def test_an_infill_ends_before_a_stop_string(
    stop: str | Sequence[str], expected: str, reason: str, author: MakeAuthor
) -> None:
    candidate = (
        author(DOCUMENT).infill(with_holes("sum(xs) / len(xs)"), temperature=0, stop=stop).candidates[0]
    )
    assert candidate.infills == (expected,)
    assert candidate.finish_reasons == (reason,)


def test_a_stop_string_may_have_windows_line_ends(author: MakeAuthor) -> None:
    result = author(DOCUMENT).infill(["import numpy as np", ""], temperature=0, stop="def", max_new_tokens=9)
    model, stop = author(DOCUMENT), "\r\n\r\n\r\ndef"
    same = model.infill(["import numpy as np", ""], temperature=0, stop=stop)
    params = SamplingParams(temperature=0.0, stop=(stop,))
    assert (
        run_alone(model.generation(InfillRequest(parts=("import numpy as np", ""), sampling=params))) == same
    )
    assert result.infills == ("\n\n\n",)
    assert same.infills == ("",)


def test_the_next_hole_sees_an_infill_as_it_was_cut(author: MakeAuthor, transcript: Transcript) -> None:
    model = author(DOCUMENT)
    model.infill(with_holes("sum(xs) / len(xs)", "range"), temperature=0, stop="s) / le", max_new_tokens=20)
    assert "    return sum(x<EOM>" in transcript(model)


def test_an_infill_without_an_end_gets_one_before_the_next(
    author: MakeAuthor, transcript: Transcript
) -> None:
    model = author(DOCUMENT)
    parts = with_holes("sum(xs) / len(xs)", "range")
    result = model.infill(parts, temperature=0, max_new_tokens=2, token_healing=False)
    assert result.candidates[0].finish_reasons == ("length", "length")
    written = transcript(model).split("<2>")[1]
    assert written.startswith(f"<0>{result.infills[0]}<EOM><1>{result.infills[1][:1]}")


def test_the_prompt_is_the_papers(author: MakeAuthor, transcript: Transcript) -> None:
    model = author(DOCUMENT)
    a, b, c = with_holes(" numpy as np", "range")
    model.infill([a, b, c], temperature=0, token_healing=False, path="src/mean.py")
    expected = f"<START><| file ext=.py |>\n{a}<0>{b}<1>{c}<2><0> numpy as np<EOM><1>range"
    assert transcript(model) == expected


def test_the_required_prefix_moves_after_the_sentinel(author: MakeAuthor, transcript: Transcript) -> None:
    model = author("x is None")
    model.infill(["x is No", ""], temperature=0)
    written = transcript(model)
    prefix, span = written.removeprefix("<START>").split("<0><1><0>")
    assert prefix + span == "x is None"
    assert len(prefix) < len("x is No")


def test_sentinels_in_the_text_are_text(author: MakeAuthor, transcript: Transcript) -> None:
    document = "x = '<|mask:0|> <|endofmask|> <|endoftext|>'\n"
    model = author(document)
    assert model.infill(["x = '<|mask:0|> <|end", "<|endoftext|>'\n"], temperature=0).text == document
    assert transcript(model).count("<START>") == 1


def test_later_candidates_do_not_change_earlier_ones(dice: InfillModel) -> None:
    def fill(num_candidates: int) -> Sequence[Candidate]:
        settings: RequestSettings = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 6, "seed": 3}
        settings |= {"num_candidates": num_candidates, "rank_by": "none"}
        return dice.infill(["a", "b", "c"], **settings).candidates

    few, many = fill(2), fill(5)
    assert len(many) == 5
    assert few == many[:2]


def test_the_first_of_several_is_greedy(dice: InfillModel) -> None:
    """It is the infill of temperature 0, and the others are those that are drawn without it."""
    parts = ["a", "b", "c"]
    settings: RequestSettings = {"temperature": 3.0, "top_p": 1.0, "max_new_tokens": 6, "rank_by": "none"}
    settings |= {"num_candidates": 3, "greedy_first": True}
    found = dice.infill(parts, **settings).candidates
    assert found[0] == dice.infill(parts, temperature=0, max_new_tokens=6).candidates[0]
    settings["greedy_first"] = False
    drawn = dice.infill(parts, **settings).candidates
    assert found[1:] == drawn[1:]
    assert found[0] != drawn[0]


def test_other_prompts_draw_other_numbers(
    reading_again: Callable[[Callable[[list[int]], Tensor], int], InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    """A model that finds all letters equally probable writes what the random numbers say."""
    letters = [tiny_tokenizer.encode(letter)[0] for letter in "abcdefgh"]
    logits_V = torch.full((tiny_tokenizer.vocab_size,), -1000.0)
    logits_V[letters] = 0.0
    model = reading_again(lambda _: logits_V, 256)

    def fill(name: str) -> str:
        parts = [f"{name} = ", "\n"]
        return model.infill(parts, num_candidates=1, temperature=1.0, max_new_tokens=8).infills[0]

    names = ["one", "other", "third"]
    infills = [fill(name) for name in names]
    assert len(set(infills)) == 3
    assert [fill(name) for name in reversed(names)] == infills[::-1]


def test_candidates_come_best_first(dice: InfillModel) -> None:
    settings: RequestSettings = {"num_candidates": 8, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 6}
    settings["rank_by"] = "mean"
    result = dice.infill(["a", "b"], **settings)
    logprobs = [candidate.logprob for candidate in result.candidates]
    assert logprobs == sorted(logprobs, reverse=True)
    assert (result.text, result.infills, result.logprob) == (
        result.candidates[0].text,
        result.candidates[0].infills,
        logprobs[0],
    )


def test_candidates_with_the_same_text_are_one(author: MakeAuthor) -> None:
    result = author(DOCUMENT).infill(with_holes("numpy"), num_candidates=4, temperature=0.5)
    assert [candidate.infills for candidate in result.candidates] == [("numpy",)]


def test_the_seed_decides(dice: InfillModel) -> None:
    def fill(seed: int) -> str:
        return dice.infill(["a", "b"], seed=seed, temperature=1.0, top_p=1.0, max_new_tokens=8).text

    assert fill(0) == fill(0)
    assert len({fill(seed) for seed in range(3)}) == 3


def test_logprobs_are_the_models_own(dice: InfillModel, tiny_tokenizer: Tokenizer) -> None:
    """Temperature and forbidden tokens change what is chosen, not how probable the model finds it."""
    settings: RequestSettings = {"temperature": 0.7, "max_new_tokens": 5, "token_healing": False}
    settings["stopping_rules"] = ()
    candidate = dice.infill(["a", "b"], **settings).candidates[0]
    fake = dice.language_model
    row = fake.opened[0].rows[0]  # type: ignore[attr-defined]
    num_tokens = len(row) - len(tiny_tokenizer.encode("a")) - len(tiny_tokenizer.encode("b")) - 4
    read = fake.logprobs(row)[-num_tokens:].sum().item()
    last = candidate.total_logprob - read  # the last token was chosen but not read
    assert candidate.logprob == pytest.approx(candidate.total_logprob / 5)
    assert num_tokens == 4
    assert -12 < last < 0


def test_every_infill_is_reported(author: MakeAuthor) -> None:
    reports: list[tuple[int, int]] = []
    author(DOCUMENT).infill(
        with_holes("numpy", "sum"),
        temperature=0.1,
        num_candidates=2,
        on_infill=lambda *report: reports.append(report),
    )
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_fewer_than_one_candidate_is_refused(dice: InfillModel) -> None:
    with pytest.raises(IncoderError, match=r"num_candidates must be in .*, got 0"):
        dice.infill(["a", "b"], num_candidates=0)


def test_a_bias_for_an_id_that_no_token_has_is_refused_before_anything_is_read(dice: InfillModel) -> None:
    for token_id in (-1, 640):
        with pytest.raises(IncoderError, match=rf"in \[0, 640\), got one for {token_id}"):
            dice.infill(["a", "b"], logit_bias={token_id: 1.0})
    assert not dice.language_model.opened  # type: ignore[attr-defined]


def test_the_stopping_rules_see_the_whole_line_before_a_hole(author: MakeAuthor) -> None:
    """Though only a space is between the holes, the second infill does not repeat the line after it."""
    document = "a = - total / n\ntotal / n\n"
    result = author(document).infill(["a = ", " ", "\ntotal / n\n"], temperature=0, token_healing=False)
    assert result.text == document


def test_an_infill_that_ends_in_the_rest_of_its_line_is_cut_before_it_and_so_read(
    author: MakeAuthor, transcript: Transcript
) -> None:
    model, parts = author("with open(a) as f::\n    x\n"), ("with open(a) as ", ":\n    x\n", "")
    pieces: list[tuple[int, str]] = []
    request = InfillRequest.from_settings(parts, temperature=0.0, max_new_tokens=9)
    result = run_alone(model.generation(request, on_text=lambda one: pieces.append((one.hole, one.text))))
    assert result.infills[0] == "f"
    assert result.candidates[0].finish_reasons[0] == "stop"
    assert "".join(text for hole, text in pieces if hole == 0) == "f"
    assert " f<EOM><1>" in transcript(model)
    assert model.infill(parts, temperature=0, max_new_tokens=9, stopping_rules=()).infills[0] == "f:"
    longer = author("with open(a) as f:\n    y\n:\n    x\n")
    assert longer.infill(parts[:2], temperature=0, stop="\n").infills == ("f",)


def test_a_file_name_that_fills_the_context_is_refused(author: MakeAuthor) -> None:
    model = author(DOCUMENT, 64)
    with pytest.raises(
        IncoderError, match=r"the \d+ tokens before the text leave no space for it: the model can read 64"
    ):
        model.complete("x", attributes={"filename": "a b c " * 40})


def test_a_later_hole_is_written_in_view_of_all_that_was_read(
    author: MakeAuthor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repetition penalty counts the sentinels and the prefix tail between holes, not cut-off tokens."""
    seen: list[list[list[int]]] = []

    def noting(*arguments: Any, **settings: Any) -> Any:
        seen.append([list(context) for context in settings["contexts"]])
        seen[-1].append(list(arguments[0].rows[0]))
        return decoding(*arguments, **settings)

    monkeypatch.setattr(infilling, "decoding", noting)
    author(DOCUMENT).infill(
        with_holes("sum(xs) / len(xs)", "range"), temperature=0, stop="s) / le", num_tail_lines=2
    )
    assert len(seen) == 2
    assert all(context == read for context, read in seen)


def test_windows_line_ends_stay_and_fills_get_them(author: MakeAuthor) -> None:
    model = author(DOCUMENT)
    start, end = DOCUMENT.index("def"), DOCUMENT.index("    print")
    parts = ["\ufeff" + DOCUMENT[:start].replace("\n", "\r\n"), DOCUMENT[end:].replace("\n", "\r\n")]
    result = model.infill(parts, temperature=0)
    assert result.text == "\ufeff" + DOCUMENT.replace("\n", "\r\n")


def test_lone_carriage_returns_stay_and_infills_get_them(author: MakeAuthor) -> None:
    parts = [part.replace("\n", "\r") for part in with_holes("def mean(xs):\n    return ")]
    assert author(DOCUMENT).infill(parts, temperature=0).text == DOCUMENT.replace("\n", "\r")


def test_an_infill_of_bad_bytes_is_text() -> None:
    assert text_of("é🙂".encode()) == "é🙂"
    assert text_of("é🙂".encode()[:-1]) == "é"
    assert text_of(b"a\xffb") == "a\ufffdb"


def long_document(num_functions: int) -> str:
    return "import numpy as np\n\n\n" + "\n\n".join(
        f"def f{number}(xs):\n    return sum(xs) / {number}\n" for number in range(num_functions)
    )


def test_the_prompt_of_a_long_text_fits_and_keeps_its_imports(
    dice: InfillModel, transcript: Transcript
) -> None:
    before, after = long_document(300).split("f150")
    result = dice.infill([before, after], temperature=1.0, top_p=1.0, max_new_tokens=4)
    assert result.text.startswith(before)
    assert result.text.endswith(after)
    written = transcript(dice)
    assert written.startswith("<START>import numpy as np\n")
    assert len(dice.language_model.opened[0].rows[0]) <= dice.language_model.max_positions  # type: ignore[attr-defined]
    prefix, suffix = written.split("<0>")[:2]
    assert "f149" in prefix
    assert "f0(" in prefix
    assert "f75" not in prefix
    assert suffix.startswith("(xs):\n    return sum(xs) / 150\n")


def test_far_holes_are_filled_in_windows_of_their_own(dice: InfillModel) -> None:
    document = long_document(300)
    gone = [f"f{number}" for number in range(10, 300, 15)]
    parts = with_holes(*gone, document=document)
    assert len(gone) == 20
    result = dice.infill(parts, temperature=1.0, top_p=1.0, max_new_tokens=4)
    assert len(result.infills) == 20
    assert result.text == Parts(tuple(parts)).join(result.infills)


def test_a_later_window_sees_the_earlier_fills_as_text(dice: InfillModel, transcript: Transcript) -> None:
    middle = "x = 1\n" * 20
    parts = ["a = ", middle, middle, ""]
    result = dice.infill(parts, temperature=1.0, top_p=1.0, max_new_tokens=20, token_healing=False)
    assert f"{result.infills[1]}{middle}<0><1><0>" in transcript(dice, opened=-1)


def test_candidates_part_ways_in_later_windows(dice: InfillModel) -> None:
    middle = "x = 1\n" * 120
    parts = ["a = ", middle, middle, ""]
    settings: RequestSettings = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 3}
    one = dice.infill(parts, **settings)
    settings |= {"num_candidates": 3, "greedy_first": False}
    three = dice.infill(parts, **settings)
    assert one.candidates[0] in three.candidates
    assert len(three.candidates) == 3


def test_more_holes_than_sentinels_are_filled(dice: InfillModel) -> None:
    result = dice.infill(["x"] * 301, temperature=1.0, top_p=1.0, max_new_tokens=1)
    assert len(result.infills) == 300


def test_an_infill_ends_where_the_context_ends(dice: InfillModel) -> None:
    candidate = dice.infill(["x", "y"], temperature=1.0, top_p=1.0, max_new_tokens=10_000).candidates[0]
    row = dice.language_model.opened[0].rows[0]  # type: ignore[attr-defined]
    if candidate.finish_reasons == ("length",):
        assert len(row) == dice.language_model.max_positions - 1
    else:
        assert len(row) < dice.language_model.max_positions


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes a second."""
    seconds = count()
    monkeypatch.setattr(request_state, "time", SimpleNamespace(monotonic=lambda: next(seconds)))


@pytest.mark.usefixtures("ticking")
def test_what_was_held_back_is_streamed_when_the_time_is_up(author: MakeAuthor) -> None:
    pieces: list[str] = []
    params = SamplingParams(temperature=0.0, stop=("sum(xs) / len(ys)",), time_limit=4)
    request = InfillRequest(parts=tuple(with_holes("sum(xs) / len(xs)")), sampling=params)
    result = run_alone(author(DOCUMENT).generation(request, on_text=lambda piece: pieces.append(piece.text)))
    assert result.candidates[0].finish_reasons == ("time",)
    assert "".join(pieces) == result.infills[0] != ""


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("distance", [1, 120])
def test_nothing_is_read_for_holes_that_the_time_does_not_suffice_for(
    dice: InfillModel, transcript: Transcript, distance: int, num_beams: int
) -> None:
    reports: list[tuple[int, int]] = []
    result = dice.infill(
        ["a = ", *["x = 1\n" * distance] * 2, ""],
        num_candidates=num_beams,
        temperature=1.0,
        top_p=1.0,
        time_limit=2,
        num_beams=num_beams,
        on_infill=lambda *report: reports.append(report),
    )
    assert result.candidates[0].finish_reasons == ("time",) * 3
    assert result.infills[1:] == ("", "")
    assert "<EOM>" not in transcript(dice)
    assert len(dice.language_model.opened) == 1  # type: ignore[attr-defined]
    assert reports[-1] == (3, 3)


def test_a_limit_for_decoding_begins_after_the_prefill(
    dice: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(request_state, "time", SimpleNamespace(monotonic=lambda: now[0]))
    request = InfillRequest.from_settings(
        "x = ", temperature=0, max_new_tokens=50, speculate=False, decode_time_limit=5
    )
    generation, num_steps = dice.generation(request), 0

    def timed() -> Generation[InfillResult]:
        nonlocal num_steps
        forward = next(generation)
        while True:
            logits = yield forward
            now[0] += 1 if num_steps else 1000  # the prefill alone takes longer than the limit
            num_steps += 1
            try:
                forward = generation.send(logits)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    assert run_alone(timed()).candidates[0].finish_reasons == ("time",)
    assert num_steps == 1 + 5 + 1


TAGS = "<| file ext=.py |>\nx = 1\n<|/ file filename=a.py |>"


@pytest.mark.parametrize("settings", [{}, {"speculate": False}, {"num_beams": 2}])
def test_no_file_gets_the_tags_of_training_documents(author: MakeAuthor, settings: dict[str, Any]) -> None:
    model = author(TAGS)
    empty = model.complete("", temperature=0, max_new_tokens=4, token_healing=False, **settings)
    assert empty.infills[0]
    assert "<|" not in empty.text
    model = author("x = 1\n<|/ file filename=a.py |>")
    assert model.complete("x = 1", temperature=0, max_new_tokens=20, **settings).infills == ("\n",)
    assert model.infill(["x = ", ""], temperature=0, max_new_tokens=20, **settings).infills == ("1\n",)


def test_a_request_may_allow_tags(author: MakeAuthor) -> None:
    completion = author(TAGS).complete("", temperature=0, max_new_tokens=40, allows_tags=True)
    assert TAGS in completion.text


def test_an_infill_that_is_too_long_ends_in_no_second_line_end(author: MakeAuthor) -> None:
    model = author("x = 1\n\ny\n")
    for max_new_tokens in range(1, 6):
        (infill,) = model.infill(["x = ", "\ny\n"], temperature=0, max_new_tokens=max_new_tokens).infills
        assert infill in ("1", "")


def test_a_block_begins_with_its_indentation_whatever_the_model_wants(author: MakeAuthor) -> None:
    document = "class A:\n    def f(self):\n    pass  # for the time being\n"
    parts = ["class A:\n    def f(self):\n", "\n"]
    (infill,) = author(document).infill(parts, temperature=0, max_new_tokens=8).infills
    assert infill.startswith("        ")
    (infill,) = author(document).infill(parts, temperature=0, max_new_tokens=8, stopping_rules=()).infills
    assert infill.startswith("    pass")


def test_the_path_tells_the_rules_the_language(author: MakeAuthor) -> None:
    parts = ["def f(x)\n  if x\n    g", "\n"]
    model = author("<| file ext=.rb |>\ndef f(x)\n  if x\n    g\n  end\nend\n")
    assert model.infill(parts, temperature=0, path="a.rb").infills == ("\n  end\nend",)


def test_unranked_candidates_keep_their_order_and_equal_ones(fast: InfillModel) -> None:
    settings: dict[str, Any] = {"num_candidates": 5, "temperature": 0.3, "max_new_tokens": 2, "seed": 1}
    every = fast.complete("import ", rank_by="none", **settings).candidates
    alone = [fast.complete("import ", rank_by="none", **{**settings, "num_candidates": n}) for n in (1, 3)]
    assert len(every) == 5
    assert [one.infills for one in alone[1].candidates] == [one.infills for one in every[:3]]
    assert alone[0].infills == every[0].infills
    distinct = fast.complete("import ", **settings).candidates
    assert {one.infills for one in distinct} == {one.infills for one in every}


def test_a_result_has_its_times_and_its_drafts(fast: InfillModel) -> None:
    before = time.monotonic()
    result = fast.complete("x = 1\ny = 2\n" * 6, temperature=0, max_new_tokens=24)
    timing = result.timing
    assert timing is not None
    assert before <= timing.started <= timing.prefilled <= timing.ended <= time.monotonic()
    assert 0 <= result.usage.num_accepted_tokens <= result.usage.num_draft_tokens
    assert result.usage.num_draft_tokens > 0
    without = fast.complete("x = 1\ny = 2\n" * 6, temperature=0, max_new_tokens=24, speculate=False)
    assert without.usage.num_draft_tokens == 0
