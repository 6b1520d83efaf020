"""A training step's forward pass as one module: a batch in, the summed loss and the number of targets out.

It knows how a step is computed (precision, compiled blocks, recomputed activations, the loss in chunks) and
nothing of optimizers, data or files. Whoever calls it divides the sum by the targets of the whole step.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from incoder.model.transformer import Transformer
from incoder.objective.loss import chunked_cross_entropy
from incoder.training.data import DeviceBatch


class TrainingModule(nn.Module):
    """The model with its loss.

    `precision` is that of matrix products; weights, and sums over positions, stay in the weights' dtype.
    The rows `frozen_rows` of the output weight get no gradient from the loss. `compile_blocks` compiles each
    block by itself, in place: the blocks are alike, so that one compilation serves all of them.
    `checkpoint_activations` keeps one hidden state a block and computes the rest again in the backward pass.
    """

    def __init__(
        self,
        model: Transformer,
        *,
        precision: torch.dtype = torch.float32,
        frozen_rows: Tensor | None = None,
        compile_blocks: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self._precision = precision
        self._is_compiled = compile_blocks
        self._checkpoint_activations = checkpoint_activations
        self.frozen_rows: Tensor | None
        self.register_buffer("frozen_rows", frozen_rows, persistent=False)
        if compile_blocks:
            for block in model.blocks:
                block.compile()

    def forward(self, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """Return the loss summed over all targets of the batch, in nats, and how many targets there are."""
        enabled = self._precision != torch.float32
        with torch.autocast(batch.token_ids_BT.device.type, dtype=self._precision, enabled=enabled):
            hidden_BTD = self.model(
                batch.token_ids_BT,
                positions_BT=batch.positions_BT,
                attention_mask=batch.mask,
                checkpoint_blocks=self._checkpoint_activations,
            )
            return chunked_cross_entropy(
                hidden_BTD.flatten(0, 1),
                self.model.output_weight,
                batch.targets_BT.flatten(),
                frozen_rows=self.frozen_rows,
            )

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Run the blocks uncompiled: evaluation reads rows of many widths, each a compilation of its own."""
        with torch.compiler.set_stance("force_eager") if self._is_compiled else nullcontext():
            yield
