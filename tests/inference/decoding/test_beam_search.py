"""Beam search against that of transformers, on the same random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from incoder.errors import IncoderError
from incoder.inference.candidates import first_of_each, text_of
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import run_alone
from incoder.model.checkpoint import save_checkpoint
from incoder.model.transformer import Transformer
from incoder.request import InfillRequest
from incoder.sampling_params import SamplingParams
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

PROMPT = "import os\n\n\ndef main():\n    return "


@pytest.fixture
def peer(transformer: Transformer, tmp_path: Path) -> Any:
    save_checkpoint(transformer, tmp_path, dtype=torch.float32)
    auto_model: Any = transformers.AutoModelForCausalLM
    return auto_model.from_pretrained(tmp_path, dtype=torch.float32).eval()


@pytest.mark.parametrize(
    ("num_beams", "length_penalty", "early_stopping", "bias", "penalty"),
    [
        (2, 1.0, False, {}, 1.0),
        (5, 1.0, False, {}, 1.0),
        (5, 0.0, True, {}, 1.0),
        (4, 2.0, True, {}, 1.0),
        (3, -1.0, False, {}, 1.0),
        (4, 1.0, False, {70: 6.0, 90: -2.0}, 1.0),
        (4, 1.0, False, {}, 1.8),
        (4, 1.0, False, {70: 6.0}, 1.8),
    ],
)
def test_beams_are_those_of_transformers(
    peer: Any,
    transformer: Transformer,
    tiny_tokenizer: Tokenizer,
    num_beams: int,
    length_penalty: float,
    early_stopping: bool,
    bias: dict[int, float],
    penalty: float,
) -> None:
    layout = CausalMaskingFormat(tiny_tokenizer)
    prompt = torch.tensor([layout.prompt([tiny_tokenizer.encode(PROMPT)])])
    ours = InfillModel(TransformerModel(transformer), tiny_tokenizer).complete(
        PROMPT,
        num_beams=num_beams,
        num_candidates=num_beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        logit_bias=bias,
        repetition_penalty=penalty,
        max_new_tokens=12,
        token_healing=False,
    )
    output = peer.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        num_beams=num_beams,
        num_return_sequences=num_beams,
        do_sample=False,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        sequence_bias={(token_id,): value for token_id, value in bias.items()} or None,
        repetition_penalty=penalty,
        max_new_tokens=12,
        eos_token_id=sorted(layout.end_of_infill_ids),
        pad_token_id=tiny_tokenizer.pad_id,
        suppress_tokens=sorted(layout.never_generated_ids),
        return_dict_in_generate=True,
        output_scores=True,
    )
    new = output.sequences[:, prompt.shape[1] :].tolist()
    lengths = [_length(row, layout) for row in new]
    written = [row[:length] for row, length in zip(new, lengths, strict=True)]
    theirs = [text_of(tiny_tokenizer.decode_bytes(row)) for row in written]
    assert [candidate.infills[0] for candidate in ours.candidates] == theirs
    if bias or penalty != 1:
        return  # their scores are the adjusted ones, ours the model's own
    for candidate, score, length in zip(ours.candidates, output.sequences_scores, lengths, strict=True):
        assert candidate.total_logprob / length**length_penalty == pytest.approx(float(score), rel=1e-3)


def _length(row: list[int], layout: CausalMaskingFormat) -> int:
    """With the end, if it has one."""
    ends = [place for place, token_id in enumerate(row) if token_id in layout.end_of_infill_ids]
    return ends[0] + 1 if ends else len(row)


def test_the_best_of_many_beams_is_at_least_as_probable_as_the_greedy_infill(fast: InfillModel) -> None:
    greedy = fast.infill(["x = ", "\n"], temperature=0, max_new_tokens=6, stop="\n")
    beams = fast.infill(["x = ", "\n"], num_beams=8, max_new_tokens=6, length_penalty=0.0, stop="\n")
    assert beams.candidates[0].total_logprob >= greedy.candidates[0].total_logprob - 1e-4


def test_several_holes_are_filled_one_after_the_other(fast: InfillModel) -> None:
    result = fast.infill(["a = ", "\nb = ", "\n"], num_beams=3, max_new_tokens=5)
    (candidate,) = result.candidates
    first = fast.infill(["a = ", "\nb = \n"], num_beams=3, max_new_tokens=5)
    assert len(candidate.infills) == 2
    assert len(first.infills) == 1
    assert candidate.text == f"a = {candidate.infills[0]}\nb = {candidate.infills[1]}\n"


@pytest.mark.parametrize("parts", [("a = ", "\n"), ("a = ", "\nb = ", "\n")])
def test_fills_are_passed_on_when_they_are_chosen(fast: InfillModel, parts: tuple[str, ...]) -> None:
    pieces: list[tuple[int, int, str]] = []
    request = InfillRequest(
        parts=parts, sampling=SamplingParams(num_beams=3, max_new_tokens=5), num_candidates=2
    )
    result = run_alone(
        fast.generation(request, on_text=lambda one: pieces.append((one.candidate, one.hole, one.text)))
    )
    assert pieces == [
        (index, hole, infill)
        for index, candidate in enumerate(result.candidates)
        for hole, infill in enumerate(candidate.infills)
        if infill
    ]


def test_beams_that_stop_at_the_same_text_are_one_candidate(fast: InfillModel) -> None:
    """Whatever the two beams write first, a stop string is in it."""
    alphabet = [chr(code) for code in range(32, 127)]
    result = fast.infill(["x = ", "\n"], num_beams=2, num_candidates=2, max_new_tokens=3, stop=alphabet)
    assert len({candidate.infills for candidate in result.candidates}) == len(result.candidates)


def test_of_fills_with_the_same_text_the_best_keeps_its_place() -> None:
    best, other, again = (
        Decoded(spelling, (-score,), "stop") for spelling, score in ((b"a", 1.0), (b"b", 2.0), (b"a", 3.0))
    )
    assert first_of_each([best, other, again]) == [best, other]


def test_more_candidates_than_beams_are_refused(fast: InfillModel) -> None:
    with pytest.raises(IncoderError, match="num_beams must be at least num_candidates, got 2 for 3"):
        fast.complete("x", num_beams=2, num_candidates=3)
