"""A corpus from its recipe: sources → input shards → documents and their signatures → duplicates → splits.

There are three stages, each of tasks that any number of workers share. The first reads, filters and redacts
every input shard; the second searches all signatures for duplicates; the third writes the documents that are
kept. One process has the list of projects in memory, and each worker one row group. The same recipe and input
give the same bytes, on any executor and after any number of kills.
"""

import copy
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from incoder.config import save_recipe
from incoder.corpus.decontamination.benchmarks import BenchmarkTasks
from incoder.corpus.decontamination.held_out import HeldOutCode, HeldOutProjects
from incoder.corpus.drops import DROPS, KeptDrops, write_drops
from incoder.corpus.engine.running import have_done_again, run_stage
from incoder.corpus.engine.stage import OnProgress, Stage
from incoder.corpus.engine.work_folder import link_or_copy, load, run_folder, save, work_folder
from incoder.corpus.output_checks import refuse_other_settings, refuse_source_as_output
from incoder.corpus.recipe import NOT_IN_THE_CORPUS, RECIPE, CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.input_shard import FilesShard
from incoder.corpus.sources.listing import list_input_shards
from incoder.corpus.splits import SPLITS, TRAIN, Division, division_of, validation_names
from incoder.corpus.stages.find_duplicates import EXACT, NEAR, FindDuplicates, FindNearDuplicates, clusters_of
from incoder.corpus.stages.read import Read, ReadResult
from incoder.corpus.stages.run_paths import (
    damaged_file,
    decisions_file,
    documents_file,
    drops_file,
    read_report_file,
    shard_file,
    write_report_file,
    written_file,
)
from incoder.corpus.stages.write import REASONS, Decisions, Write, WriteResult
from incoder.corpus.storage.commit import committed_together, names_written
from incoder.corpus.storage.documents import MANIFEST, DocumentFile, documents_name
from incoder.corpus.text.stars import FoundStars, StarBins
from incoder.corpus.work_fingerprint import WorkFingerprint
from incoder.errors import IncoderError
from incoder.files import sha256_of
from incoder.output_folder import refuse_foreign

_WRITTEN = (MANIFEST, RECIPE, DROPS, *(f"{split}*.parquet" for split in SPLITS))
_GROUPED = "grouped"  # records that sources regroup on disk
_LISTED = "listed"  # input shards, until their run is known
_MAX_ATTEMPTS = 3  # if files in .work turn out to be damaged
_BY_FILES = (
    "there are too few projects to hold out whole ones: validation has groups of files instead, so its loss "
    "is measured on projects that training sees, too"
)
_PARTITION_BYTES = 8_000_000_000  # of input; its signatures are some 40 MB
_FILE_CHARACTERS = 256_000_000  # of the documents in one file of the corpus, duplicates included


def build_corpus(
    recipe: CorpusRecipe, output: Path, on_progress: OnProgress | None = None, *, keeps_drops: bool = False
) -> Report:
    """Write the documents of each split, `recipe.toml` and, last, `report.json` into the folder `output`.

    Until it is done, only `.work` changes in that folder. After an interruption the next call continues from
    there, unless the recipe or a source has changed. `on_progress` gets the stage, the bytes that all workers
    have done of it, and its total. With `keeps_drops`, `drops.parquet` names every file that was left out.

    Raises:
        IncoderError: a source is missing, or went away; no document is left; a task failed; or the output
            cannot be written, holds a corpus of other settings or foreign files that would be replaced, or
            is, contains or is inside a source.
    """
    refuse_source_as_output(recipe, output)
    BenchmarkTasks(recipe.decontamination)  # these raise now, not in a worker
    HeldOutProjects(recipe.decontamination)
    if recipe.decontamination.held_out_code:
        HeldOutCode(recipe.decontamination.held_out_code, recipe.deduplication.near_threshold)
    try:
        with work_folder(output) as work:
            refuse_foreign(output, _WRITTEN, names_written(output, MANIFEST, work))
            refuse_other_settings(recipe, output)
            report = _Build(recipe, output, work, on_progress, keeps_drops).run()
    except OSError as error:
        raise IncoderError(
            f"cannot write into {output}: {error.strerror or error}; the work so far is kept there"
        ) from error
    if report.num_documents == 0:
        raise IncoderError(_nothing_left(report))
    return report


