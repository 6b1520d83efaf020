"""A corpus from its recipe: sources → input shards → documents and their signatures → duplicates → splits.

Three stages, each of tasks that any number of workers share: every input shard is read, filtered and
redacted; duplicates are searched for among the signatures of all; the documents that stay are written. In
memory are the list of files and the projects in one process, and in each worker one row group. The same
recipe and input give the same bytes, whatever runs the tasks and however often it was killed.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Sequence
from pathlib import Path

from incoder.config import save_recipe
from incoder.corpus.decontamination.benchmarks import BenchmarkTasks
from incoder.corpus.engine.running import run_stage
from incoder.corpus.engine.stage import OnProgress, Stage
from incoder.corpus.engine.work_folder import load, run_folder, save, work_folder
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.input_shard import FilesShard, InputShard
from incoder.corpus.sources.listing import list_input_shards, source_paths
from incoder.corpus.splits import SPLITS, validation_names
from incoder.corpus.stages.find_duplicates import EXACT, NEAR, FindDuplicates, FindNearDuplicates, clusters_of
from incoder.corpus.stages.read import Read, ReadResult
from incoder.corpus.stages.run_paths import (
    decisions_file,
    read_report_file,
    shard_file,
    write_report_file,
    written_file,
)
from incoder.corpus.stages.write import REASONS, Decisions, Write, WriteResult
from incoder.corpus.storage.commit import committed_together, names_written
from incoder.corpus.storage.documents import MANIFEST, documents_name
from incoder.corpus.text.stars import FoundStars, StarBins
from incoder.errors import IncoderError
from incoder.files import sha256_of
from incoder.output_folder import refuse_foreign

RECIPE = "recipe.toml"
NOT_IN_THE_CORPUS = frozenset({"engine"})  # sections that say nothing of the documents

_WRITTEN = (MANIFEST, RECIPE, *(f"{split}*.parquet" for split in SPLITS))
_GROUPED = "grouped"  # what sources had to regroup on disk
_PARTITION_BYTES = 8_000_000_000  # of input; its signatures are some 40 MB
_FILE_CHARACTERS = 256_000_000  # of the documents of one file of the corpus, before duplicates go


def build_corpus(recipe: CorpusRecipe, output: Path, on_progress: OnProgress | None = None) -> Report:
    """Write the documents of each split, `recipe.toml` and, last, `report.json` into the folder `output`.

    Until it is done it changes nothing there but `.work`, from which the next call goes on where this one was
    interrupted, if neither the recipe nor the sources have changed. `on_progress` is told the stage, the
    bytes done of it, by all workers, and its bytes in all.

    Raises:
        IncoderError: a source is missing; no document is left; a task failed; or the output cannot be
        written,
            holds foreign files that would be replaced, or is, contains or lies inside a source.
    """
    _check_apart(recipe, output)
    BenchmarkTasks(recipe.decontamination)  # to complain now, not in a worker
    with work_folder(output) as work:
        refuse_foreign(output, _WRITTEN, names_written(output, MANIFEST, work))
        report = Report()
        shards = list_input_shards(recipe, work / _GROUPED, report.on_drop)
        _check_validation_projects(shards, recipe)
        for shard in shards:
            if isinstance(shard, FilesShard):
                for file in shard.files:
                    report.add_project(file)
        run = run_folder(work, _fingerprint(recipe, shards))
        for number, shard in enumerate(shards):
            save(shard, shard_file(run, number))
        task_bytes = [shard.num_bytes for shard in shards]
        del shards  # the workers have them on disk
        num_files = _run_stages(recipe, run, task_bytes, report, on_progress)
        if report.num_documents:
            _assemble(recipe, work, run, num_files, report, output)
    if report.num_documents == 0:
        raise IncoderError(_nothing_left(report))
    return report


def _run_stages(
    recipe: CorpusRecipe, run: Path, task_bytes: Sequence[int], report: Report, on_progress: OnProgress | None
) -> int:
    """Everything up to the files that the corpus is assembled from: so many of each split."""
    num_partitions = 1
    if recipe.deduplication.method == "exact":
        num_partitions += sum(task_bytes) // _PARTITION_BYTES
    read = Read(run, recipe, num_partitions)
    run_stage(Stage("read", read, task_bytes, read.give_up), run, recipe.engine, on_progress)
    num_characters, stars = list[int](), list[FoundStars]()
    for shard in range(len(task_bytes)):
        result: ReadResult = load(read_report_file(run, shard))
        report.merge(result.report)
        num_characters.append(result.num_characters)
        stars.append(result.stars)
    searches = _find_duplicates(recipe, run, len(task_bytes), num_partitions, on_progress)
    for search, partitions in searches.items():
        report.clusters[REASONS[search]] = clusters_of(run, search, partitions)
    star_bins = StarBins.of(stars, recipe.attributes, recipe.seed)
    decisions = Decisions(validation_names(report.projects, recipe), searches, star_bins)
    save(decisions, decisions_file(run))
    groups = _groups(num_characters)
    sizes = [sum(num_characters[shard] for shard in group) for group in groups]
    run_stage(Stage("write", Write(run, groups), sizes), run, recipe.engine, on_progress)
    for group in range(len(groups)):
        written: WriteResult = load(write_report_file(run, group))
        report.merge(written.report)
        for project, num_documents in written.num_documents.items():
            report.add_kept(project, num_documents, written.num_bytes[project])
    report.set_splits(decisions.split_of)
    return len(groups)


def _find_duplicates(
    recipe: CorpusRecipe, run: Path, num_shards: int, num_partitions: int, on_progress: OnProgress | None
) -> dict[str, int]:
    """Run the searches that the recipe asks for; says which, and in how many partitions."""
    if not recipe.deduplicate:
        return {}
    settings = recipe.deduplication
    exact = FindDuplicates(run, num_shards, num_partitions, settings)
    run_stage(Stage("find-duplicates", exact, [1] * num_partitions), run, recipe.engine, on_progress)
    if not settings.near:
        return {EXACT: num_partitions}
    near = FindNearDuplicates(run, num_shards, num_partitions, settings)
    run_stage(Stage("find-near-duplicates", near, [1]), run, recipe.engine, on_progress)
    return {EXACT: num_partitions, NEAR: 1}


def _assemble(
    recipe: CorpusRecipe, work: Path, run: Path, num_files: int, report: Report, output: Path
) -> None:
    sha256 = dict[str, str]()
    with committed_together(output, MANIFEST, work) as folder:
        for group in range(num_files):
            result: WriteResult = load(write_report_file(run, group))
            for split in SPLITS:
                name = documents_name(split, group, num_files)
                os.link(written_file(run, group, split), folder / name)
                sha256[name] = result.sha256[split]
        save_recipe(recipe, folder / RECIPE, without=NOT_IN_THE_CORPUS)
        sha256[RECIPE] = sha256_of(folder / RECIPE)
        content = json.dumps(
            report.as_dict(SPLITS, dict(sorted(sha256.items()))), indent=1, ensure_ascii=False
        )
        (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")


def _check_apart(recipe: CorpusRecipe, output: Path) -> None:
    """Refuse an output that is, contains or lies inside a source: the corpus could read or replace itself."""
    folder = output.resolve()
    for path in source_paths(recipe):
        source = path.resolve()
        if source == folder:
            relation = "is"
        elif source in folder.parents:
            relation = "lies inside"
        elif folder in source.parents:
            relation = "holds"
        else:
            continue
        raise IncoderError(
            f"the output {output} {relation} the source {path}, so that the corpus could read or replace "
            "itself; name an --output apart from all sources"
        )


def _groups(num_characters: Sequence[int]) -> tuple[range, ...]:
    """Successive shards that make one file together; at least one group, also of nothing."""
    groups, start, total = list[range](), 0, 0
    for shard, size in enumerate(num_characters):
        if total and total + size > _FILE_CHARACTERS:
            groups.append(range(start, shard))
            start, total = shard, 0
        total += size
    return (*groups, range(start, len(num_characters)))


def _check_validation_projects(shards: Sequence[InputShard], recipe: CorpusRecipe) -> None:
    """Complain of them at once where all projects are known before anything is read."""
    if all(isinstance(shard, FilesShard) for shard in shards):
        files = (file for shard in shards if isinstance(shard, FilesShard) for file in shard.files)
        validation_names((file.project for file in files), recipe)


def _fingerprint(recipe: CorpusRecipe, shards: Sequence[InputShard]) -> str:
    """Equal for runs that go on with each other's work: same recipe, same files as far as dates tell."""
    parts = [
        recipe.model_dump_json(exclude=set(NOT_IN_THE_CORPUS)),
        importlib.metadata.version("incoder"),
    ]
    digest = hashlib.sha256("\n".join(parts).encode())
    paths = [*recipe.decontamination.repositories, *recipe.decontamination.benchmarks]
    for shard in shards:
        digest.update(repr((shard.name, shard.num_bytes)).encode())
        paths += shard.paths
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # reading it will say what is wrong
        digest.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def _nothing_left(report: Report) -> str:
    reasons = [f"{count.num_files} {reason}" for reason, count in sorted(report.dropped.items())]
    reasons += [f"{dropped.project}: {dropped.reason}" for dropped in report.dropped_projects[:5]]
    found = "; ".join(reasons) or "the sources hold no file with one of the recipe's extensions"
    return f"no document survived: {found}"
