"""Long prompts, read in several steps."""

import pytest
import torch

from incoder.inference.engine.reading import Reading, step
from incoder.inference.engine.runner import Runner
from incoder.model.transformer import Transformer


@pytest.mark.parametrize("step_tokens", [1, 5, 16])
@pytest.mark.parametrize("each", [False, True])
def test_a_prompt_read_in_several_steps_gives_the_logits_of_one_read_at_once(
    transformer: Transformer, step_tokens: int, each: bool
) -> None:
    token_ids = [5 + number % 40 for number in range(17)]
    runner = Runner(transformer)
    reading = Reading(runner.open(len(token_ids)), token_ids, all_logits=each)
    while reading.num_left:
        step(runner, [reading], step_tokens)
    with torch.inference_mode():
        token_ids_1T = torch.tensor([token_ids], device=transformer.device)
        expected_TV = transformer.logits(transformer(token_ids_1T)[0])
    torch.testing.assert_close(
        reading.logits(), expected_TV if each else expected_TV[-1:], rtol=1e-4, atol=1e-4
    )
