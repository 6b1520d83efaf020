"""BLEU as CodeXGLUE's evaluator computes it."""

import pytest

from incoder.evaluation.bleu import smoothed_bleu

# The example beside CodeXGLUE's evaluator for docstrings, and the number in its README.
REFERENCES = (
    "Outputs the deferred summary information saved via",
    "Inspect the file referenced in the kubectl stderr to make it easier for developer to understand "
    "what s going on",
    "make sure to never prune the ejson - keys secret",
    "Determine the best compressor for the current system . This method returns the class not an instance "
    "of the class .",
    "Create the bff file using + mkinstallp + .",
)
PREDICTIONS = (
    "Prints a summary message",
    "Finds the output from the output file",
    "Verify that the given JSON element is present .",
    "Determines the specified compression compression .",
    "Creates a new project .",
)
PUBLISHED = 9.554726113590661


def test_the_evaluators_own_example_is_reproduced() -> None:
    scores = [smoothed_bleu(*pair) for pair in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert 100 * sum(scores) / len(scores) == pytest.approx(PUBLISHED, rel=1e-12)


def test_the_same_text_scores_one_whatever_its_case() -> None:
    assert smoothed_bleu("Return the 3.5-th item, if any.", "return the 3.5-TH item, if any.") == 1


def test_an_empty_prediction_scores_next_to_nothing() -> None:
    # The brevity penalty alone: exp(1 - (5 + 1) / (0 + 1)).
    assert smoothed_bleu("", "one two three four five") == pytest.approx(0.0067, abs=5e-5)


def test_nothing_behind_a_tab_counts() -> None:
    assert smoothed_bleu("sort the list\tof numbers", "sort the list") == 1
