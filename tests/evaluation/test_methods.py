"""Each method asks a model in its own way, and the same weights answer all of them."""

from dataclasses import dataclass
from typing import Any

import pytest

from incoder.evaluation.benchmark import Task
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.methods import answer, benchmark_request

HOLE = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "f",
    "prompt": "def f(x):\n",
    "suffix": "    return y\n",
    "canonical_solution": "    y = x\n",
    "test": "",
}
CHOICE = {"task_id": "c", "project": "p", "prefix": "x = ", "suffix": "(xs) + 1 - 2 * 3\n", "answer": "min"}
NAME = {"task_id": "n", "project": "p", "parts": ["", " = 1\n", " + 2\n"], "variable": "total"}
SETTINGS = {"max_new_tokens": 64, "temperature": 0.0, "top_p": 0.95, "seed": 0, "token_healing": True}


def task_of(benchmark: str, row: dict[str, Any]) -> Task:
    task = BENCHMARKS[benchmark].read(row, 1)
    assert task is not None
    return task


def test_infilling_sees_both_sides_of_a_python_file(scripted_model: Any) -> None:
    task = task_of("humaneval-single-line", HOLE)
    scripted_model.infills = ["    y = x\n    z = 1\n"]
    request = benchmark_request(max_new_tokens=64)
    assert answer(task, "infill", scripted_model, request) == "    y = x\n    z = 1\n"
    # Stopping rules are for users; a benchmark judges the infill as the model wrote it.
    settings = {**SETTINGS, "path": "solution.py", "stop": (), "stopping_rules": (), "num_tail_lines": None}
    settings |= {"num_candidates": 1, "rank_by": "mean"}
    assert scripted_model.asked == [((HOLE["prompt"], HOLE["suffix"]), settings)]


def test_reranking_infills_leaves_the_choice_to_the_model(scripted_model: Any) -> None:
    task = task_of("humaneval-single-line", HOLE)
    scripted_model.infills = ["    y = x\n    z = 1\n"]
    decoding = benchmark_request(max_new_tokens=64, temperature=0.8, num_candidates=7, rank_by="full-text")
    assert answer(task, "infill-rerank", scripted_model, decoding) == "    y = x\n    z = 1\n"
    ((parts, settings),) = scripted_model.asked
    assert parts == (HOLE["prompt"], HOLE["suffix"])
    assert (settings["num_candidates"], settings["rank_by"]) == (7, "full-text")


def test_left_to_right_sees_the_left_side_and_is_cut_to_the_gold_lines(scripted_model: Any) -> None:
    task = task_of("humaneval-single-line", HOLE)
    scripted_model.completions = ["\n    y = x\n    z = 1\n"]
    decoding = benchmark_request(max_new_tokens=64, num_candidates=10)
    assert answer(task, "left-to-right", scripted_model, decoding, sample=3) == "    y = x\n"
    settings = {**SETTINGS, "path": "solution.py", "stop": (), "num_candidates": 1, "seed": 3}
    settings["max_lines"] = 1  # it need not write more than what counts
    assert scripted_model.asked == [(HOLE["prompt"], settings)]


@pytest.mark.parametrize(("rank_by", "best"), [("total", "    favourite\n"), ("mean", "    b\n")])
def test_reranking_takes_the_candidate_that_makes_the_whole_text_most_probable(
    scripted_model: Any, rank_by: Any, best: str
) -> None:
    task = task_of("humaneval-single-line", HOLE)
    scripted_model.completions = ["    aaa\n", "    favourite\n    more\n", "    favourite\n", "    b\n"]
    decoding = benchmark_request(max_new_tokens=64, temperature=0.8, num_candidates=4, rank_by=rank_by)
    assert answer(task, "rerank", scripted_model, decoding) == best
    assert scripted_model.asked[0][1]["num_candidates"] == 4
    # Candidates that are the same once they are cut are scored once.
    scored = [text for text, _ in scripted_model.asked[1:]]
    assert scored == [
        HOLE["prompt"] + text + HOLE["suffix"] for text in ("    aaa\n", "    favourite\n", "    b\n")
    ]


def test_one_candidate_is_not_scored(scripted_model: Any) -> None:
    task = task_of("humaneval-single-line", HOLE)
    answer(task, "rerank", scripted_model, benchmark_request(max_new_tokens=64, num_candidates=10))
    assert len(scripted_model.asked) == 1


def test_names_are_filled_everywhere_and_scored_everywhere(scripted_model: Any) -> None:
    task = task_of("variable-names", NAME)
    scripted_model.infills = ["count", "total"]
    assert answer(task, "infill", scripted_model, benchmark_request(max_new_tokens=16)) == "count"
    scripted_model.completions = ["favourite = 1", "other"]
    assert (
        answer(
            task,
            "rerank",
            scripted_model,
            benchmark_request(max_new_tokens=16, num_candidates=2, rank_by="total"),
        )
        == "favourite"
    )
    assert scripted_model.asked[-1][0] == "other = 1\nother + 2\n"


@dataclass(frozen=True)
class PromptFormat:
    method: str
    shown: list[Any]


@pytest.mark.parametrize(
    "prompt_format",
    [
        PromptFormat("left-to-right", ["x = max", "x = min"]),
        PromptFormat("rerank", ["x = max(xs) + 1 - 2 * 3\n", "x = min(xs) + 1 - 2 * 3\n"]),
    ],
    ids=lambda prompt_format: prompt_format.method,
)
def test_a_choice_is_scored_in_the_text(scripted_model: Any, prompt_format: PromptFormat) -> None:
    task = task_of("cloze", CHOICE)
    scripted_model.favourite = "min"
    assert answer(task, prompt_format.method, scripted_model, benchmark_request(max_new_tokens=1)) == "min"
    assert [text for text, _ in scripted_model.asked] == prompt_format.shown


@pytest.mark.parametrize(("method", "num_more"), [("infill", 0), ("infill-region", 10)])
def test_a_choice_is_scored_in_a_hole_of_whole_tokens(
    scripted_model: Any, method: str, num_more: int
) -> None:
    task = task_of("cloze", CHOICE)
    scripted_model.favourite = "min"
    assert answer(task, method, scripted_model, benchmark_request(max_new_tokens=1)) == "min"
    tokenizer = scripted_model.tokenizer
    (shown, _), (other, _) = scripted_model.asked
    assert (shown[0], shown[2]) == (other[0], other[2])
    for word, (left, infill, right) in (("max", shown), ("min", other)):
        whole = f"x = {word}{CHOICE['suffix']}"
        assert left + infill + right == whole
        pieces = [tokenizer.decode([token_id]) for token_id in tokenizer.encode(whole)]
        places = [len("".join(pieces[:number])) for number in range(len(pieces) + 1)]
        assert len(left) in places
        # One word's end may lie inside of a token of the other text, where the wider hole decides.
        assert len(infill) >= len(word)
        inside = [place for place in places if len("x = " + word) <= place <= len(left + infill)]
        assert len(inside) >= min(num_more, 1)
        assert num_more == 0 or len(inside) > num_more or right == ""
