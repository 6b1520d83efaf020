"""The training loop: recipe in, checkpoints, metrics and a Hugging Face model folder out.

One process, on a CPU or with CUDA. The loop prints nothing and handles no signals: its caller watches it
through `on_step` and stops it through `should_stop`. A step depends neither on the clock nor on global random
state, so a run that is resumed from any checkpoint repeats the losses of a run that was never stopped, to the
last bit on the same CPU.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from incoder.config import refuse_other_runs, save_recipe
from incoder.errors import IncoderError
from incoder.files import remove_temporaries
from incoder.model.device import choose_device, is_fast_in
from incoder.objective.packing import PackedRows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.training.checkpoint import (
    PATTERN,
    load_newest_state,
    newest_state,
    save_state,
    tensor_text,
    text_tensor,
)
from incoder.training.chunks import DocumentChunks, PrefetchingLoader
from incoder.training.data import BatchStream, to_device
from incoder.training.evaluate import held_out_infill_losses, held_out_loss
from incoder.training.export import export_model, remove_unfinished_export
from incoder.training.first_model import first_model
from incoder.training.inputs import RunInputs
from incoder.training.lock import locked
from incoder.training.metrics import BEFORE_START, MetricsLog, plot_losses, read_metrics
from incoder.training.module import TrainingModule
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import TrainingRecipe
from incoder.training.recipe_comparison import check_resumable, take_over
from incoder.training.start_masking import with_start_masking

_WRITTEN = ("recipe.toml", "metrics.jsonl", "tensorboard", "checkpoints", "model", "loss.png")


@dataclass(frozen=True, slots=True)
class StepReport:
    """The argument of `on_step`: the number of steps done, and the metrics of the last one."""

    steps_done: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a call of `train` ended; `finished` is False if it was stopped before the last step."""

    finished: bool
    steps_done: int
    model_folder: Path


