"""A Transformer as generation sees one: what a row has read stays in its key/value cache.

Rows of a batch may read different numbers of tokens, while all rows of the cache have the same number of
slots. Where a row has nothing to read its slots are gaps: masked out, and not counted in its positions. As
long as there is none, which is always so with one row, there is no mask, and that is faster.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.token_step import TokenStep, lay_out_for_steps
from incoder.model.transformer import KVCache, Transformer

_CHUNK = 512  # positions whose logits are held at once when scoring: 100 MB in float32 with 50,000 tokens


class CachedSequences:
    """`Sequences` that read nothing twice; starts with one empty row."""

    def __init__(self, model: Transformer, step: TokenStep, num_slots: int) -> None:
        self._model = model
        self._step = step
        self._device = model.device
        self._cache = KVCache(model.config, 1, num_slots, model.dtype, model.device)
        self._lengths = [0]
        self._filled_BS: Tensor | None = None  # which slots hold a token; None while all do

    @property
    def lengths(self) -> list[int]:
        return self._lengths

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        num_new = max(map(len, rows))
        num_gaps = [num_new - len(row) for row in rows]
        assert num_new > 0
        token_ids_BT = self._tensor(
            [[*[0] * gaps, *row] for gaps, row in zip(num_gaps, rows, strict=True)]
        )  # aligned at the end, where each row's logits are wanted
        positions_BT = mask_BTS = None
        if self._filled_BS is not None or any(num_gaps):
            positions_BT, mask_BTS = self._around_gaps(num_new, num_gaps)
        if num_new == 1:
            positions_B = None if positions_BT is None else positions_BT[:, 0]
            mask_BS = None if mask_BTS is None else mask_BTS[:, 0]
            logits_BV = self._step(token_ids_BT[:, 0], self._cache, positions_B, mask_BS)
        else:
            mask_B1TS = None if mask_BTS is None else mask_BTS[:, None]
            hidden_BTD = self._model(
                token_ids_BT, positions_BT=positions_BT, attention_mask=mask_B1TS, cache=self._cache
            )
            logits_BV = self._model.logits(hidden_BTD[:, -1])
        self._lengths = [length + len(row) for length, row in zip(self._lengths, rows, strict=True)]
        return logits_BV.float()

    def forget(self, row: int, num_tokens: int) -> None:
        self._lengths[row] -= num_tokens
        if self._filled_BS is None and len(self._lengths) == 1:
            self._cache.truncate(self._lengths[row])
            return
        filled_BS = self._all_filled() if self._filled_BS is None else self._filled_BS
        slots = filled_BS[row].nonzero()[:, 0]
        filled_BS[row, slots[len(slots) - num_tokens :]] = False
        self._filled_BS = filled_BS

    def repeat(self, num_rows: int) -> None:
        assert len(self._lengths) == 1
        assert self._filled_BS is None
        self._cache.repeat(num_rows)
        self._lengths = self._lengths * num_rows

    def _around_gaps(self, num_new: int, num_gaps: list[int]) -> tuple[Tensor, Tensor]:
        """The positions of new tokens that are aligned at the end, and what they may attend to."""
        steps_T = torch.arange(num_new, device=self._device)
        after_gaps_BT = steps_T - self._tensor(num_gaps)[:, None]
        positions_BT = (self._tensor(self._lengths)[:, None] + after_gaps_BT).clamp(min=0)
        filled_BS = self._all_filled() if self._filled_BS is None else self._filled_BS
        self._filled_BS = torch.cat((filled_BS, after_gaps_BT >= 0), dim=1)
        slots_S = torch.arange(self._filled_BS.shape[1], device=self._device)
        causal_TS = slots_S <= (self._cache.length + steps_T)[:, None]
        return positions_BT, self._filled_BS[:, None] & causal_TS

    def _all_filled(self) -> Tensor:
        return torch.ones(len(self._lengths), self._cache.length, dtype=torch.bool, device=self._device)

    def _tensor(self, values: list[int] | list[list[int]]) -> Tensor:
        return torch.tensor(values, device=self._device)


class TransformerModel:
    """A Transformer as a `LanguageModel`, which takes it over: its weights can no longer be trained."""

    def __init__(self, transformer: Transformer) -> None:
        lay_out_for_steps(transformer)
        self.transformer = transformer
        self._step = TokenStep(transformer)

    @property
    def max_positions(self) -> int:
        return self.transformer.config.max_positions

    def open(self, num_slots: int) -> CachedSequences:
        return CachedSequences(self.transformer, self._step, num_slots)

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        device = self.transformer.device
        token_ids_T = torch.tensor(token_ids, device=device)
        hidden_TD = self.transformer(token_ids_T[None, :-1])[0]
        chunks = []
        for start in range(0, max(1, len(hidden_TD)), _CHUNK):
            logits_CV = self.transformer.logits(hidden_TD[start : start + _CHUNK]).float()
            next_C = token_ids_T[1 + start : 1 + start + _CHUNK]
            chunks.append(logits_CV.gather(1, next_C[:, None])[:, 0] - logits_CV.logsumexp(dim=1))
        return torch.cat(chunks)
