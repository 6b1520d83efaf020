"""Token shards from a corpus: a stage of tasks that any number of workers share, then joined in order.

The same corpus and tokenizer give the same bytes, with any number of workers and after any number of kills.
Until the shards are joined, their tokens are on disk twice.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from incoder.config import load_recipe
from incoder.corpus.engine.engine_settings import EngineSettings
from incoder.corpus.engine.running import have_done_again, run_stage
from incoder.corpus.engine.stage import OnProgress, Stage
from incoder.corpus.engine.work_folder import run_folder, save, work_folder
from incoder.corpus.recipe import RECIPE, CorpusRecipe
from incoder.corpus.report import check_corpus
from incoder.corpus.splits import SPLITS
from incoder.corpus.stages.encode import Encode, Encoder, RowGroups
from incoder.corpus.stages.run_paths import encoded_name, encoder_file
from incoder.corpus.storage.commit import committed_together, names_written
from incoder.corpus.storage.documents import MANIFEST, DocumentFile, documents_files
from incoder.corpus.storage.token_shards import META, TokenShardWriter, shard_names, write_meta
from incoder.files import sha256_of
from incoder.output_folder import refuse_foreign

_TASK_BYTES = 64_000_000  # of documents: some seconds, much longer than the start of a process


def encode_corpus(
    corpus: Path,
    encoder: Encoder,
    output: Path,
    engine: EngineSettings = EngineSettings(),  # noqa: B008 - frozen
    on_progress: OnProgress | None = None,
) -> None:
    """Encode every split of a corpus into shards in the folder `output`.

    Until it is done, only `.work` changes in that folder. After an interruption the next call continues from
    there, unless the corpus or the tokenizer has changed. `on_progress` gets the stage, the bytes that all
    workers have done of it, and its total.

    Raises:
        IncoderError: there is no finished corpus, a file of it was changed, a task failed, or the folder
            cannot be written or holds foreign files that would be replaced.
    """
    check_corpus(corpus)
    seed = load_recipe(CorpusRecipe, corpus / RECIPE).seed
    dtype = np.dtype("<u2" if encoder.vocab_size <= 1 << 16 else "<u4")
    meta: dict[str, Any] = {
        "dtype": dtype.name,
        "vocab_size": encoder.vocab_size,
        "tokenizer_fingerprint": encoder.fingerprint,
        "report_sha256": sha256_of(corpus / MANIFEST),
    }
    with work_folder(output) as work:
        refuse_foreign(output, (META, *shard_names()), names_written(output, META, work))
        run = run_folder(work, _fingerprint(meta))
        save(encoder, encoder_file(run))
        inputs = tuple(_inputs(corpus.resolve()))
        encode = Encode(run, inputs, seed, dtype.str)
        stage = Stage("encode", encode, [one.num_bytes for one in inputs], encode.is_whole)
        run_stage(stage, run, engine, on_progress)
        if damaged := stage.damaged_tasks():
            have_done_again(stage.name, run, damaged)
            run_stage(stage, run, engine, on_progress)
        with committed_together(output, META, work) as folder:
            meta["splits"] = {}
            for split in SPLITS:
                with TokenShardWriter(folder, split, dtype) as writer:
                    for task, one in enumerate(inputs):
                        if one.split == split:
                            writer.append(*encoded_name(run, task))
                meta["splits"][split] = writer.counts()
            write_meta(folder, meta)


def _inputs(corpus: Path) -> Iterator[RowGroups]:
    """The row groups of each file, cut into tasks."""
    for split in SPLITS:
        for path in documents_files(corpus, split):
            with DocumentFile(path) as file:
                sizes = [file.group_num_bytes(group) for group in range(file.num_row_groups)]
            start = total = 0
            for group, size in enumerate(sizes, start=1):
                total += size
                if total >= _TASK_BYTES or group == len(sizes):
                    yield RowGroups(split, path, range(start, group), total)
                    start, total = group, 0


def _fingerprint(meta: dict[str, Any]) -> str:
    """A fingerprint that is equal for runs that continue each other's work."""
    parts = [json.dumps(meta, sort_keys=True), importlib.metadata.version("incoder")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
