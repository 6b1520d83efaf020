"""Triton kernels of greedy choice: one program for each part of a row, then one program for each row.

Import this module only if Triton is installed, as it is with PyTorch for CUDA. greedy.py says what the
kernels compute.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def choose_in_parts(logits_ptr, bias_ptr, parts_ptr, vocab_size, BLOCK_V: tl.constexpr):
    """Reduce each part of each row (4 × B × S, for `join_parts`).

    The four numbers are the first of the best permitted tokens, its logit, the greatest logit of all tokens,
    and the sum of exp(logit - greatest logit) over all tokens.
    """
    row, part = tl.program_id(0), tl.program_id(1)
    v = part * BLOCK_V + tl.arange(0, BLOCK_V)
    is_in = v < vocab_size
    logits = tl.load(logits_ptr + row.to(tl.int64) * vocab_size + v, mask=is_in, other=float("-inf"))
    logits = logits.to(tl.float32)
    permitted = logits + tl.load(bias_ptr + v, mask=is_in, other=0.0).to(tl.float32)
    best = tl.max(permitted, axis=0)
    token_id = tl.min(tl.where(permitted == best, v, vocab_size), axis=0)
    top = tl.maximum(tl.max(logits, axis=0), -3e38)  # -inf - -inf would be NaN
    total = tl.sum(tl.exp(logits - top), axis=0)
    num_places = tl.num_programs(0) * tl.num_programs(1)
    parts_ptr += row * tl.num_programs(1) + part
    tl.store(parts_ptr, token_id.to(tl.float32))
    tl.store(parts_ptr + num_places, best)
    tl.store(parts_ptr + 2 * num_places, top)
    tl.store(parts_ptr + 3 * num_places, total)


@triton.jit
def join_parts(logits_ptr, parts_ptr, results_ptr, vocab_size, num_parts, PADDED_PARTS: tl.constexpr):
    """Join the parts of each row: its token, the token's log-probability, and the log-sum-exp (3 × B)."""
    row, num_rows = tl.program_id(0), tl.num_programs(0)
    s = tl.arange(0, PADDED_PARTS)
    is_in = s < num_parts
    num_places = num_rows * num_parts
    parts_ptr += row * num_parts + s
    token_ids = tl.load(parts_ptr, mask=is_in, other=0.0).to(tl.int32)
    bests = tl.load(parts_ptr + num_places, mask=is_in, other=float("-inf"))
    tops = tl.load(parts_ptr + 2 * num_places, mask=is_in, other=-3e38)
    totals = tl.load(parts_ptr + 3 * num_places, mask=is_in, other=0.0)
    is_best = is_in & (bests == tl.max(bests, axis=0))
    # NaN equals nothing, so there may be no best token; the clamped id still points at a logit.
    token_id = tl.min(tl.where(is_best, token_ids, vocab_size - 1), axis=0)
    token_id = tl.minimum(token_id, vocab_size - 1)
    top = tl.max(tops, axis=0)
    log_sum = top + tl.log(tl.sum(totals * tl.exp(tops - top), axis=0))
    logit = tl.load(logits_ptr + row.to(tl.int64) * vocab_size + token_id).to(tl.float32)
    tl.store(results_ptr + row, token_id.to(tl.float32))
    tl.store(results_ptr + num_rows + row, logit - log_sum)
    tl.store(results_ptr + 2 * num_rows + row, log_sum)
