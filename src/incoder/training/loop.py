"""The training loop: recipe in, checkpoints, metrics and a Hugging Face model folder out.

One process or many, on CPUs or with CUDA. Every rank makes the same batches and computes its rows of them, so
the order of the data does not depend on how many ranks there are. The loop prints nothing and handles no
signals: its caller watches it through `on_step` and stops it through `should_stop`. A step depends neither on
the clock nor on global random state, so a run that is resumed from any checkpoint repeats the losses of a run
that was never stopped, to the last bit on the same CPU and the same number of ranks.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from incoder.errors import IncoderError
from incoder.model.device import choose_device, is_fast_in
from incoder.objective.packing import PackedRows
from incoder.tokenizer.formats import training_formats
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.best import BestScore
from incoder.training.checkpoint import load_newest_state, state_writer, tensor_text, text_tensor
from incoder.training.chunks import DocumentChunks, PrefetchingLoader
from incoder.training.data import BatchStream, to_device
from incoder.training.estimate import memory_for_process, network_config, refuse_what_cannot_fit
from incoder.training.evaluate import held_out_infill_losses, held_out_loss
from incoder.training.export import TokenizerFiles, export_adapter, export_model
from incoder.training.first_model import first_model_on
from incoder.training.heartbeat import HeartbeatWriter
from incoder.training.inputs import RunInputs
from incoder.training.last_words import last_words
from incoder.training.lora import add_adapters
from incoder.training.metrics import BEFORE_START, MetricsLog, plot_losses, read_metrics
from incoder.training.module import TrainingModule
from incoder.training.optimizer import Optimizers
from incoder.training.ranks import Ranks
from incoder.training.recipe import AdapterSection, TrainingRecipe
from incoder.training.recipe_comparison import take_over
from incoder.training.shares import micro_batches
from incoder.training.spikes import SpikeGuard
from incoder.training.start import checked_inputs, common_facts, start_run

_BASE = "run.base_fingerprint"


@dataclass(frozen=True, slots=True)
class StepReport:
    """The argument of `on_step`: the number of steps done, and the metrics of the last one."""

    steps_done: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a call of `train` ended; `finished` is False if it was stopped before its end.

    The end is the last step, or an earlier one if the held-out loss no longer fell (evaluation.patience).
    """

    finished: bool
    steps_done: int
    model_folder: Path
    best_folder: Path | None = None  # with evaluation.keep_best


