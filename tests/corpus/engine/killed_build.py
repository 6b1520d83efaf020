"""A build, and an encoding, as programs that note their tasks and kill themselves where they are told to.

Their workers import this file by its name, so the folder that it is in must be on the path.
"""

import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from incoder.corpus import build, encoding
from incoder.corpus.engine import running
from incoder.corpus.engine.engine_settings import EngineSettings
from incoder.corpus.engine.stage import OnBytes, Stage, Work
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources import input_shard as shards

RUN_STAGE = running.run_stage
LINK = os.link


@dataclass(frozen=True)
class Noted:
    """Does the work, having noted it; kills the build before or after a certain task, or its own process."""

    work: Work
    stage: str
    notes: Path
    deadly: str

    def __call__(self, task: int, on_bytes: OnBytes) -> None:
        with self.notes.open("a") as file:
            file.write(f"{self.stage} {task}\n")
        if self.deadly == f"in {self.stage} {task}":
            os.kill(os.getpid(), signal.SIGKILL)
        self._kill_build(f"before {self.stage} {task}")
        self.work(task, on_bytes)
        self._kill_build(f"after {self.stage} {task}")

    def _kill_build(self, moment: str) -> None:
        if self.deadly == moment:
            parent = multiprocessing.parent_process()
            assert parent is not None
            assert parent.pid is not None
            os.kill(parent.pid, signal.SIGKILL)
            parent.join()


def hurry_and_cut_finely() -> None:
    """Ask Slurm without a pause, and make even a small input several shards, parts and files."""
    running._SECONDS_BETWEEN_QUESTIONS = 0.1
    shards._SHARD_FILES = 8
    build._PARTITION_BYTES = 2000
    build._FILE_CHARACTERS = 200


@dataclass(frozen=True)
class ByteEncoder:
    """One id for each byte, after four special ones."""

    vocab_size: int = 260
    fingerprint: str = "bytes"
    document_start_ids: tuple[int, ...] = (2,)

    def encode(self, text: str) -> list[int]:
        return [byte + 4 for byte in text.encode()]


def encode(corpus: str, output: str, notes: str, workers: str, deadly: str) -> None:
    def run_stage(stage: Stage, *arguments: Any) -> None:
        RUN_STAGE(replace(stage, work=Noted(stage.work, stage.name, Path(notes), deadly)), *arguments)

    vars(encoding)["run_stage"] = run_stage
    encoding.encode_corpus(Path(corpus), ByteEncoder(), Path(output), EngineSettings(workers=int(workers)))


def main(source: str, output: str, notes: str, executor: str, workers: str, deadly: str) -> None:
    hurry_and_cut_finely()

    def run_stage(stage: Stage, *arguments: Any) -> None:
        noted = Noted(stage.work, stage.name, Path(notes), deadly)
        RUN_STAGE(replace(stage, work=noted), *arguments)

    def link(one: Path, other: Path) -> None:
        if deadly == f"at {other.name}":
            os.kill(os.getpid(), signal.SIGKILL)
        LINK(one, other)

    vars(build)["run_stage"] = run_stage
    os.link = link  # type: ignore[assignment]
    values = {
        "sources": [{"kind": "folder", "path": source, "projects": "entries"}],
        "validation_fraction": 0.3,
        "deduplication": {"near": True},
        "engine": {"executor": executor, "workers": int(workers)},
    }
    build.build_corpus(CorpusRecipe.model_validate(values), Path(output))
