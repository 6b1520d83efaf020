"""The lines before a hole as the beginning of its infill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import incoder
from incoder.errors import IncoderError
from incoder.inference.backends.backend import Chunk
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.runner import BLOCK_SIZE
from incoder.inference.infill_model import InfillModel
from incoder.inference.prompts.prefix_tail import split_tail
from incoder.model.checkpoint import save_checkpoint
from incoder.model.transformer import Transformer
from incoder.request_settings import ALL_STOPPING_RULES, StoppingRule
from incoder.tokenizer.tokenizer import Tokenizer

DOCUMENT = """import os


def main(path):
    files = os.listdir(path)

    for file in files:
        print(file)
    return len(files)
"""

MakeAuthor = Callable[..., InfillModel]
Transcript = Callable[..., str]


@pytest.mark.parametrize(
    ("num_lines", "tail"),
    [
        (0, ""),
        (1, "    ret"),
        (2, "  c()\r\n    ret"),
        (3, "b\n\n \n  c()\r\n    ret"),
        (4, "\ta\rb\n\n \n  c()\r\n    ret"),
        (9, "\ta\rb\n\n \n  c()\r\n    ret"),
    ],
)
def test_the_prefix_tail_is_the_holes_own_line_and_lines_before_it_that_are_not_blank(
    num_lines: int, tail: str
) -> None:
    text = "\n\ta\rb\n\n \n  c()\r\n    ret"
    assert split_tail(text, num_lines) == (text.removesuffix(tail), tail)


def test_at_the_start_of_a_line_its_beginning_is_empty() -> None:
    assert split_tail("a\nb\n", 1) == ("a\nb\n", "")
    assert split_tail("a\nb\n", 2) == ("a\n", "b\n")


def test_between_two_holes_the_first_lines_stay_where_they_are() -> None:
    text = " = 1\nb = 2\n\nc = 3\nd = "
    assert split_tail(text, 9, num_kept=1) == (" = 1\n", "b = 2\n\nc = 3\nd = ")
    assert split_tail(text, 2, num_kept=1) == (" = 1\nb = 2\n\n", "c = 3\nd = ")
    assert split_tail(text, 2, num_kept=4) == (" = 1\nb = 2\n\nc = 3\n", "d = ")
    assert split_tail("a\n", 1, num_kept=1) == ("a\n", "")


def test_a_hole_keeps_the_beginning_of_its_own_line_unless_another_hole_is_on_it() -> None:
    assert split_tail(" = 1\nb = 2\nc = ", 2, num_kept=5) == (" = 1\nb = 2\n", "c = ")
    assert split_tail(" + ", 2, num_kept=5) == (" + ", "")


@given(st.text(st.sampled_from("ab \t\r\n"), max_size=40), st.integers(0, 6))
def test_nothing_is_lost_between_text_and_prefix_tail(text: str, num_lines: int) -> None:
    kept, tail = split_tail(text, num_lines)
    assert kept + tail == text
    own_line = text[1 + max(text.rfind("\n"), text.rfind("\r")) :]
    assert not num_lines or tail.endswith(own_line)
    assert not kept or not num_lines or kept[-1] in "\r\n"
    whole_lines = tail.removesuffix(own_line).replace("\r", "\n").split("\n")
    assert sum(bool(line.strip()) for line in whole_lines) <= max(0, num_lines - 1)


@pytest.mark.parametrize("num_lines", range(5))
@pytest.mark.parametrize(
    "gone", [["\n    return len"], ["import os"], ["listdir", "file in", "(files)\n"], [""]]
)
def test_infills_are_the_same_with_a_prefix_tail(gone: list[str], num_lines: int, author: MakeAuthor) -> None:
    parts, rest = [], DOCUMENT
    for piece in gone:
        before, _, rest = rest.partition(piece) if piece else ("", "", rest)
        parts.append(before)
    result = author(DOCUMENT).infill([*parts, rest], temperature=0, num_tail_lines=num_lines)
    assert result.infills == tuple(gone)
    assert result.text == DOCUMENT


def test_the_prefix_tail_follows_the_sentinel_of_its_hole(author: MakeAuthor, transcript: Transcript) -> None:
    model = author(DOCUMENT)
    first, _, rest = DOCUMENT.partition("listdir")
    second, _, last = rest.partition("print")
    model.infill([first, second, last], temperature=0, num_tail_lines=2, token_healing=False)
    assert transcript(model) == (
        "<START>import os\n\n\n"
        "<0>(path)\n\n"
        f"<1>{last}"
        "<2><0>def main(path):\n    files = os.listdir<EOM>"
        "<1>    for file in files:\n        print"
    )


def test_a_model_that_was_trained_with_prefix_tails_sees_where_they_end(
    dice: InfillModel, transcript: Transcript
) -> None:
    model = dice
    model.num_tail_lines = 2
    first, _, rest = DOCUMENT.partition("listdir")
    second, _, last = rest.partition("print")
    model.infill(
        [first, second, last], max_new_tokens=1, temperature=0, token_healing=False, stopping_rules=()
    )
    read = transcript(model)
    assert "<0>def main(path):\n    files = os.<0>" in read
    assert "<1>    for file in files:\n        <1>" in read


@pytest.mark.parametrize(
    ("before", "after", "is_marked"),
    [
        ("x = 1\nfiles = os.", "(path)\n", False),
        ("x = 1\nfiles", "(path)\n", False),
        ("x = 1\n    ", ".close()\n", False),
        ("x = 1\n    ", "close()\n", True),
        ("x = 1\n", "y = 2\n", True),
        ("x = 1\nfiles = ", "\n", True),
        ("x = 1\nf(", "\n    y)\n", True),
    ],
)
def test_in_the_middle_of_a_line_where_the_rules_end_infills_no_sentinel_ends_the_tail(
    before: str, after: str, is_marked: bool, dice: InfillModel, transcript: Transcript
) -> None:
    dice.num_tail_lines = 2
    dice.infill([before, after], max_new_tokens=1, token_healing=False)
    assert f"<0>{before}<0>" in transcript(dice) if is_marked else transcript(dice).endswith(f"<0>{before}")
    assert is_marked == (transcript(dice).count("<0>") == 3)


@pytest.mark.parametrize("rule", ["tails", "lines", "rest", "ends"])
def test_without_a_rule_that_ends_infills_inside_lines_a_sentinel_ends_the_tail(
    rule: StoppingRule, dice: InfillModel, transcript: Transcript
) -> None:
    dice.num_tail_lines = 2
    others = [one for one in ALL_STOPPING_RULES if one != rule]
    dice.infill(["files = os.", "(path)\n"], max_new_tokens=1, token_healing=False, stopping_rules=others)
    assert "<0>files = os.<0>" in transcript(dice)


@pytest.mark.parametrize("how", [{"num_beams": 2}, {"on_text": [].append}])
def test_where_no_end_is_chosen_afterwards_a_sentinel_ends_the_tail(
    how: dict[str, Any], dice: InfillModel, transcript: Transcript
) -> None:
    dice.num_tail_lines = 2
    dice.infill(["files = os.", "(path)\n"], max_new_tokens=1, token_healing=False, **how)
    assert "<0>files = os.<0>" in transcript(dice)


def test_with_several_holes_a_sentinel_ends_each_tail(dice: InfillModel, transcript: Transcript) -> None:
    dice.num_tail_lines = 2
    dice.infill(["files = os.", "(path)\nx = ", "\n"], max_new_tokens=1, token_healing=False)
    assert "<0>files = os.<0>" in transcript(dice)


def test_without_a_prefix_tail_the_model_is_trusted_to_end_an_infill(dice: InfillModel) -> None:
    dice.num_tail_lines = 2
    parts = ["files = os.", "(path)\n"]
    settings: dict[str, Any] = {"max_new_tokens": 6, "seed": 3, "num_tail_lines": 0}
    others = [one for one in ALL_STOPPING_RULES if one != "tails"]
    assert dice.infill(parts, **settings) == dice.infill(parts, stopping_rules=others, **settings)


def test_what_is_typed_on_the_holes_line_leaves_the_rest_as_it_was_read(fast: InfillModel) -> None:
    before, after = "def mean(xs):\n    total = sum(xs)\n", "\n    return mean\n" * 9
    read = _counting(fast)
    for typed in ("    m", "    mean ="):
        read.clear()
        fast.infill(
            [before + typed, after], max_new_tokens=1, temperature=0, num_tail_lines=1, token_healing=False
        )
    num_behind = len(fast.tokenizer.encode(after))
    assert num_behind > 2 * BLOCK_SIZE
    assert sum(read) < len(fast.tokenizer.encode("    mean =")) + BLOCK_SIZE


def test_with_the_cache_fills_are_those_without(fast: InfillModel, slow: InfillModel) -> None:
    parts = ["a = [\n    1,\n    2", ",\n    3]\nb = ", "\nprint(a, b)\n"]
    with_cache, without = (
        model.infill(parts, num_candidates=2, max_new_tokens=6, temperature=0.7, num_tail_lines=2)
        for model in (fast, slow)
    )
    assert [candidate.infills for candidate in with_cache.candidates] == [
        candidate.infills for candidate in without.candidates
    ]


def test_a_model_says_how_many_lines_its_fills_begin_with(
    tmp_path: Path, transformer: Transformer, tiny_tokenizer: Tokenizer
) -> None:
    save_checkpoint(transformer, tmp_path, tokenizer=tiny_tokenizer, dtype=torch.float32, num_tail_lines=3)
    loaded = incoder.load(tmp_path, device="cpu")
    assert loaded.num_tail_lines == 3
    parts = ["a\nb\nc = ", "\nd\n"]
    assert loaded.infill(parts, temperature=0) == loaded.infill(parts, temperature=0, num_tail_lines=3)


def test_a_number_of_lines_that_makes_no_sense_is_refused(
    tmp_path: Path, transformer: Transformer, tiny_tokenizer: Tokenizer, author: MakeAuthor
) -> None:
    with pytest.raises(IncoderError, match="num_tail_lines must be at least 0, got -1"):
        author(DOCUMENT).infill("a<FILL>", num_tail_lines=-1)
    save_checkpoint(transformer, tmp_path, tokenizer=tiny_tokenizer)
    (tmp_path / "generation_config.json").write_text('{"num_tail_lines": "many"}')
    with pytest.raises(IncoderError, match=r"generation_config\.json: num_tail_lines must be .* got 'many'"):
        incoder.load(tmp_path)


def _counting(model: InfillModel) -> list[int]:
    """The numbers of tokens that the model reads from now on, step by step."""
    assert isinstance(model.language_model, TransformerModel)
    runner, read = model.language_model.runner, list[int]()
    compute = runner.compute

    def counted(chunks: list[Chunk]) -> list[torch.Tensor]:
        read.extend(len(chunk.token_ids) for chunk in chunks)
        return list(compute(chunks))

    runner.compute = counted  # type: ignore[method-assign, assignment]
    return read
