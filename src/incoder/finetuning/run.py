"""A fine-tuning run, from folders of code to an adapter with a page that says what it gained.

The steps: a corpus of the user's code, holes in its held-out files, the base model judged on them, training,
the fine-tuned model judged on the same holes. Each step leaves its files in the run's folder and is not done
again, so a run that was stopped or killed goes on where it was:

    finetune.toml  train.toml      the settings, and the training recipe that follows from them
    corpus/  holes/                the code that was read, and the held-out lines
    before/  after/                the judgements; forgotten-before/ and -after/ are of HumanEval
    run/                           the training run: checkpoints, metrics
    adapter/ or model/             the result with its model card
    report.md  report.png          what it gained
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from incoder.config import load_recipe, save_recipe
from incoder.corpus.engine.stage import OnProgress as OnStage
from incoder.corpus.engine.work_folder import link_or_copy
from incoder.corpus.report import read_report
from incoder.errors import IncoderError
from incoder.evaluation.benchmark import Benchmark, Task
from incoder.evaluation.benchmark_files import find, load_tasks
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import check_sandbox
from incoder.evaluation.run import Environment, checkpoint_fingerprint
from incoder.files import make_folder, sha256_of, write_bytes, write_text
from incoder.finetuning.card import model_card
from incoder.finetuning.comparison import Measure, compare, rate
from incoder.finetuning.figure import draw
from incoder.finetuning.holes import (
    BENCHMARK,
    MIN_HOLES,
    choosing_documents,
    few_holes,
    held_out_rows,
    held_out_tasks,
)
from incoder.finetuning.judging import JudgedModel, Judgement, OnProgress, judge
from incoder.finetuning.own_corpus import build_own_corpus, encode_own_corpus
from incoder.finetuning.report import Example, Facts, page
from incoder.finetuning.settings import CORPUS, FineTuning, begin
from incoder.finetuning.training_recipe import FILE as TRAINING_RECIPE
from incoder.finetuning.training_recipe import training_recipe, with_length
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.models.catalogue import find_model
from incoder.inference.models.loading import load
from incoder.model.adapters import ADAPTER_WEIGHTS
from incoder.model.device import choose_device
from incoder.output_folder import json_of
from incoder.tokenizer.corpus_encoder import encoder_of
from incoder.tokenizer.formats import read_training_tokenizer, training_formats
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.inputs import RunInputs
from incoder.training.lock import locked
from incoder.training.loop import StepReport, TrainingResult, train
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe
from incoder.training.start_masking import masking_of, with_start_masking

PAGE, PICTURE = "report.md", "report.png"
_TIMES = "times.json"
_FORGOTTEN = BENCHMARKS["humaneval-single-line"]

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of a run: notes for the user, progress, and whether to stop after the present step."""

    on_note: Callable[[str], None] = lambda _: None
    on_stage: OnStage | None = None
    on_holes: OnProgress = lambda *_: None
    training: Callable[[TrainingRecipe, Path], AbstractContextManager[OnStep]] = lambda *_: nullcontext(
        lambda _: None
    )
    should_stop: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True, slots=True)
class FineTuned:
    """How a run ended: the folder of the weights, and what they gained; None if training was stopped."""

    folder: Path
    measures: tuple[Measure, ...] | None
    num_holes: int
    training: TrainingResult


