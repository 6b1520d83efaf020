"""Held-out losses during training: of whole documents, left to right, and of masked documents."""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from incoder.corpus.storage.token_shards import TokenShard
from incoder.model.transformer import Transformer
from incoder.objective.loss import chunked_cross_entropy
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import IGNORED, PackedRows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.chunks import DocumentChunks
from incoder.training.data import BatchStream, to_device

_DOCUMENTS_PER_CHUNK = 64


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """The left-to-right loss of documents that training never sees."""

    loss: float  # nats per token
    bits_per_byte: float  # comparable between tokenizers


def held_out_loss(
    model: Transformer, shard: TokenShard, *, window: int, max_tokens: int, precision: torch.dtype
) -> HeldOutLoss:
    """Score plain documents left to right in consecutive windows, about `max_tokens` tokens in all.

    Each window starts without any context, so longer windows give lower losses. Documents are taken evenly
    from the whole shard.
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


def held_out_infill_losses(
    model: Transformer,
    shard: TokenShard,
    tokenizer: Tokenizer,
    masking: MaskingConfig,
    *,
    window: int,
    max_tokens: int,
    precision: torch.dtype,
) -> dict[str, float]:
    """Return nats per token by kind of token, on documents that are masked in the same way each time.

    The kinds: `kept`, around the holes and in prefix tails; `infill`, in the infills with their ends;
    `first_token` of an infill, which shows whether the model finds the hole; `end_of_mask`, which shows
    whether it knows where to end. A kind that does not occur is left out. About `max_tokens` tokens are
    scored.
    """
    device = model.output_weight.device
    chunks = DocumentChunks(shard, tokenizer, masking, seed=0, documents_per_chunk=_DOCUMENTS_PER_CHUNK)
    stream = BatchStream(chunks)
    nats: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    was_training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
        for _ in range(max(1, max_tokens // window)):
            rows = stream.next_batch(1, window)
            batch = to_device(rows, device)
            hidden_TD = model(batch.token_ids_BT, positions_BT=batch.positions_BT, attention_mask=batch.mask)[
                0
            ]
            for kind, is_kind in kinds_of_targets(rows, tokenizer).items():
                targets_T = torch.from_numpy(np.where(is_kind, rows.targets, IGNORED)[0]).to(device)
                loss, count = chunked_cross_entropy(hidden_TD, model.output_weight, targets_T)
                nats[kind] += float(loss)
                counts[kind] += int(count)
    model.train(was_training)
    return {kind: nats[kind] / count for kind, count in counts.items() if count}


def kinds_of_targets(rows: PackedRows, tokenizer: Tokenizer) -> dict[str, NDArray[np.bool_]]:
    """Return a mask over the positions of the rows for each kind of target in `held_out_infill_losses`."""
    is_sentinel = CausalMaskingFormat(tokenizer).ignored_in_loss(rows.token_ids)
    is_end = rows.token_ids == tokenizer.end_of_mask_id
    # Inside an infill the next mark is an end-of-mask; elsewhere it is a sentinel, or there is none.
    width = rows.token_ids.shape[1]
    marks = np.where(is_sentinel | is_end, np.arange(width), width)
    next_marks = np.minimum.accumulate(marks[:, ::-1], axis=1)[:, ::-1]
    next_after = np.pad(next_marks[:, 1:], ((0, 0), (0, 1)), constant_values=width)
    in_infills = np.take_along_axis(np.pad(is_end, ((0, 0), (0, 1))), next_after, axis=1)
    return {
        "kept": ~in_infills,
        "infill": in_infills,
        "first_token": in_infills & is_sentinel,
        "end_of_mask": in_infills & (rows.targets == tokenizer.end_of_mask_id),
    }
