"""Other programs show a model the prompts on which it was trained."""

from pathlib import Path
from typing import Any

import pytest
import tokenizers

from incoder.evaluation.benchmark import INFILL
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.tags import opening_tag
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

HARNESS = Path(__file__).parents[2] / "integrations/lm-evaluation-harness"
ROW = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "double",
    "prompt": "def double(x):\n",
    "suffix": "    return y\n",
    "canonical_solution": "    y = x + x\n",
    "test": "",
}


@pytest.fixture
def task() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    content = (HARNESS / "incoder_humaneval_single_line.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(content)
    return loaded


def test_the_harness_shows_a_task_as_the_infilling_format_does(
    task: dict[str, Any], tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    jinja2 = pytest.importorskip("jinja2")
    shown = jinja2.Template(task["doc_to_text"], keep_trailing_newline=True).render(ROW)
    tiny_tokenizer.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    read = BENCHMARKS["humaneval-single-line"].read(ROW, 1)
    assert read is not None
    prefix, suffix = read.prompt_for(INFILL).parts
    layout = CausalMaskingFormat(tiny_tokenizer)
    header = opening_tag("file", {"ext": ".py"}) + "\n"
    parts = [tiny_tokenizer.encode_start(header + prefix), tiny_tokenizer.encode(suffix)]
    ours = layout.prompt(parts) + layout.hole_start(0)
    bos = ours[:1]
    assert bos + theirs.encode(shown, add_special_tokens=False).ids == ours
    assert task["generation_kwargs"]["until"] == [theirs.id_to_token(layout.end_of_infill_id)]


def test_the_harness_asks_for_as_many_tokens_as_we_do(task: dict[str, Any]) -> None:
    benchmark = BENCHMARKS["humaneval-single-line"]
    assert task["generation_kwargs"]["max_gen_toks"] == benchmark.max_new_tokens
    assert task["dataset_kwargs"]["data_files"]["test"] == benchmark.file_name
