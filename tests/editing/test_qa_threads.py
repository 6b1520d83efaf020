from collections.abc import Callable
from typing import Any

from incoder.editing.qa_threads import Turn, answers, headlines
from incoder.request import InfillRequest

Script = Callable[..., Any]


def test_an_answer_is_written_behind_the_question_and_ends_with_its_tag(scripted: Script) -> None:
    model = scripted(["Use csv.\n<|/ a |>\n<| c |>"])
    (answer,) = answers(model, "How?\n", InfillRequest(), tags=["python", "csv"])
    assert model.asked == [["<| q tags=python,csv |>\nHow?\n<|/ q |>\n<| a dscore=5 |>\n"]]
    assert answer.infills == ("Use csv.",)


def test_a_comment_stands_below_the_answer_that_it_is_about(scripted: Script) -> None:
    model = scripted(["Use pandas."])
    answers(model, "How?", InfillRequest(), turns=[Turn("Use csv.", "With pandas, please.")])
    assert model.asked == [
        [
            "<| q |>\nHow?\n<|/ q |>\n<| a dscore=5 |>\nUse csv.\n<|/ a |>\n"
            "<| c |>\nWith pandas, please.\n<|/ c |>\n<| a dscore=5 |>\n"
        ]
    ]


def test_title_and_tags_are_holes_before_the_question(scripted: Script) -> None:
    model = scripted([["python,csv |> more", "Reading a file\nand"], ["", "Other"]])
    first, second = headlines(model, "I have a file.", InfillRequest())
    assert model.asked == [["<| q tags=", " |>\n", "\n\nI have a file.\n<|/ q |>\n"]]
    assert (first.tags, first.title) == (("python", "csv"), "Reading a file")
    assert (second.tags, second.title) == ((), "Other")
