"""The training loop: recipe in, checkpoints, metrics and a Hugging Face model folder out.

One process, CPU or CUDA. It prints nothing and handles no signals: a caller watches through `on_step` and
stops it through `should_stop`. Nothing in a step depends on the clock or on global random state, so a run
resumed from any checkpoint repeats the losses of one that was never stopped, to the last bit on the same
machine.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from incoder.config import refuse_other_runs, save_recipe
from incoder.corpus.shards import TokenShard, check_shards
from incoder.errors import IncoderError
from incoder.model.device import choose_device, is_fast_in
from incoder.objective.packing import PackedRows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.checkpoint import load_state, newest_state, save_state, tensor_text, text_tensor
from incoder.training.chunks import DocumentChunks, PrefetchingLoader
from incoder.training.data import BatchStream, to_device
from incoder.training.evaluate import held_out_infill_losses, held_out_loss
from incoder.training.export import export_model
from incoder.training.first_model import first_model
from incoder.training.lock import locked
from incoder.training.metrics import MetricsLog, plot_losses, read_metrics
from incoder.training.module import TrainingModule
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import TrainingRecipe
from incoder.training.recipe_comparison import check_same_recipe

_WRITTEN = ("recipe.toml", "metrics.jsonl", "tensorboard", "checkpoints", "model", "loss.png")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a watcher is told after each step: how many are done, and the metrics of the last."""

    steps_done: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a call of `train` ended; `finished` is False when it was asked to stop before the last step."""

    finished: bool
    steps_done: int
    model_folder: Path


def train(
    recipe: TrainingRecipe,
    output: Path,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train as the recipe says; a folder that already holds a run goes on only with `resume`.

    Writes `recipe.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, `model/` (loads in transformers)
    and `loss.png` into `output`.

    Raises:
        IncoderError: the output is in use, cannot be written, or holds another run or foreign files that
        would
            be replaced; the data do not fit the tokenizer; there is no such device; or the loss is no longer
            a number.
    """
    chosen_device = choose_device(device)
    with locked(output):
        checkpoint = newest_state(output / "checkpoints")
        if checkpoint and not resume:
            raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
        if checkpoint:
            check_same_recipe(recipe, output / "recipe.toml")
        else:
            refuse_other_runs(recipe, output / "recipe.toml", _WRITTEN)
            save_recipe(recipe, output / "recipe.toml")
        run = _Run(recipe, output, chosen_device)
        if checkpoint:
            run.load_state(load_state(checkpoint))
        return run.train(on_step, should_stop)