def finetune(
    settings: FineTuning,
    output: Path,
    *,
    resume: bool = False,
    device: str | None = None,
    watch: Watch = Watch(),
) -> FineTuned:
    """Fine-tune a model on folders of code, and judge it before and after on held-out lines of them.

    Raises:
        IncoderError: the model cannot infill, the folders hold no code, the output has other files or a run
            of other settings, or it cannot be written. Finished steps stay for `resume`.
        StoppedError: `watch.should_stop()` became true between two holes.
    """
    base = _base_folder(settings)
    tokenizer = read_training_tokenizer(base)
    training_formats(tokenizer)  # raises now if the model cannot infill
    if settings.humaneval is not None:
        find(_FORGOTTEN, settings.humaneval)
        check_sandbox(allow_none=False)
    with locked(output):
        begin(settings, output, resume=resume)
        corpus = output / CORPUS
        is_causal = isinstance(tokenizer, Tokenizer)
        build_own_corpus(settings, corpus, writes_attributes=is_causal, on_progress=watch.on_stage)
        tokens = encode_own_corpus(corpus, encoder_of(tokenizer), watch.on_stage)
        holes = output / "holes" / BENCHMARK.file_name
        tasks = _tasks(settings, corpus, holes, watch)
        run = _Run(settings, output, base, choose_device(device), watch)
        before = run.judge(BENCHMARK, tasks, holes, "before")
        forgotten_before = run.judge_humaneval("forgotten-before")
        recipe = run.training_recipe(tokens)
        trained = run.train(recipe)
        folder = output / ("model" if settings.full else "adapter")
        if not trained.finished:
            return FineTuned(folder, None, len(tasks), trained)
        _take(trained, folder)
        after = run.judge(BENCHMARK, tasks, holes, "after", tuned=folder)
        forgotten_after = run.judge_humaneval("forgotten-after", tuned=folder)
        measures, forgotten = tuple(compare(before, after)), None
        if forgotten_before is not None and forgotten_after is not None:
            forgotten = rate("HumanEval, pass rate", forgotten_before, forgotten_after, _FORGOTTEN.headline)
        facts = run.facts(recipe, tasks, measures, forgotten, _examples(tasks, before, after))
        write_bytes(output / PICTURE, draw(measures, facts.steps, f"{settings.model} on {facts.names}"))
        write_text(output / PAGE, page(facts))
        write_text(folder / "README.md", model_card(facts, base))
        return FineTuned(folder, measures, len(tasks), trained)


class _Run:
    """The parts of a run that need a model."""

    def __init__(
        self, settings: FineTuning, output: Path, base: Path, device: torch.device, watch: Watch
    ) -> None:
        self._settings, self._output, self._base = settings, output, base
        self._device, self._watch = device, watch

    def judge(
        self, benchmark: Benchmark, tasks: list[Task], data: Path, name: str, tuned: Path | None = None
    ) -> Judgement:
        """Judge the base model, or the fine-tuned one in a folder, with results in the folder `name`."""
        with _timed(self._output, name):
            return judge(
                self._loaded(tuned),
                benchmark,
                tasks,
                data,
                self._output / name,
                with_losses=benchmark is BENCHMARK,
                on_progress=lambda _, done, total: self._watch.on_holes(name, done, total),
                should_stop=self._watch.should_stop,
            )

    def judge_humaneval(self, name: str, tuned: Path | None = None) -> Judgement | None:
        """Judge the model on HumanEval's lines, if the user named their file, to see what it forgot."""
        if self._settings.humaneval is None:
            return None
        data = find(_FORGOTTEN, self._settings.humaneval)
        tasks = load_tasks(data, _FORGOTTEN, self._settings.humaneval_limit)
        return self.judge(_FORGOTTEN, tasks, data, name, tuned)

    def training_recipe(self, tokens: Path) -> TrainingRecipe:
        """Return the recipe that the run began with, or make it and save it."""
        path = self._output / TRAINING_RECIPE
        if path.is_file():
            return load_recipe(TrainingRecipe, path)
        recipe = training_recipe(self._settings, tokens, self._base)
        if masking_of(self._base) is not None:
            recipe = with_start_masking(recipe, self._watch.on_note)
        recipe = with_length(recipe, self._settings, RunInputs.open(recipe), self._device)
        save_recipe(recipe, path)
        return recipe

    def train(self, recipe: TrainingRecipe) -> TrainingResult:
        """Do the steps that are left; documents without holes choose the weights that are kept."""
        inputs = RunInputs.open(recipe)
        choosing = choosing_documents(self._output / CORPUS, self._settings.seed)
        inputs = replace(inputs, validation=inputs.validation.only(choosing))
        with _timed(self._output, "training"), self._watch.training(recipe, self._output / "run") as on_step:
            return train(
                recipe,
                self._output / "run",
                resume=True,
                device=self._device,
                inputs=inputs,
                on_step=on_step,
                on_note=self._watch.on_note,
                should_stop=self._watch.should_stop,
            )

    def facts(
        self,
        recipe: TrainingRecipe,
        tasks: list[Task],
        measures: tuple[Measure, ...],
        forgotten: Measure | None,
        examples: list[Example],
    ) -> Facts:
        """Return what the page and the model card say of this run."""
        return Facts(
            settings=self._settings,
            recipe=recipe,
            report=read_report(self._output / CORPUS),
            num_tokens=RunInputs.open(recipe).training.num_tokens,
            num_files=len({task.problem for task in tasks}),
            num_holes=len(tasks),
            steps=read_metrics(self._output / "run" / "metrics.jsonl"),
            times=_times(self._output),
            device=self._device.type,
            measures=measures,
            forgotten=forgotten,
            examples=examples,
        )

    def _loaded(self, tuned: Path | None) -> JudgedModel:
        settings = self._settings
        identity = {"name": settings.model, "fingerprint": checkpoint_fingerprint(self._base)}
        adapter = None
        name, revision = settings.model, settings.revision
        if tuned is not None and settings.full:
            name, revision = str(tuned), None
            identity = {"name": str(tuned), "fingerprint": checkpoint_fingerprint(tuned)}
        elif tuned is not None:
            adapter = tuned
            identity |= {"adapter": tuned.name, "adapter_sha256": sha256_of(tuned / ADAPTER_WEIGHTS)}
        model = load(name, revision=revision, device=self._device, adapter=adapter)
        assert isinstance(model.language_model, TransformerModel)
        dtype = str(model.language_model.transformer.dtype).removeprefix("torch.")
        environment = Environment(model.infilling_format.name, dtype, self._device.type)
        return JudgedModel(model, identity, environment)


