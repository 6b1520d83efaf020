"""The training loop: recipe in, checkpoints, metrics and a Hugging Face model folder out.

One process, CPU or CUDA. It prints nothing and handles no signals: a caller watches through `on_step` and
stops it through `should_stop`. Nothing in a step depends on the clock or on global random state, so a run
resumed from any checkpoint repeats the losses of one that was never stopped, to the last bit on the same
machine.
"""

import fcntl
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from incoder.config import load_recipe, refuse_other_runs, save_recipe
from incoder.corpus.shards import TokenShard, check_shards
from incoder.errors import IncoderError
from incoder.files import make_folder
from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.device import choose_device, is_fast_in
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.objective.loss import chunked_cross_entropy
from incoder.objective.packing import PackedRows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.checkpoint import load_state, newest_state, save_state
from incoder.training.chunks import DocumentChunks, PrefetchingLoader
from incoder.training.data import BatchStream, to_device
from incoder.training.evaluate import held_out_infill_losses, held_out_loss
from incoder.training.metrics import MetricsLog, plot_losses, read_metrics
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import TrainingRecipe

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
    with _locked(output):
        checkpoint = newest_state(output / "checkpoints")
        if checkpoint and not resume:
            raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
        if checkpoint:
            _check_same_recipe(recipe, output / "recipe.toml")
        else:
            refuse_other_runs(recipe, output / "recipe.toml", _WRITTEN)
            save_recipe(recipe, output / "recipe.toml")
        run = _Run(recipe, output, chosen_device)
        if checkpoint:
            run.load_state_dict(load_state(checkpoint))
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
        self.model = self._first_model().to(device)
        self.precision = _precision(recipe.training.precision, device)
        self.optimizers = Optimizers(self.model, recipe.optimizer, self.precision)
        # Sentinels are never a target, so the softmax only ever pushes them away. With tied embeddings that
        # makes them all alike, and the model can no longer tell them apart as inputs (docs/mini.md).
        self.frozen_rows = torch.tensor(
            sorted(CausalMaskingFormat(self.tokenizer).never_generated_ids), device=device
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
        self._forward: Callable[..., torch.Tensor] = (
            torch.compile(self.model) if recipe.training.compile else self.model
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "stream": self.stream.state(),
            "data_fingerprint": self.training_shard.fingerprint,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["data_fingerprint"] != self.training_shard.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} are not those that this run was started with; "
                "restore them, or start afresh with another --output"
            )
        self.step = state["step"]
        self.tokens = state["tokens"]
        self.model.load_state_dict(state["model"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.stream = BatchStream(self.chunks, BatchStream.position_of(state["stream"]))

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
        with self._autocast():
            hidden_BTD = self._forward(
                batch.token_ids_BT, positions_BT=batch.positions_BT, attention_mask=batch.mask
            )
            loss_sum, _ = chunked_cross_entropy(
                hidden_BTD.flatten(0, 1),
                self.model.output_weight,
                batch.targets_BT.flatten(),
                frozen_rows=self.frozen_rows if self.model.config.tie_embeddings else None,
            )
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
        save_checkpoint(
            self.model,
            self.output / "model",
            tokenizer=self.tokenizer,
            dtype=torch.bfloat16,
            num_tail_lines=self.recipe.masking.num_tail_lines,
        )
        save_state(
            self.output / "checkpoints",
            self.step,
            self.state_dict(),
            keep=self.recipe.training.keep_checkpoints,
        )

    def _first_model(self) -> Transformer:
        section = self.recipe.model
        if section.start_from is None:
            config = config_for(
                section.size, section.shape, vocab_size=self.tokenizer.vocab_size, **section.overrides()
            )
            model = Transformer(config)
            model.init_weights(torch.Generator().manual_seed(self.recipe.training.seed))
            return model
        if Tokenizer.from_file(section.start_from).fingerprint != self.tokenizer.fingerprint:
            raise IncoderError(
                f"{section.start_from} was trained with another tokenizer than {self.recipe.tokenizer}; "
                "name the model's own as the recipe's tokenizer, and encode the corpus with it"
            )
        model = load_checkpoint(section.start_from, dtype=torch.float32)
        longest = max(phase.window for phase in self.recipe.training.phases)
        if longest > model.config.max_positions:
            raise IncoderError(
                f"the window ({longest}) must not exceed the {model.config.max_positions} positions of "
                f"{section.start_from}"
            )
        return model.train()

    def _open_shard(self, split: str) -> TokenShard:
        shard = TokenShard.open(self.recipe.tokens, split)
        if shard.tokenizer_fingerprint != self.tokenizer.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} were encoded with another tokenizer than "
                f"{self.recipe.tokenizer}; encode the corpus again with `incoder corpus encode`"
            )
        check_shards(self.recipe.tokens, split)
        return shard

    def _autocast(self) -> torch.autocast:
        enabled = self.precision != torch.float32
        return torch.autocast(self.device.type, dtype=self.precision, enabled=enabled)


def _precision(name: Literal["auto", "bf16", "fp32"], device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if is_fast_in(torch.bfloat16, device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _micro_batches(rows: PackedRows, size: int) -> Iterator[PackedRows]:
    for start in range(0, len(rows.token_ids), size):
        yield rows[start : start + size]


def _check_same_recipe(recipe: TrainingRecipe, path: Path) -> None:
    saved = load_recipe(TrainingRecipe, path).model_dump(mode="json")
    wanted = recipe.model_dump(mode="json")
    different = [
        f"{section}.{key} is {saved[section][key]}, now {value}"
        for section, values in wanted.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if saved[section][key] != value
    ]
    if different:
        raise IncoderError(
            f"the run in {path.parent} was started with another recipe ({'; '.join(different)}); "
            "resume it with the same one, or name another --output"
        )


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold the folder for one process: two writers would ruin each other's checkpoints."""
    try:
        lock = (make_folder(output) / ".lock").open("a")
    except OSError as error:
        raise IncoderError(f"cannot write into {output}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IncoderError(f"another process is training into {output}") from error
        yield
