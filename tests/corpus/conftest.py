"""A small world of source files, and a recipe for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from incoder.corpus import encoding
from incoder.corpus.engine.stage import Stage
from incoder.corpus.recipe import CorpusRecipe

MIT = """MIT License

Copyright (c) 2024 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND.
"""

WriteFiles = Callable[[Mapping[str, str | bytes]], Path]
MakeRecipe = Callable[..., CorpusRecipe]


@pytest.fixture
def mit_licence() -> str:
    """The licence in its own words, without the rest of its disclaimer."""
    return MIT


@pytest.fixture
def write_files(tmp_path: Path) -> WriteFiles:
    """Write files below a folder `source` and return that folder."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "source"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture
def recipe(tmp_path: Path) -> MakeRecipe:
    """A recipe over the folder `source`, its entries being the projects, with some settings replaced."""

    def make(**settings: Any) -> CorpusRecipe:
        source = {"kind": "folder", "path": str(tmp_path / "source"), "projects": "entries"}
        values = {"sources": [source], "validation_fraction": 0.0, **settings}
        return CorpusRecipe.model_validate(values)

    return make


@pytest.fixture
def encode_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode in this process, with encoders that no other could import; test_resuming.py has workers."""

    def run_stage(stage: Stage, *_: object) -> None:
        for task in range(len(stage.task_bytes)):
            stage.work(task, lambda _: None)

    monkeypatch.setattr(encoding, "run_stage", run_stage)