def train(
    recipe: TrainingRecipe,
    output: Path,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
    inputs: RunInputs | None = None,
    ranks: Ranks | None = None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train a model by a recipe, or go on with the run in `output` if `resume` is True.

    Writes `recipe.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, `loss.png` and `model/` (a Hugging
    Face folder), or `adapter/` if the recipe has one, into `output`, and `ranks/` while it runs. `inputs` are
    the recipe's tokenizer and shards, if they are open already. `ranks` are the processes of the run, which
    all call this function; the first one writes. `on_note` is called with sentences for the user, for example
    that a damaged checkpoint was skipped. The run stops if `should_stop()` is true in any process.

    Raises:
        IncoderError: the output is in use, cannot be written, or holds another run or files of somebody else;
            the shards do not fit the tokenizer or the run; there is no such device; or the loss is no longer
            a number.
    """
    chosen_device = choose_device(device)
    ranks = ranks or Ranks()
    with ExitStack() as stack:
        started = ranks.first(lambda: start_run(recipe, output, resume, stack, on_note))
        recipe = recipe.model_copy(update={"masking": started.masking})
        heartbeat = stack.enter_context(HeartbeatWriter(output, ranks.place))
        stack.enter_context(last_words(output, ranks.place, heartbeat))
        inputs = ranks.each(lambda: checked_inputs(inputs, recipe, ranks.place))
        precision = precision_of(recipe.training.precision, chosen_device)
        ranks.check_same(common_facts(recipe, inputs, precision))
        run = _Run(recipe, output, chosen_device, precision, inputs, ranks, heartbeat, on_note)
        if started.saved is not None:
            run.load_newest_state()
            steps_done, path = run.step, output / "recipe.toml"
            saved = started.saved
            ranks.first(lambda: take_over(recipe, saved, path, steps_done=steps_done, on_note=on_note))
        return run.train(on_step, should_stop)


class _Run:
    """A run in memory: model, optimizers and position in the data, and their state as one dictionary."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        output: Path,
        device: torch.device,
        precision: torch.dtype,
        inputs: RunInputs,
        ranks: Ranks,
        heartbeat: HeartbeatWriter,
        on_note: Callable[[str], None],
    ) -> None:
        self.recipe = recipe
        self.output = output
        self.device = device
        self.ranks = ranks
        self.heartbeat = heartbeat
        self.on_note = on_note
        self.tokenizer = inputs.tokenizer
        self.training_shard, self.validation_shard = inputs.training, inputs.validation
        self.precision = precision
        self._refuse_what_cannot_fit()
        self.model = first_model_on(device, recipe, self.tokenizer, self.precision, ranks)
        self.base_fingerprint = None if recipe.adapter is None else self._adapt(recipe.adapter)
        self.optimizers = Optimizers(self.model, recipe.optimizer, self.precision, ranks)
        self.states = state_writer(output / "checkpoints", ranks, keep=recipe.training.keep_checkpoints)
        # Sentinels are never a target, so the softmax pushes all of them in one direction. With tied
        # embeddings the model could then no longer tell them apart as inputs (docs/mini.md, appendix A).
        never_targets = sorted(training_formats(self.tokenizer)[0].never_generated_ids)
        is_tied = self.model.config.tie_embeddings
        self.module = TrainingModule(
            self.model,
            precision=self.precision,
            frozen_rows=torch.tensor(never_targets, device=device) if is_tied else None,
            compile_blocks=recipe.training.compile,
            checkpoint_activations=recipe.training.activation_checkpointing,
        )
        chunks = chunks_of(recipe, inputs)
        # On a CPU the other process would take from training the time that it saves.
        self.chunks = PrefetchingLoader(chunks) if device.type == "cuda" else chunks
        self.stream = BatchStream(self.chunks)
        self.guard = SpikeGuard(recipe.training.spike_threshold, on_note)
        self.best = BestScore(recipe.evaluation.patience)
        self.step = 0
        self.tokens = 0

    def _adapt(self, section: AdapterSection) -> str:
        if self.ranks.is_sharded:
            raise IncoderError("an adapter is trained by one process; leave out --processes")
        seed = self.recipe.training.seed
        return add_adapters(self.model, rank=section.rank, alpha=section.alpha, seed=seed)

    def _refuse_what_cannot_fit(self) -> None:
        """Say what is too large before anything is allocated; on a GPU also what probably is."""
        place, shard_size = self.ranks.place, self.recipe.parallel.shard_size
        is_gpu = self.device.type == "cuda"
        refuse_what_cannot_fit(
            self.recipe,
            network_config(self.recipe, self.tokenizer.vocab_size),
            num_shards=place.world_size if shard_size == "all" else min(shard_size, place.world_size),
            memory_bytes=memory_for_process(self.device, place.local_world_size),
            on_note=self.on_note if is_gpu else lambda _: None,
        )

    def state(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on besides recipe and data, as one flat dictionary of tensors."""
        numbers = {"step": self.step, "tokens": self.tokens, **self.stream.state()}
        return {
            **self._trained_weights(),
            **self.optimizers.state(),
            **self.guard.state(),
            **self.best.state(),
            **{f"run.{name}": torch.tensor(number) for name, number in numbers.items()},
            "run.data_fingerprint": text_tensor(self.training_shard.fingerprint),
            **self._base_state(),
        }

    def _base_state(self) -> dict[str, torch.Tensor]:
        """The fingerprint of the weights that an adapter is trained for."""
        return {} if self.base_fingerprint is None else {_BASE: text_tensor(self.base_fingerprint)}

    def _trained_weights(self) -> dict[str, torch.Tensor]:
        """The weights by names that begin with `model.`; frozen ones are read from the base again."""
        frozen = {f"model.{name}" for name, one in self.model.named_parameters() if not one.requires_grad}
        return {name: weight for name, weight in self.module.state_dict().items() if name not in frozen}

    def load_newest_state(self) -> None:
        """Go on from the newest whole state.

        Raises:
            IncoderError: it was reached with other token shards, or belongs to another network.
        """
        folder = self.output / "checkpoints"
        if not self.ranks.is_sharded:
            self._load_state(load_newest_state(folder, self.on_note))
            return
        from incoder.training.sharding import empty_like, with_shards

        parameters = dict(self.model.named_parameters())
        empty = partial(empty_like, parameters)
        state = load_newest_state(folder, self.on_note, ranks=self.ranks, empty=empty)
        self._load_state(with_shards(state, parameters))

    def _load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        if tensor_text(state["run.data_fingerprint"]) != self.training_shard.fingerprint:
            raise IncoderError(
                f"the token shards in {self.recipe.tokens} are not those that this run was started with; "
                "restore them, or start afresh with another --output"
            )
        if self.base_fingerprint is not None and tensor_text(state[_BASE]) != self.base_fingerprint:
            raise IncoderError(
                f"{self.recipe.model.start_from} has other weights than when this run was started; "
                "restore them, or start afresh with another --output"
            )
        expected = self._trained_weights()
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
        weights = {name: state[name] for name in expected}
        self.module.load_state_dict(weights, strict=self.base_fingerprint is None)
        self.optimizers.load_state(state)
        self.guard.load_state(state)
        self.best.load_state(state)

    def train(self, on_step: Callable[[StepReport], None], should_stop: Callable[[], bool]) -> TrainingResult:
        """Do the steps that are left, until the last one or until `should_stop()`."""
        settings = self.recipe.training
        finished = True
        before_start: dict[str, float] = {}
        with self._metrics_log() as log:
            while self.step < settings.steps and not self.best.is_over:
                if self.ranks.any(should_stop()):
                    finished = False
                    break
                if self.step == 0 and self.recipe.model.start_from is not None:
                    before_start = self._evaluate_start()
                metrics = self._train_step() | before_start
                before_start = {}
                if self.step % self.recipe.evaluation.every == 0 or self.step == settings.steps:
                    metrics |= self._evaluate()
                if log is not None:
                    log.write(self.step - 1, metrics)
                on_step(StepReport(self.step, metrics))
                self.states.poll()
                if self.step % settings.checkpoint_every == 0:
                    self._save(is_last=False)
        if self.best.is_over:
            self.on_note(
                f"stopped after step {self.step} of {settings.steps}: the held-out loss has not fallen since "
                f"step {self.best.step}, when it was {self.best.loss:.3f}"
            )
        self._save(is_last=True)
        if self.ranks.is_first:
            plot_losses(read_metrics(self.output / "metrics.jsonl"), self.output / "loss.png")
        self.heartbeat.say(self.step, "finished" if finished else "stopped")
        kind = "model" if self.base_fingerprint is None else "adapter"
        best = self.output / f"{kind}-best" if self.recipe.evaluation.keep_best else None
        return TrainingResult(finished, self.step, self.output / kind, best)

    def _metrics_log(self) -> AbstractContextManager[MetricsLog | None]:
        if not self.ranks.is_first:
            return nullcontext()
        return MetricsLog(self.output, first_step=self.step, on_note=self.on_note)

    def _train_step(self) -> dict[str, float]:
        settings = self.recipe.training
        started = time.perf_counter()
        window = settings.window_at(self.step)
        self.heartbeat.say(self.step, "reading data")
        rows = self.stream.next_batch(settings.tokens_per_step // window, window)
        num_targets = int((rows.targets >= 0).sum())
        self.heartbeat.say(self.step, "computing")
        loss = 0.0
        parts = list(micro_batches(rows, self.ranks.place, settings.rows_per_micro_batch))
        for number, part in enumerate(parts, 1):
            loss += self._backward(part, num_targets, is_last=number == len(parts))
        [loss] = self.ranks.sum(loss)
        if not math.isfinite(loss):
            raise IncoderError(
                f"the loss is {loss} at step {self.step}: the run has diverged; start another --output "
                "with a lower optimizer.lr, or a longer optimizer.warmup_steps"
            )
        is_spike = partial(self.guard.is_spike, self.step, window, loss)
        gradient_norm = self.optimizers.step(self.step, settings.steps, is_skipped=is_spike)
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
            **({"skipped": 1.0} if self.guard.has_skipped else {}),
        }

    def _backward(self, rows: PackedRows, num_targets: int, *, is_last: bool) -> float:
        """Accumulate the gradients of a micro-batch; return its share of the step's mean loss."""
        if self.ranks.is_sharded:
            from incoder.training.sharding import reduce_copies

            reduce_copies(self.model, is_last=is_last)
        batch = to_device(rows, self.device, is_compiled=self.recipe.training.compile)
        loss_sum, _ = self.module(batch)
        loss = loss_sum / num_targets
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _evaluate(self) -> dict[str, float]:
        self.heartbeat.say(self.step, "evaluating")
        settings: dict[str, Any] = {
            # Not the longest window: the model is bad at positions that it was not trained on yet.
            "window": self.recipe.training.window_at(max(0, self.step - 1)),
            "max_tokens": self.recipe.evaluation.max_tokens,
            "precision": self.precision,
            "ranks": self.ranks,
        }
        with self.module.eager():
            held_out = held_out_loss(self.model, self.validation_shard, **settings)
            infills = held_out_infill_losses(
                self.model, self.validation_shard, self.tokenizer, self.recipe.masking, **settings
            )
        metrics = {
            "validation_loss": held_out.loss,
            "validation_bits_per_byte": held_out.bits_per_byte,
            **{f"validation_{kind}_loss": loss for kind, loss in infills.items()},
        }
        if self.recipe.evaluation.keep_best and self.best.is_best(metrics, self.step):
            self._export("-best")
        return metrics

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

    def _save(self, *, is_last: bool) -> None:
        self.heartbeat.say(self.step, "saving")
        every = self.recipe.training.export_every
        if is_last or every is None or self.step % every == 0:
            self._export()
            if self.recipe.optimizer.average_decay is not None:
                with self.optimizers.averaged():
                    self._export("-average")
        is_beside = self.recipe.parallel.asynchronous_checkpoints and not is_last
        self.states.save(self.step, self.state(), wait=not is_beside)

    def _export(self, suffix: str = "") -> None:
        """Write the model, or its adapter, into the folder of this name in the run's folder."""
        if self.base_fingerprint is not None:
            export_adapter(self.model, self.output / f"adapter{suffix}", self.recipe, self.base_fingerprint)
            return
        folder, start = self.output / f"model{suffix}", self.recipe.model.start_folder
        tokenizer = self.tokenizer if isinstance(self.tokenizer, Tokenizer) else TokenizerFiles(start)
        export_model(self.model, folder, tokenizer, self.recipe.masking, self.ranks)


def precision_of(name: Literal["auto", "bf16", "fp32"], device: torch.device) -> torch.dtype:
    """Return the precision of a run's matrix products on a device, by the recipe's name for it."""
    if name == "auto":
        return torch.bfloat16 if is_fast_in(torch.bfloat16, device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def chunks_of(recipe: TrainingRecipe, inputs: RunInputs) -> DocumentChunks:
    """Return the chunks of the training shard that a recipe's run reads."""
    return DocumentChunks(
        inputs.training,
        inputs.tokenizer,
        recipe.masking,
        seed=recipe.training.seed,
        documents_per_chunk=recipe.training.documents_per_chunk,
        weights={str(kind): weight for kind, weight in recipe.training.weights.items()},
    )


def _shape_in(state: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None
