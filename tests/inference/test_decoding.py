"""One hole, token by token."""

from collections.abc import Callable

import torch
from torch import Tensor

from incoder.inference.decoding import Vocabulary, decoding
from incoder.inference.infill_model import InfillModel
from incoder.inference.programs import run
from incoder.inference.sampling import SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer


def test_guesses_are_forgotten_when_the_time_is_up(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    alphabet = sorted(set(tiny_tokenizer.encode("abcdefgh")))

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(tiny_tokenizer.vocab_size)
        logits_V[alphabet[(alphabet.index(token_ids[-1]) + 1) % len(alphabet)]] = 20.0
        return logits_V

    sequences = reading_again(logits_after, 64).language_model.open(64)
    answers = iter([False, False, True])
    (row,) = run(
        decoding(
            sequences,
            sequences.read([2 * alphabet]),
            forced=b"",
            params=SamplingParams(0.0),
            streams=[torch.Generator()],
            vocabulary=Vocabulary(tiny_tokenizer),
            max_positions=64,
            contexts=[2 * alphabet],
            is_time_up=lambda: next(answers),
        )
    )
    assert row.finish_reason == "time"
    assert row.unread == ()
    assert sequences.rows[0] == [*alphabet, *alphabet, *row.token_ids]  # type: ignore[attr-defined]