def train(
    recipe: TrainingRecipe,
    output: Path,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
    inputs: RunInputs | None = None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train a model by a recipe, or go on with the run in `output` if `resume` is True.

    Writes `recipe.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, `model/` (a Hugging Face folder)
    and `loss.png` into `output`. `inputs` are the recipe's tokenizer and shards, if they are open already.
    `on_note` is called with sentences for the user, for example that a damaged checkpoint was skipped.

    Raises:
        IncoderError: the output is in use, cannot be written, or holds another run or files of somebody else;
            the shards do not fit the tokenizer or the run; there is no such device; or the loss is no longer
            a number.
    """
    chosen_device = choose_device(device)
    recipe_path = output / "recipe.toml"
    with locked(output):
        has_state = newest_state(output / "checkpoints") is not None
        if has_state and not resume:
            raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
        recipe = with_start_masking(recipe, on_note, resumed_from=output if has_state else None)
        if has_state:
            saved = check_resumable(recipe, recipe_path)
        else:
            refuse_other_runs(recipe, recipe_path, _WRITTEN)
            save_recipe(recipe, recipe_path)
        _remove_unfinished_files(output)
        inputs = inputs or RunInputs.open(recipe)
        inputs.check()
        run = _Run(recipe, output, chosen_device, inputs, on_note)
        if has_state:
            run.load_state(load_newest_state(output / "checkpoints", on_note))
            take_over(recipe, saved, recipe_path, steps_done=run.step, on_note=on_note)
        return run.train(on_step, should_stop)


class _Run:
    """A run in memory: model, optimizers and position in the data, and their state as one dictionary."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        output: Path,
        device: torch.device,
        inputs: RunInputs,
        on_note: Callable[[str], None],
    ) -> None:
        self.recipe = recipe
        self.output = output
        self.device = device
        self.on_note = on_note
        self.tokenizer = inputs.tokenizer
        self.training_shard, self.validation_shard = inputs.training, inputs.validation
        self.model = first_model(recipe, self.tokenizer).to(device)
        self.precision = _precision(recipe.training.precision, device)
        self.optimizers = Optimizers(self.model, recipe.optimizer, self.precision)
        # Sentinels are never a target, so the softmax pushes all of them in one direction. With tied
        # embeddings the model could then no longer tell them apart as inputs (docs/mini.md, appendix A).
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
        # On a CPU the other process would take from training the time that it saves.
        self.chunks = PrefetchingLoader(chunks) if device.type == "cuda" else chunks
        self.stream = BatchStream(self.chunks)
        self.step = 0
        self.tokens = 0

    def state(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on besides recipe and data, as one flat dictionary of tensors."""
        numbers = {"step": self.step, "tokens": self.tokens, **self.stream.state()}
        return {
            **self.module.state_dict(),  # whose names begin with `model.`
            **self.optimizers.state(),
            **{f"run.{name}": torch.tensor(number) for name, number in numbers.items()},
            "run.data_fingerprint": text_tensor(self.training_shard.fingerprint),
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a state.

        Raises:
            IncoderError: it was reached with other token shards, or belongs to another network.
        """
        if tensor_text(state["run.data_fingerprint"]) != self.training_shard.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} are not those that this run was started with; "
                "restore them, or start afresh with another --output"
            )
        expected = self.module.state_dict()
        strange = [name for name, weight in expected.items() if _shape_in(state, name) != weight.shape]
        if strange:
            raise IncoderError(
                f"the checkpoints in {self.output} are of another model than the recipe's ({strange[0]} has "
                f"the shape {_shape_in(state, strange[0])}); name another --output"
            )
        numbers = {
            name.removeprefix("run."): int(value)
            for name, value in state.items()
            if name.startswith("run.") and value.ndim == 0
        }
        self.step, self.tokens = numbers.pop("step"), numbers.pop("tokens")
        self.stream = BatchStream(self.chunks, BatchStream.position_of(numbers))
        self.module.load_state_dict({name: state[name] for name in expected})
        self.optimizers.load_state(state)

    def train(self, on_step: Callable[[StepReport], None], should_stop: Callable[[], bool]) -> TrainingResult:
        """Do the steps that are left, until the last one or until `should_stop()`."""
        settings = self.recipe.training
        finished = True
        before_start: dict[str, float] = {}
        with MetricsLog(self.output, first_step=self.step, on_note=self.on_note) as log:
            while self.step < settings.steps:
                if should_stop():
                    finished = False
                    break
                if self.step == 0 and self.recipe.model.start_from is not None:
                    before_start = self._evaluate_start()
                metrics = self._train_step() | before_start
                before_start = {}
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
        """Accumulate the gradients of a micro-batch; return its share of the step's mean loss."""
        batch = to_device(rows, self.device, is_compiled=self.recipe.training.compile)
        loss_sum, _ = self.module(batch)
        loss = loss_sum / num_targets
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _evaluate(self) -> dict[str, float]:
        settings: dict[str, Any] = {
            # Not the longest window: the model is bad at positions that it was not trained on yet.
            "window": self.recipe.training.window_at(max(0, self.step - 1)),
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

    def _evaluate_start(self) -> dict[str, float]:
        """Measure the model that the run starts from, to compare later evaluations with it."""
        measured = self._evaluate()
        infills = measured.get("validation_infill_loss")
        self.on_note(
            f"before the first step: held out {measured['validation_loss']:.3f} "
            f"({measured['validation_bits_per_byte']:.3f} bits/byte)"
            + (f", in infills {infills:.3f}" if infills is not None else "")
        )
        return {BEFORE_START + name: value for name, value in measured.items()}

    def _save(self) -> None:
        export_model(self.model, self.output / "model", self.tokenizer, self.recipe.masking)
        save_state(
            self.output / "checkpoints",
            self.step,
            self.state(),
            keep=self.recipe.training.keep_checkpoints,
        )


def _precision(name: Literal["auto", "bf16", "fp32"], device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if is_fast_in(torch.bfloat16, device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _micro_batches(rows: PackedRows, size: int) -> Iterator[PackedRows]:
    for start in range(0, len(rows.token_ids), size):
        yield rows[start : start + size]


def _shape_in(state: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def _remove_unfinished_files(output: Path) -> None:
    """Remove temporary files of a process that was killed in this folder, which is ours and locked."""
    remove_temporaries(output, ("recipe*.toml", "metrics.jsonl", "loss.png"))
    remove_temporaries(output / "checkpoints", (PATTERN,))
    remove_unfinished_export(output / "model")
