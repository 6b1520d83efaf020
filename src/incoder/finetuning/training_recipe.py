"""The training recipe of a fine-tuning run: everything but the number of steps follows from its settings.

The number of steps follows from the epochs or, if they would take longer, from the minutes and a measured
speed. It is measured once, before the first step, and the recipe is saved: a run that is resumed repeats the
steps of one that was never stopped.
"""

import json
import math
import time
from pathlib import Path

import torch

from incoder.config import load_recipe
from incoder.embedded_models import embedded_models
from incoder.finetuning.settings import FineTuning
from incoder.model.checkpoint import load_config
from incoder.training.data import BatchStream, to_device
from incoder.training.first_model import first_model
from incoder.training.inputs import RunInputs
from incoder.training.loop import chunks_of, precision_of
from incoder.training.lora import add_adapters
from incoder.training.module import TrainingModule
from incoder.training.recipe import TrainingRecipe
from incoder.training.start_masking import masking_of

FILE = "train.toml"  # in the folder of a fine-tuning run
_WINDOW = 1024
_TOKENS_PER_STEP = 4096
_ROWS_AT_ONCE = 2
_EVALUATED_TOKENS = 8192
_NUM_EVALUATIONS = 8
_PATIENCE = 3
# For models that do not say how they were trained: most holes as an editor has them, and some text as it is.
_MASKING = (
    "masking.plain_rate=0.1",
    "masking.line_span_rate=0.9",
    "masking.mean_span_lines=1.5",
    'masking.span_boundaries="character"',
    "masking.span_kinds={lines=5.0, characters=3.0, words=3.0, names=2.0, arguments=3.0, strings=1.0}",
)
# Of a run's time: evaluations, checkpoints and the optimizer take the rest.
_SHARE_OF_STEPS = 0.8


def training_recipe(settings: FineTuning, tokens: Path, base: Path) -> TrainingRecipe:
    """Return the recipe of a run on these token shards, with one step for now.

    Raises:
        IncoderError: an override of the settings is not one of a training recipe.
    """
    config = load_config(base)
    window = min(_WINDOW, config.max_positions)
    overrides = [
        f"tokens={json.dumps(str(tokens))}",
        f"tokenizer={json.dumps(str(base))}",
        f"model.start_from={json.dumps(str(base))}",
        'optimizer.name="adamw"',
        f"optimizer.lr={settings.learning_rate(config.num_parameters)}",
        "optimizer.weight_decay=0.0",
        'optimizer.schedule="cosine"',
        "training.steps=1",
        f"training.tokens_per_step={_TOKENS_PER_STEP // window * window}",
        f"training.rows_per_micro_batch={_ROWS_AT_ONCE}",
        f"training.phases=[{{window={window}}}]",
        f"training.seed={settings.seed}",
        "evaluation.keep_best=true",
        f"evaluation.patience={_PATIENCE}",
        f"evaluation.max_tokens={_EVALUATED_TOKENS}",
    ]
    if masking_of(base) is None:
        overrides += _MASKING
    if not settings.full:
        overrides += [
            f"adapter.rank={settings.rank}",
            f"adapter.alpha={settings.scale}",
            f"adapter.base_name={json.dumps(base_name(settings))}",
        ]
    return load_recipe(TrainingRecipe, None, [*overrides, *settings.overrides])


def base_name(settings: FineTuning) -> str:
    """Return the name of the base model in an adapter's files: a folder's path is absolute."""
    is_folder = settings.model not in embedded_models() and Path(settings.model).exists()
    return str(Path(settings.model).absolute()) if is_folder else settings.model


def with_length(
    recipe: TrainingRecipe, settings: FineTuning, inputs: RunInputs, device: torch.device
) -> TrainingRecipe:
    """Return the recipe with its number of steps, and with what follows from it: warm-up, evaluations.

    Settings that `settings.overrides` name stay as they are.
    """
    named = {override.partition("=")[0] for override in settings.overrides}
    tokens_per_step = recipe.training.tokens_per_step
    steps = round(settings.epochs * inputs.training.num_tokens / tokens_per_step)
    if "training.steps" in named:
        steps = recipe.training.steps
    elif settings.minutes is not None:
        tokens = _SHARE_OF_STEPS * 60 * settings.minutes * tokens_per_second(recipe, inputs, device)
        steps = min(steps, int(tokens / tokens_per_step))
    steps = max(1, steps)
    every = max(1, steps // _NUM_EVALUATIONS)
    lengths = {
        ("training", "steps"): steps,
        ("training", "checkpoint_every"): every,
        ("optimizer", "warmup_steps"): steps // 10,
        ("evaluation", "every"): every,
    }
    sections = {name: getattr(recipe, name) for name in ("training", "optimizer", "evaluation")}
    for (section, key), value in lengths.items():
        if f"{section}.{key}" not in named:
            sections[section] = sections[section].model_copy(update={key: value})
    return recipe.model_copy(update=sections)


def tokens_per_second(recipe: TrainingRecipe, inputs: RunInputs, device: torch.device) -> float:
    """Measure forward and backward passes of one micro-batch; the first one warms up and does not count."""
    model = first_model(recipe, inputs.tokenizer).to(device)
    if recipe.adapter is not None:
        add_adapters(model, rank=recipe.adapter.rank, alpha=recipe.adapter.alpha)
    module = TrainingModule(model, precision=precision_of(recipe.training.precision, device))
    window = recipe.training.window_at(0)
    num_rows = recipe.training.tokens_per_step // window
    rows = BatchStream(chunks_of(recipe, inputs)).next_batch(
        min(num_rows, recipe.training.rows_per_micro_batch or num_rows), window
    )
    batch = to_device(rows, device)
    fastest = math.inf
    for is_warm in (False, True, True):
        started = time.perf_counter()
        loss, num_targets = module(batch)
        torch.autograd.backward(loss / num_targets)
        float(loss.detach())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if is_warm:
            fastest = min(fastest, time.perf_counter() - started)
    return int((rows.segment_ids >= 0).sum()) / fastest
