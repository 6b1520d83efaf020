"""The next token of each row in greedy decoding: the one with the greatest logit.

On a GPU two kernels (greedy_kernels.py) replace a dozen of PyTorch's, which run one after the other and delay
the next step. PyTorch's computation is the reference implementation. Knows no settings.
"""

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor

_BLOCK_V = 2048  # logits per program: about 25 programs per row with 50,000 tokens


def choose_greedy(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """Return each row's token, its log-probability, and the log-sum-exp of its logits (float32, 3 × B).

    `bias_V` is minus infinity for tokens that must not come next, else zero. The token is the permitted one
    with the greatest logit, the first of equal ones. Its log-probability is under the model's own
    distribution, over all tokens. If a row has a NaN or plus infinity, its log-sum-exp is not finite and its
    token meaningless. The result is one tensor, so that reading it waits for the GPU only once; float32
    represents ids up to 2^24.

    >>> choose_greedy(torch.tensor([[0.0, 2.0, 1.0]]), torch.zeros(3))[0].tolist()
    [1.0]
    """
    if logits_BV.is_cuda and _can_fuse(logits_BV.device):
        return greedy_by_triton(logits_BV, bias_V)
    return greedy_by_torch(logits_BV, bias_V)


def greedy_by_torch(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """Choose greedily with PyTorch's operators: the reference implementation.

    >>> greedy_by_torch(torch.tensor([[0.0, 2.0]]), torch.zeros(2))[0].tolist()
    [1.0]
    """
    token_ids_B = (logits_BV + bias_V).argmax(dim=-1)
    return with_logprobs(logits_BV, token_ids_B)


def greedy_by_triton(logits_BV: Tensor, bias_V: Tensor) -> Tensor:
    """Choose greedily with two Triton kernels; the results equal the reference implementation's."""
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
    """Return the result of `choose_greedy` for tokens that were chosen in another way.

    >>> results_3B = with_logprobs(torch.zeros(1, 4), torch.tensor([2]))
    >>> results_3B[0].item(), round(results_3B[1].exp().item(), 2)
    (2.0, 0.25)
    """
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
