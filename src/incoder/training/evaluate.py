"""Held-out losses during training: of whole documents, left to right, and of masked documents."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from incoder.corpus.storage.token_shards import TokenShard
from incoder.model.transformer import Transformer
from incoder.objective.fill_in_the_middle import Block, FillInTheMiddle
from incoder.objective.loss import chunked_cross_entropy
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import IGNORED, PackedRows, pack
from incoder.objective.rows import document_rng
from incoder.objective.targets import kinds_of_targets
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.formats import training_formats
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.chunks import DocumentChunks
from incoder.training.data import BatchStream, to_device
from incoder.training.ranks import Ranks
from incoder.training.shares import own_turns

_DOCUMENTS_PER_CHUNK = 64
_KINDS = ("kept", "infill", "first_token", "end_of_mask")


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """The left-to-right loss of documents that training never sees."""

    loss: float  # nats per token
    bits_per_byte: float  # comparable between tokenizers


def held_out_loss(
    model: Transformer,
    shard: TokenShard,
    *,
    window: int,
    max_tokens: int,
    precision: torch.dtype,
    ranks: Ranks | None = None,
) -> HeldOutLoss:
    """Score plain documents left to right in consecutive windows, about `max_tokens` tokens in all.

    Each window starts without any context, so longer windows give lower losses. Documents are taken evenly
    from the whole shard. The windows are shared out among the ranks.
    """
    ranks = ranks or Ranks()
    blocks, num_bytes = _held_out_blocks(shard, window, max_tokens)
    nats, num_targets = 0.0, 0
    with _evaluating(model, precision):
        for turn in own_turns(blocks, ranks.place):
            block = torch.from_numpy(np.asarray(blocks[0] if turn is None else turn)).to(model.device)
            hidden_TD = model(block[None, :-1])[0]
            if turn is None:  # the others compute one more, and this rank takes part in gathering weights
                continue
            loss, count = chunked_cross_entropy(hidden_TD, model.output_weight, block[1:])
            nats += float(loss)
            num_targets += int(count)
    all_nats, all_targets = ranks.sum(nats, num_targets)
    return HeldOutLoss(loss=all_nats / all_targets, bits_per_byte=all_nats / math.log(2) / num_bytes)


def held_out_infill_losses(
    model: Transformer,
    shard: TokenShard,
    tokenizer: Tokenizer | FamilyTokenizer,
    masking: MaskingConfig,
    *,
    window: int,
    max_tokens: int,
    precision: torch.dtype,
    ranks: Ranks | None = None,
) -> dict[str, float]:
    """Return nats per token by kind of token, on documents that are masked in the same way each time.

    The kinds: `kept`, around the holes and in prefix tails; `infill`, in the infills with their ends;
    `first_token` of an infill, which shows whether the model finds the hole; `end_of_mask`, which shows
    whether it knows where to end. A kind that does not occur is left out. About `max_tokens` tokens are
    scored, shared out among the ranks.
    """
    ranks = ranks or Ranks()
    batches = list(_masked_batches(shard, tokenizer, masking, window, max_tokens))
    nats = dict.fromkeys(_KINDS, 0.0)
    counts = dict.fromkeys(_KINDS, 0)
    with _evaluating(model, precision):
        for turn in own_turns(batches, ranks.place):
            rows, kinds = batches[0] if turn is None else turn
            batch = to_device(rows, model.device)
            hidden_TD = model(batch.token_ids_BT, positions_BT=batch.positions_BT, attention_mask=batch.mask)[
                0
            ]
            for kind, is_kind in kinds.items() if turn is not None else ():
                targets_T = torch.from_numpy(np.where(is_kind, rows.targets, IGNORED)[0]).to(model.device)
                loss, count = chunked_cross_entropy(hidden_TD, model.output_weight, targets_T)
                nats[kind] += float(loss)
                counts[kind] += int(count)
    summed = ranks.sum(*nats.values(), *counts.values())
    pairs = zip(_KINDS, summed[: len(_KINDS)], summed[len(_KINDS) :], strict=True)
    return {kind: kind_nats / count for kind, kind_nats, count in pairs if count}


def _masked_batches(
    shard: TokenShard,
    tokenizer: Tokenizer | FamilyTokenizer,
    masking: MaskingConfig,
    window: int,
    max_tokens: int,
) -> Iterator[tuple[PackedRows, dict[str, NDArray[np.bool_]]]]:
    """Yield rows of masked documents, each with a mask for each kind of its targets."""
    if isinstance(tokenizer, Tokenizer):
        chunks = DocumentChunks(shard, tokenizer, masking, seed=0, documents_per_chunk=_DOCUMENTS_PER_CHUNK)
        stream = BatchStream(chunks)
        for _ in range(max(1, max_tokens // window)):
            rows = stream.next_batch(1, window)
            yield rows, kinds_of_targets(rows, tokenizer)
        return
    formats = [one for one in training_formats(tokenizer) if isinstance(one, FillInTheMiddleFormat)]
    writer = FillInTheMiddle(masking, formats, tokenizer)
    num_tokens = 0
    for index in np.random.default_rng(0).permutation(len(shard)).tolist():
        for block in writer.blocks(shard.document(index), window, document_rng(0, 0, index)):
            if num_tokens >= max_tokens:
                return
            rows = pack([block.token_ids], window, infilling_format=formats[0], tokenizer=tokenizer)
            num_tokens += len(block.token_ids)
            yield rows, _kinds_in_block(rows, block)


def _kinds_in_block(rows: PackedRows, block: Block) -> dict[str, NDArray[np.bool_]]:
    """The same masks for a row with a single block of fill-in-the-middle."""
    targets = np.arange(rows.token_ids.shape[1])[None] + 1  # the place of each position's target
    in_infill = targets >= block.infill_start
    return {
        "kept": ~in_infill,
        "infill": in_infill,
        "first_token": targets == block.infill_start,
        "end_of_mask": in_infill & (targets == len(block.token_ids) - 1),
    }


@contextmanager
def _evaluating(model: Transformer, precision: torch.dtype) -> Iterator[None]:
    was_training = model.training
    model.eval()
    device_type = model.device.type
    with torch.no_grad(), torch.autocast(device_type, dtype=precision, enabled=precision != torch.float32):
        yield
    model.train(was_training)


def _held_out_blocks(
    shard: TokenShard, window: int, max_tokens: int
) -> tuple[list[NDArray[np.int64]], float]:
    """Consecutive windows of documents, one token longer than a window, and how many bytes the text has."""
    stride = max(1, math.ceil(shard.num_tokens / max_tokens))
    blocks, num_bytes, num_tokens = [], 0.0, 0
    for index in range(0, len(shard), stride):
        token_ids = shard.document(index)[:max_tokens]
        blocks += [token_ids[start : start + window + 1] for start in range(0, len(token_ids) - 1, window)]
        num_bytes += shard.document_num_bytes(index) * len(token_ids) / len(shard.document(index))
        num_tokens += len(token_ids)
        if num_tokens >= max_tokens:
            break
    return blocks, num_bytes
