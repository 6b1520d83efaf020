"""One hole, token by token."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.decoding.decode_loop import decoding
from incoder.inference.decoding.sequence_state import SequenceState
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import run_alone
from incoder.inference.vocabulary import Vocabulary
from incoder.sampling_params import SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer


def test_drafts_are_rolled_back_when_the_time_is_up(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    alphabet = sorted(set(tiny_tokenizer.encode("abcdefgh")))

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(tiny_tokenizer.vocab_size)
        logits_V[alphabet[(alphabet.index(token_ids[-1]) + 1) % len(alphabet)]] = 20.0
        return logits_V

    sequences = reading_again(logits_after, 64).language_model.open(64)
    answers = iter([False, False, True])
    (row,) = run_alone(
        decoding(
            sequences,
            sequences.forward([2 * alphabet]),
            required_prefix=b"",
            params=SamplingParams(temperature=0.0),
            rngs=[torch.Generator()],
            vocabulary=Vocabulary(tiny_tokenizer),
            max_positions=64,
            contexts=[2 * alphabet],
            is_time_up=lambda: next(answers),
        )
    )
    assert row.finish_reason == "time"
    assert row.unread == ()
    assert sequences.rows[0] == [*alphabet, *alphabet, *row.read]  # type: ignore[attr-defined]


@pytest.mark.parametrize("logit", [torch.nan, torch.inf])
@pytest.mark.parametrize(("temperature", "num_beams"), [(0.0, 1), (1.0, 1), (1.0, 2)])
def test_logits_that_are_no_numbers_are_refused(
    reading_again: Callable[..., InfillModel],
    tiny_tokenizer: Tokenizer,
    logit: float,
    temperature: float,
    num_beams: int,
) -> None:
    logits_V = torch.zeros(tiny_tokenizer.vocab_size)
    logits_V[7] = logit
    model = reading_again(lambda _: logits_V, 64)
    with pytest.raises(IncoderError, match="load it with the dtype bfloat16 or float32"):
        model.complete("x", temperature=temperature, num_beams=num_beams)


def test_the_end_of_an_earlier_infill_is_not_penalised(tiny_tokenizer: Tokenizer) -> None:
    vocabulary = Vocabulary(tiny_tokenizer)
    (end_id,) = vocabulary.end_ids
    row = SequenceState(b"", SamplingParams(repetition_penalty=2.0), 9, vocabulary, [300, end_id])
    assert row.seen == {300}


def test_greedy_decoding_with_a_bias_for_nothing_is_greedy_decoding(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    """A bias is added to a copy of the logits, so that they are chosen from in the other way."""

    def logits_after(token_ids: list[int]) -> Tensor:
        return torch.randn(vocab_size, generator=torch.Generator().manual_seed(sum(token_ids[-3:])))

    vocab_size = tiny_tokenizer.vocab_size
    model = reading_again(logits_after, 64)
    for speculate in (True, False):
        plain, other = (
            model.complete("x = x = x =", temperature=0, speculate=speculate, logit_bias=bias).candidates[0]
            for bias in ({}, {0: 0.0})
        )
        assert plain == other


def test_logits_that_are_no_numbers_after_a_wrong_draft_are_not_refused(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    alphabet = sorted(set(tiny_tokenizer.encode("abcdefgh")))
    wrong: list[list[int]] = []

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(tiny_tokenizer.vocab_size)
        if alphabet[2] in token_ids[len(alphabet) :]:
            wrong.append(token_ids)
            logits_V[:] = torch.nan
        logits_V[alphabet[1 if token_ids[-1] == alphabet[0] else 4]] = 20.0
        return logits_V

    sequences = reading_again(logits_after, 64).language_model.open(64)
    (row,) = run_alone(
        decoding(
            sequences,
            sequences.forward([[*alphabet, *alphabet[:1]]]),
            required_prefix=b"",
            params=SamplingParams(temperature=0.0, max_new_tokens=3),
            rngs=[torch.Generator()],
            vocabulary=Vocabulary(tiny_tokenizer),
            max_positions=64,
            contexts=[[*alphabet, *alphabet[:1]]],
        )
    )
    assert row.finish_reason == "length"
    assert wrong


@pytest.mark.parametrize(
    ("text", "max_lines", "expected"),
    [
        ("    a = 1\n    b = 2\n    c", 1, "    a = 1\n"),
        ("\n\n    a = 1\n    b = 2\n", 1, "\n\n    a = 1\n"),
        ("    a = 1\n\n    b = 2\n    c", 3, "    a = 1\n\n    b = 2\n"),
        ("    a = 1\n\n\n    b = 2\n", 1, "    a = 1\n"),  # where a token holds several line ends
        ("    a = 1", 1, "    a = 1"),
    ],
)
def test_a_text_ends_with_the_last_line_that_it_may_have(
    tiny_tokenizer: Tokenizer, text: str, max_lines: int, expected: str
) -> None:
    row = SequenceState(b"", SamplingParams(max_lines=max_lines), 99, Vocabulary(tiny_tokenizer))
    for token_id in tiny_tokenizer.encode(text):
        if row.finish_reason is None:
            row.take(token_id, 0.0)
    assert (row.finish_reason == "stop") == (expected != text or text.endswith("\n"))
    row.finish_reason = row.finish_reason or "length"
    decoded = row.decoded()
    assert decoded.spelling.decode() == expected
    # What the model has read and has not is the text, and its last token it never read.
    spelled = b"".join(map(tiny_tokenizer.token_bytes, (*decoded.read, *decoded.unread)))
    assert spelled.decode() == expected
    assert decoded.unread
    assert row.num_to_roll_back == 0


def test_max_lines_end_each_completion_alone(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    newline, letter = tiny_tokenizer.encode("\n")[0], tiny_tokenizer.encode("x")[0]

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(tiny_tokenizer.vocab_size)
        logits_V[newline if token_ids[-1] == letter else letter] = 20.0
        return logits_V

    model = reading_again(logits_after, 64)
    assert model.complete("x", max_lines=2, temperature=0.0).text == "x\nx\nx\n"
    written = model.complete("x", max_lines=2, temperature=1.0, num_candidates=3, max_new_tokens=9)
    assert all(candidate.infills[0].lstrip("\n").count("\n") <= 2 for candidate in written.candidates)
    with pytest.raises(IncoderError, match="max_lines must be at least 1, got 0"):
        model.complete("x", max_lines=0)
