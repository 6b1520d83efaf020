"""The next token of each row in greedy decoding: the one with the greatest logit.

On a GPU two kernels (greedy_kernels.py) replace a dozen of PyTorch's, each of which starts when the one
before has ended, while the next step cannot start yet. PyTorch's way is the reference implementation. Knows
no settings.
"""

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor

_BLOCK_V = 2048  # logits that a program reads: some 25 programs a row with 50,000 tokens


def choose_greedy(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """Each row's token, its log-probability, and the logarithm of the sum of exponentials (float32, 3 × B).

    `bias_V` is zero, or minus infinity for a token that must not come next. The token is the one with the
    greatest logit of those that may; of equal ones the first. Its log-probability is under the model's own
    distribution, over all tokens. A row with a NaN or plus infinity has a sum that is no finite number, and
    a token that means nothing. All in one tensor, since reading it waits for the GPU; up to 2^24 an id is a
    float32.
    """
    if logits_BV.is_cuda and _can_fuse(logits_BV.device):
        return greedy_by_triton(logits_BV, bias_V)
    return greedy_by_torch(logits_BV, bias_V)


def greedy_by_torch(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """The reference implementation."""
    token_ids_B = (logits_BV + bias_V).argmax(dim=-1)
    return with_logprobs(logits_BV, token_ids_B)


def greedy_by_triton(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """Two Triton kernels; the results are those of the reference implementation."""
    kernels: Any = importlib.import_module("incoder.inference.decoding.greedy_kernels")
    logits_BV = logits_BV.contiguous()
    num_rows, vocab_size = logits_BV.shape
    num_parts = -(-vocab_size // _BLOCK_V)
    parts_4BS = logits_BV.new_empty((4, num_rows, num_parts), dtype=torch.float32)
    results_3B = logits_BV.new_empty((3, num_rows), dtype=torch.float32)
    with torch.cuda.device_of(logits_BV):  # type: ignore[no-untyped-call]
        kernels.choose_in_parts[num_rows, num_parts](
            logits_BV, bias_V, parts_4BS, vocab_size, BLOCK_V=_BLOCK_V, num_warps=8
        )
        kernels.join_parts[(num_rows,)](
            logits_BV,
            parts_4BS,
            results_3B,
            vocab_size,
            num_parts,
            PADDED_PARTS=max(32, 1 << (num_parts - 1).bit_length()),
            num_warps=1,
        )
    return results_3B


def with_logprobs(logits_BV: Tensor, token_ids_B: Tensor) -> Tensor:
    """The result of `choose_greedy` for tokens that were chosen in another way."""
    log_sums_B = logits_BV.logsumexp(dim=-1)
    logprobs_B = logits_BV.gather(1, token_ids_B[:, None])[:, 0] - log_sums_B
    return torch.stack((token_ids_B.float(), logprobs_B, log_sums_B))


@cache
def _can_fuse(device: torch.device) -> bool:
    """Whether there are kernels for this CUDA device."""
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        importlib.import_module("incoder.inference.decoding.greedy_kernels")
    except ImportError:
        return False
    return True