def _base_folder(settings: FineTuning) -> Path:
    """The folder of the base model, fetched if it is on the hub.

    Raises:
        IncoderError: there is no such model, or it is a GGUF file.
    """
    base = find_model(settings.model, settings.revision)
    if not base.is_dir():
        raise IncoderError(
            f"{base} is a GGUF file, and training needs a checkpoint folder; name the one that the file was "
            "made from"
        )
    return base


def _tasks(settings: FineTuning, corpus: Path, holes: Path, watch: Watch) -> list[Task]:
    """The held-out holes, with a warning where they are few.

    Raises:
        IncoderError: there are none, or no file is left to train on.
    """
    report = read_report(corpus)
    if not report["splits"]["train"]["num_documents"]:
        raise IncoderError(f"{_named(settings)}: no file is left to train on; name more code")
    rows = held_out_rows(corpus, num_holes=settings.num_holes, context=settings.context, seed=settings.seed)
    if not rows:
        raise IncoderError(
            f"{_named(settings)}: no hole can be held out to judge by, because there are too few files; name "
            "more code"
        )
    if len(rows) < min(MIN_HOLES, settings.num_holes):
        watch.on_note(few_holes(len(rows)))
    return held_out_tasks(holes, rows)


def _named(settings: FineTuning) -> str:
    return ", ".join(map(str, settings.folders))


def _take(trained: TrainingResult, folder: Path) -> None:
    """Make the best weights of the training run the result.

    Raises:
        IncoderError: the folder cannot be written.
    """
    assert trained.best_folder is not None
    make_folder(folder)
    try:
        for path in sorted(trained.best_folder.iterdir()):
            (folder / path.name).unlink(missing_ok=True)
            link_or_copy(path, folder / path.name)
    except OSError as error:
        raise IncoderError(f"cannot write into {folder}: {error.strerror}; go on with --resume") from error


def _examples(tasks: list[Task], before: Judgement, after: Judgement) -> list[Example]:
    """Holes of which one of the two models has the right infill."""
    was = {row["task_id"]: row["samples"][0]["completion"] for row in before.results["tasks"]}
    now = {row["task_id"]: row["samples"][0]["completion"] for row in after.results["tasks"]}
    return [
        example
        for task in tasks
        for example in [Example(task.key, task.gold, was[task.key], now[task.key])]
        if example.was_right != example.is_right
    ]


@contextmanager
def _timed(output: Path, name: str) -> Iterator[None]:
    """Add the seconds and processor seconds of a step to `times.json`; a killed process leaves none."""
    started, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        times = _times(output)
        spent = times.setdefault(name, {"elapsed_s": 0.0, "cpu_s": 0.0})
        spent["elapsed_s"] += time.monotonic() - started
        spent["cpu_s"] += time.process_time() - cpu
        write_text(output / _TIMES, json.dumps(times, indent=1) + "\n")


def _times(output: Path) -> dict[str, dict[str, float]]:
    times = json_of(output / _TIMES)
    return times if isinstance(times, dict) else {}
