"""Long prompts, read in several steps."""

import pytest
import torch

from incoder.inference.engine.runner import Runner
from incoder.inference.engine.scheduled_sequence import ScheduledSequence, step
from incoder.model.transformer import Transformer


@pytest.mark.parametrize("step_tokens", [1, 5, 16])
@pytest.mark.parametrize("each", [False, True])
def test_a_prompt_read_in_several_steps_gives_the_logits_of_one_read_at_once(
    transformer: Transformer, step_tokens: int, each: bool
) -> None:
    token_ids = [5 + number % 40 for number in range(17)]
    runner = Runner(transformer)
    scheduled = ScheduledSequence(runner.open(len(token_ids)), token_ids, all_logits=each)
    while scheduled.num_left:
        step(runner, [[scheduled]], step_tokens)
    with torch.inference_mode():
        token_ids_1T = torch.tensor([token_ids], device=transformer.device)
        expected_TV = transformer.logits(transformer(token_ids_1T)[0])
    torch.testing.assert_close(
        scheduled.logits(), expected_TV if each else expected_TV[-1:], rtol=1e-4, atol=1e-4
    )
