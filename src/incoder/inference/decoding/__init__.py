"""From logits to infills: sampling, the decode loop, beam search, prompt lookup and stopping rules."""