class _Build:
    """One build: its stages, one after the other."""

    def __init__(
        self,
        recipe: CorpusRecipe,
        output: Path,
        work: Path,
        on_progress: OnProgress | None,
        keeps_drops: bool,
    ) -> None:
        self._recipe, self._output, self._work = recipe, output, work
        self._on_progress, self._keeps_drops = on_progress, keeps_drops
        self._drops = KeptDrops(keeps_drops)
        self._report = self._drops.report

    def run(self) -> Report:
        task_bytes = self._list()
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            report = copy.deepcopy(self._report)  # each attempt counts anew
            try:
                num_files = self._run_stages(report, task_bytes)
                if report.num_documents:
                    self._assemble(report, num_files)
            except IncoderError:
                if attempt == _MAX_ATTEMPTS or not self._mend():
                    raise
            else:
                break
        return report

    def _list(self) -> list[int]:
        """Save the input shards for the workers; return the bytes of each."""
        listed = self._work / _LISTED
        shutil.rmtree(listed, ignore_errors=True)  # of a run that was killed
        fingerprint = WorkFingerprint(self._recipe, self._keeps_drops)
        task_bytes, names = list[int](), set[str]()
        are_projects_known = True
        for number, shard in enumerate(
            list_input_shards(self._recipe, self._work / _GROUPED, self._drops.on_drop)
        ):
            if isinstance(shard, FilesShard):
                for file in shard.files:
                    self._report.add_project(file)
                    names.add(file.project)
            else:
                are_projects_known = False
            fingerprint.add(shard)
            save(shard, shard_file(listed, number))
            task_bytes.append(shard.num_bytes)
        if are_projects_known and task_bytes:
            validation_names(names, self._recipe)  # raises now, before the long stages
        self._run = run_folder(self._work, fingerprint.hexdigest())
        if task_bytes:
            shards = shard_file(self._run, 0).parent
            shutil.rmtree(shards, ignore_errors=True)
            shard_file(listed, 0).parent.replace(shards)
        self._drops.save(drops_file(self._run, "list", 0))
        return task_bytes

    def _run_stages(self, report: Report, task_bytes: Sequence[int]) -> int:
        """Run all stages; return the number of files of each split from which the corpus is assembled."""
        recipe, run = self._recipe, self._run
        num_partitions = 1
        if recipe.deduplication.method == "exact":
            num_partitions += sum(task_bytes) // _PARTITION_BYTES
        read = Read(run, recipe, num_partitions, self._keeps_drops)
        self._run_stage(Stage("read", read, task_bytes, read.is_whole, read.give_up))
        num_characters, of_projects, stars = list[int](), Counter[str](), list[FoundStars]()
        for shard in range(len(task_bytes)):
            result: ReadResult = load(read_report_file(run, shard))
            report.merge(result.report)
            num_characters.append(result.num_characters.total())
            of_projects += result.num_characters
            stars.append(result.stars)
        searches = self._find_duplicates(len(task_bytes), num_partitions)
        for search, partitions in searches.items():
            report.clusters[REASONS[search]] = clusters_of(run, search, partitions)
        division = division_of(of_projects, lambda: _paths_of(run, len(task_bytes)), recipe)
        if division.by_files and recipe.hold_out == "projects":
            report.notes.append(_BY_FILES)
        decisions = Decisions(division, searches, StarBins.of(stars, recipe.attributes, recipe.seed))
        save(decisions, decisions_file(run))
        groups = _groups(num_characters)
        sizes = [sum(num_characters[shard] for shard in group) for group in groups]
        write = Write(run, groups, self._keeps_drops)
        self._run_stage(Stage("write", write, sizes, write.is_whole))
        self._count_written(report, len(groups), division)
        return len(groups)

    def _count_written(self, report: Report, num_files: int, division: Division) -> None:
        num_documents, num_bytes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for group in range(num_files):
            written: WriteResult = load(write_report_file(self._run, group))
            report.merge(written.report)
            num_documents += written.num_documents
            num_bytes.update(written.num_bytes)
        for (split, project), number in sorted(num_documents.items()):
            report.add_kept(project, split, number, num_bytes[split, project])
        report.set_splits(lambda project: "" if division.by_files else division.split_of(project, ""))
        if report.num_documents and not report.num_documents_of(TRAIN) and self._recipe.validation_projects:
            raise IncoderError("validation_projects name all projects, and leave none to train on")

    def _find_duplicates(self, num_shards: int, num_partitions: int) -> dict[str, int]:
        """Run the searches that the recipe asks for; return the number of partitions of each."""
        if not self._recipe.deduplicate:
            return {}
        settings = self._recipe.deduplication
        exact = FindDuplicates(self._run, num_shards, num_partitions, settings)
        self._run_stage(Stage("find-duplicates", exact, [1] * num_partitions, exact.is_whole))
        if not settings.near:
            return {EXACT: num_partitions}
        near = FindNearDuplicates(self._run, num_shards, num_partitions, settings)
        self._run_stage(Stage("find-near-duplicates", near, [1], near.is_whole))
        return {EXACT: num_partitions, NEAR: 1}

    def _run_stage(self, stage: Stage) -> None:
        """Do the tasks of a stage that are not done yet, and once more those whose files are damaged."""
        run_stage(stage, self._run, self._recipe.engine, self._on_progress)
        if damaged := stage.damaged_tasks():
            have_done_again(stage.name, self._run, damaged)
            run_stage(stage, self._run, self._recipe.engine, self._on_progress)

    def _mend(self) -> bool:
        """Schedule the tasks whose files a failed attempt found damaged; return whether there are any."""
        folder = damaged_file(self._run, 0).parent
        damaged = [int(path.name) for path in folder.iterdir()] if folder.is_dir() else []
        shutil.rmtree(folder, ignore_errors=True)
        have_done_again("read", self._run, damaged)
        return bool(damaged)

    def _assemble(self, report: Report, num_files: int) -> None:
        sha256 = dict[str, str]()
        with committed_together(self._output, MANIFEST, self._work) as folder:
            for group in range(num_files):
                result: WriteResult = load(write_report_file(self._run, group))
                for split in SPLITS:
                    name = documents_name(split, group, num_files)
                    link_or_copy(written_file(self._run, group, split), folder / name)
                    sha256[name] = result.sha256[split]
            if self._keeps_drops:
                write_drops(self._kept_drops(num_files), folder / DROPS)
                sha256[DROPS] = sha256_of(folder / DROPS)
            save_recipe(self._recipe, folder / RECIPE, without=NOT_IN_THE_CORPUS)
            sha256[RECIPE] = sha256_of(folder / RECIPE)
            content = json.dumps(
                report.as_dict(SPLITS, dict(sorted(sha256.items()))), indent=1, ensure_ascii=False
            )
            (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")

    def _kept_drops(self, num_files: int) -> Iterator[Path]:
        yield drops_file(self._run, "list", 0)
        yield from sorted(drops_file(self._run, "read", 0).parent.iterdir())
        for group in range(num_files):
            yield drops_file(self._run, "write", group)


def _paths_of(run: Path, num_shards: int) -> Iterator[str]:
    for shard in range(num_shards):
        with DocumentFile(documents_file(run, shard)) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, ["path"]).column("path").to_pylist()


def _groups(num_characters: Sequence[int]) -> tuple[range, ...]:
    """Consecutive shards, grouped into one output file each; at least one group, which may be empty."""
    groups, start, total = list[range](), 0, 0
    for shard, size in enumerate(num_characters):
        if total and total + size > _FILE_CHARACTERS:
            groups.append(range(start, shard))
            start, total = shard, 0
        total += size
    return (*groups, range(start, len(num_characters)))


def _nothing_left(report: Report) -> str:
    reasons = [f"{count.num_files} {reason}" for reason, count in sorted(report.dropped.items())]
    reasons += [f"{dropped.project}: {dropped.reason}" for dropped in report.dropped_projects[:5]]
    found = "; ".join(reasons) or "the sources hold no file with one of the recipe's extensions"
    others = [
        f"{project}: {', '.join(f'{extension} {number}' for extension, number in extensions.most_common(5))}"
        for project, extensions in sorted(report.other_files.items())[:5]
    ]
    languages = f"; files of languages that the recipe does not name: {'; '.join(others)}" if others else ""
    return f"no document survived: {found}{languages}"
