"""The held-out measurement during training: loss per token and bits per byte."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from incoder.corpus.shards import TokenShard
from incoder.model.transformer import Transformer
from incoder.objective.loss import chunked_cross_entropy


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """Left-to-right loss on documents that training never sees."""

    loss: float  # nats per token
    bits_per_byte: float  # comparable between tokenizers


def held_out_loss(
    model: Transformer, shard: TokenShard, *, window: int, max_tokens: int, precision: torch.dtype
) -> HeldOutLoss:
    """Score plain documents left to right in consecutive windows, up to about `max_tokens` tokens.

    Each window starts with nothing before it, so longer windows read lower. Documents are taken evenly over
    the shard.
    """
    device = model.output_weight.device
    stride = max(1, math.ceil(shard.num_tokens / max_tokens))
    nats, num_targets, num_bytes, num_tokens = 0.0, 0, 0.0, 0
    was_training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
        for index in range(0, len(shard), stride):
            token_ids = shard.document(index)[:max_tokens]
            for start in range(0, len(token_ids) - 1, window):
                block = torch.from_numpy(np.asarray(token_ids[start : start + window + 1])).to(device)
                hidden_TD = model(block[None, :-1])[0]
                loss, count = chunked_cross_entropy(hidden_TD, model.output_weight, block[1:])
                nats += float(loss)
                num_targets += int(count)
            num_bytes += shard.document_num_bytes(index) * len(token_ids) / len(shard.document(index))
            num_tokens += len(token_ids)
            if num_tokens >= max_tokens:
                break
    model.train(was_training)
    return HeldOutLoss(loss=nats / num_targets, bits_per_byte=nats / math.log(2) / num_bytes)