class _Run:
    """A run's live parts, and their state as one dictionary."""

    def __init__(self, recipe: TrainingRecipe, output: Path, device: torch.device) -> None:
        self.recipe = recipe
        self.output = output
        self.device = device
        self.tokenizer = Tokenizer.from_file(recipe.tokenizer)
        self.training_shard = self._open_shard("train")
        self.validation_shard = self._open_shard("validation")
        self.model = first_model(recipe, self.tokenizer).to(device)
        self.precision = _precision(recipe.training.precision, device)
        self.optimizers = Optimizers(self.model, recipe.optimizer, self.precision)
        # Sentinels are never a target, so the softmax only ever pushes them away. With tied embeddings that
        # makes them all alike, and the model can no longer tell them apart as inputs (docs/mini.md).
        never_targets = sorted(CausalMaskingFormat(self.tokenizer).never_generated_ids)
        is_tied = self.model.config.tie_embeddings
        self.module = TrainingModule(
            self.model,
            precision=self.precision,
            frozen_rows=torch.tensor(never_targets, device=device) if is_tied else None,
            compile_blocks=recipe.training.compile,
            checkpoint_activations=recipe.training.activation_checkpointing,
        )
        chunks = DocumentChunks(
            self.training_shard,
            self.tokenizer,
            recipe.masking,
            seed=recipe.training.seed,
            documents_per_chunk=recipe.training.documents_per_chunk,
            weights={str(kind): weight for kind, weight in recipe.training.weights.items()},
        )
        # On a CPU another process would take from training what it saves.
        self.chunks = PrefetchingLoader(chunks) if device.type == "cuda" else chunks
        self.stream = BatchStream(self.chunks)
        self.step = 0
        self.tokens = 0

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on, recipe and data aside: names to tensors, flat."""
        numbers = {"step": self.step, "tokens": self.tokens, **self.stream.state()}
        return {
            **self.module.state_dict(),  # whose names begin with `model.`
            **self.optimizers.state(),
            **{f"run.{name}": torch.tensor(number) for name, number in numbers.items()},
            "run.data_fingerprint": text_tensor(self.training_shard.fingerprint),
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        if tensor_text(state["run.data_fingerprint"]) != self.training_shard.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} are not those that this run was started with; "
                "restore them, or start afresh with another --output"
            )
        numbers = {
            name.removeprefix("run."): int(value)
            for name, value in state.items()
            if name.startswith("run.") and value.ndim == 0
        }
        self.step, self.tokens = numbers.pop("step"), numbers.pop("tokens")
        self.stream = BatchStream(self.chunks, BatchStream.position_of(numbers))
        self.module.load_state_dict({name: state[name] for name in self.module.state_dict()})
        self.optimizers.load_state(state)

    def train(self, on_step: Callable[[StepReport], None], should_stop: Callable[[], bool]) -> TrainingResult:
        settings = self.recipe.training
        finished = True
        with MetricsLog(self.output, first_step=self.step) as log:
            while self.step < settings.steps:
                if should_stop():
                    finished = False
                    break
                metrics = self._train_step()
                if self.step % self.recipe.evaluation.every == 0 or self.step == settings.steps:
                    metrics |= self._evaluate()
                log.write(self.step - 1, metrics)
                on_step(StepReport(self.step, metrics))
                if self.step % settings.checkpoint_every == 0:
                    self._save()
        self._save()
        plot_losses(read_metrics(self.output / "metrics.jsonl"), self.output / "loss.png")
        return TrainingResult(finished, self.step, self.output / "model")

    def _train_step(self) -> dict[str, float]:
        settings = self.recipe.training
        started = time.perf_counter()
        window = settings.window_at(self.step)
        num_rows = settings.tokens_per_step // window
        rows = self.stream.next_batch(num_rows, window)
        num_targets = int((rows.targets >= 0).sum())
        loss = 0.0
        for micro_batch in _micro_batches(rows, settings.rows_per_micro_batch or num_rows):
            loss += self._backward(micro_batch, num_targets)
        if not math.isfinite(loss):
            raise IncoderError(
                f"the loss is {loss} at step {self.step}: the run has diverged; start another --output "
                "with a lower optimizer.lr, or a longer optimizer.warmup_steps"
            )
        gradient_norm = self.optimizers.step(self.step, settings.steps)
        num_tokens = int((rows.segment_ids >= 0).sum())
        seconds = time.perf_counter() - started
        self.step += 1
        self.tokens += num_tokens
        return {
            "loss": loss,
            "tokens": self.tokens,
            "lr": self.optimizers.lr,
            "gradient_norm": gradient_norm,
            "window": window,
            "tokens_per_second": num_tokens / seconds,
        }

    def _backward(self, rows: PackedRows, num_targets: int) -> float:
        """Add the gradients of a micro-batch's share of the mean loss, and return that share."""
        batch = to_device(rows, self.device, is_compiled=self.recipe.training.compile)
        loss_sum, _ = self.module(batch)
        loss = loss_sum / num_targets
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _evaluate(self) -> dict[str, float]:
        settings: dict[str, Any] = {
            # Not the longest window: positions that were not trained yet would say nothing but that.
            "window": self.recipe.training.window_at(self.step - 1),
            "max_tokens": self.recipe.evaluation.max_tokens,
            "precision": self.precision,
        }
        with self.module.eager():
            held_out = held_out_loss(self.model, self.validation_shard, **settings)
            infills = held_out_infill_losses(
                self.model, self.validation_shard, self.tokenizer, self.recipe.masking, **settings
            )
        return {
            "validation_loss": held_out.loss,
            "validation_bits_per_byte": held_out.bits_per_byte,
            **{f"validation_{kind}_loss": loss for kind, loss in infills.items()},
        }

    def _save(self) -> None:
        export_model(self.model, self.output / "model", self.tokenizer, self.recipe.masking)
        save_state(
            self.output / "checkpoints",
            self.step,
            self.state(),
            keep=self.recipe.training.keep_checkpoints,
        )

    def _open_shard(self, split: str) -> TokenShard:
        shard = TokenShard.open(self.recipe.tokens, split)
        if shard.tokenizer_fingerprint != self.tokenizer.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} were encoded with another tokenizer than "
                f"{self.recipe.tokenizer}; encode the corpus again with `incoder corpus encode`"
            )
        check_shards(self.recipe.tokens, split)
        return shard


def _precision(name: Literal["auto", "bf16", "fp32"], device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if is_fast_in(torch.bfloat16, device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _micro_batches(rows: PackedRows, size: int) -> Iterator[PackedRows]:
    for start in range(0, len(rows.token_ids), size):
        yield rows[start : start + size]
