"""The training recipe: every setting of a run, with defaults that suit a small run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from incoder.config import Recipe, UserPath
from incoder.embedded_models import embedded_or_path
from incoder.model.sizes import SIZES
from incoder.objective.masking import MaskingConfig

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=100.0)]


def _known_size(size: str) -> str:
    if size not in SIZES:
        raise ValueError(f"the sizes are {', '.join(SIZES)}")
    return size


class ModelSection(Recipe):
    """The network: a size from the table with single numbers replaced, or a model folder to start from.

    `start_from` may be the name of an embedded model, such as `mini`.
    """

    start_from: UserPath | None = None
    size: Annotated[str, AfterValidator(_known_size)] = "mini"
    shape: Literal["llama", "xglm"] = "llama"
    num_layers: PositiveInt | None = None
    hidden_size: PositiveInt | None = None
    num_heads: PositiveInt | None = None
    num_kv_heads: PositiveInt | None = None
    inner_size: PositiveInt | None = None
    max_positions: PositiveInt = 2048
    tie_embeddings: bool = True

    @model_validator(mode="after")
    def _one_network(self) -> Self:
        different = {name for name, value in self if value != type(self).model_fields[name].default}
        if self.start_from and (others := different - {"start_from"}):
            raise ValueError(
                f"start_from brings its own network; leave out {', '.join(sorted(others))}, or start_from"
            )
        return self

    @property
    def start_folder(self) -> Path | None:
        """The folder that `start_from` names."""
        return None if self.start_from is None else embedded_or_path(self.start_from)

    def overrides(self) -> dict[str, int]:
        """The numbers that replace those in the table of sizes."""
        return self.model_dump(exclude={"size", "shape", "start_from"}, exclude_none=True)


class OptimizerSection(Recipe):
    """AdamW for everything, or Muon for the weight matrices of the blocks and AdamW for the rest."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: PositiveFloat = 1e-3
    muon_lr: PositiveFloat = 1e-2
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)  # paper, section 4
    weight_decay: float = Field(0.1, ge=0.0)
    clip_norm: PositiveFloat = 1.0  # paper, section 4
    # Keep an exponential average of the weights as well, with this decay a step, and export it.
    average_decay: float | None = Field(None, gt=0.0, lt=1.0)
    # After the warm-up: the paper's polynomial decay, half a cosine, or a rate that decays only at the end.
    schedule: Literal["polynomial", "cosine", "warmup_stable_decay"] = "polynomial"
    warmup_steps: int = Field(100, ge=0)
    decay_power: PositiveFloat = 1.0  # not of the cosine
    decay_fraction: float = Field(0.2, gt=0.0, le=1.0)  # of all steps: the decay of warmup_stable_decay
    final_lr_fraction: Fraction = 0.0


class Phase(Recipe):
    """A part of the run with one window; `until` is the fraction of all steps at which it ends.

    Short windows are cheap; long ones at the end teach the model to use distant context.
    """

    window: int = Field(512, ge=16)
    until: Fraction = 1.0


class TrainingSection(Recipe):
    """How many steps, of how many tokens, and how they are computed."""

    renamed: ClassVar[Mapping[str, str]] = {"documents_per_group": "documents_per_chunk"}

    steps: PositiveInt = 1000
    tokens_per_step: PositiveInt = 4096
    rows_per_micro_batch: PositiveInt | None = None  # in each process
    phases: tuple[Phase, ...] = (Phase(),)
    # Of matrix products; weights and sums are float32. "auto" is bf16 where the processor is fast in it.
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    # Compute activations again in the backward pass: a second forward pass for a fraction of the memory.
    activation_checkpointing: bool = False
    # Skip a step whose loss or gradient norm is this many standard deviations above the last steps.
    # Off by default: small batches are uneven, and skipped documents are not seen again in the epoch.
    spike_threshold: PositiveFloat | None = None
    seed: int = Field(0, ge=0)
    documents_per_chunk: PositiveInt = 1024
    # How often an epoch has each document, by its kind; a fraction is the chance of one more time.
    weights: dict[Literal["python", "code", "stackoverflow"], Weight] = Field(default_factory=dict)
    checkpoint_every: PositiveInt = 250
    keep_checkpoints: PositiveInt = 2
    # How often the model folder is written, besides at the end; without a number, at each checkpoint.
    export_every: PositiveInt | None = None

    @model_validator(mode="after")
    def _phases_cover_the_run(self) -> Self:
        ends = [phase.until for phase in self.phases]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError("the phases' `until` must rise and end at 1.0")
        for phase in self.phases:
            if self.tokens_per_step % phase.window:
                raise ValueError(
                    f"tokens_per_step ({self.tokens_per_step}) must be a multiple of the window "
                    f"({phase.window})"
                )
        return self

    def window_at(self, step: int) -> int:
        """Return the window of step number `step`, which counts from 0.

        >>> phases = (Phase(window=256, until=0.5), Phase(window=512))
        >>> TrainingSection(steps=10, phases=phases).window_at(5)
        512
        """
        return next(phase.window for phase in self.phases if step < phase.until * self.steps)


class ParallelSection(Recipe):
    """How several processes share the work; their number is no setting, and one process ignores these."""

    # How many consecutive processes hold the model together: "all", or fewer, such as all of a machine.
    # Each such group then has a copy.
    shard_size: Literal["all"] | PositiveInt = "all"
    # Free a block's weights between its forward and its backward pass: less memory, a third more traffic.
    reshard: bool = True
    # Write checkpoints beside the next steps, from a copy of the state in the CPU's memory.
    asynchronous_checkpoints: bool = True
    timeout_seconds: PositiveInt = 600  # how long a process waits for the others in a step


class AdapterSection(Recipe):
    """LoRA: the weights of `model.start_from` are frozen, and an adapter for them is trained.

    Two thin matrices of this rank beside each linear layer of the blocks are trained; their product counts
    `alpha` / `rank` times.
    """

    rank: int = Field(16, ge=1, le=1024)
    alpha: PositiveFloat = 32.0
    base_name: str | None = None  # the base model's name in the adapter's files; by default its folder


class EvaluationSection(Recipe):
    """How often held-out losses are measured, and on how much."""

    every: PositiveInt = 250
    max_tokens: PositiveInt = 65_536
    # Keep the weights of the evaluation with the lowest loss in infills (left to right, if it has none) in a
    # folder of their own; the model that a run starts from counts as well.
    keep_best: bool = False
    # Stop after this many evaluations in a row without a lower loss.
    patience: PositiveInt | None = None

    @model_validator(mode="after")
    def _patience_needs_keep_best(self) -> Self:
        if self.patience is not None and not self.keep_best:
            raise ValueError("patience needs keep_best = true: the last weights are not the best ones then")
        return self


class TrainingRecipe(Recipe):
    """All settings of a run: `incoder train RECIPE --output DIR`.

    `tokenizer` is a path, or the name of an embedded model.
    """

    tokens: UserPath
    tokenizer: UserPath
    model: ModelSection = ModelSection()
    adapter: AdapterSection | None = None
    masking: MaskingConfig = MaskingConfig()
    optimizer: OptimizerSection = OptimizerSection()
    training: TrainingSection = TrainingSection()
    parallel: ParallelSection = ParallelSection()
    evaluation: EvaluationSection = EvaluationSection()

    @property
    def tokenizer_path(self) -> Path:
        """The file or folder that `tokenizer` names."""
        return embedded_or_path(self.tokenizer)

    @model_validator(mode="after")
    def _adapters_have_a_base(self) -> Self:
        if self.adapter is not None and self.model.start_from is None:
            raise ValueError("an adapter is trained for a model: name it as model.start_from")
        if self.adapter is not None and self.optimizer.name != "adamw":
            raise ValueError('an adapter needs optimizer.name = "adamw": Muon is for whole matrices')
        if self.adapter is not None and self.optimizer.average_decay is not None:
            raise ValueError("optimizer.average_decay is not for adapters; leave one of them out")
        return self

    @model_validator(mode="after")
    def _windows_fit_the_model(self) -> Self:
        longest = max(phase.window for phase in self.training.phases)
        if self.model.start_from is None and longest > self.model.max_positions:
            raise ValueError(
                f"the window ({longest}) must not exceed model.max_positions ({self.model.max_positions})"
            )
        return self
