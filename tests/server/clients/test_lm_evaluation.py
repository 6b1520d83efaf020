"""lm-evaluation-harness, `local-completions`: single-line infilling, and log-likelihoods by our tokenizer."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(400)]

LINES = [
    ("def add(a, b):\n    return a + ", "b", "\n"),
    ("import os\n\n\ndef size(path):\n    return os.path.", "getsize(path)", "\n"),
    ("for i in range(", "10", "):\n    print(i)\n"),
]
INFILLING = """
task: single_line_infilling
dataset_path: json
dataset_kwargs: {data_files: ROWS}
test_split: train
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: "{{line}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 24, temperature: 0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
LIKELIHOODS = """
task: likelier_line
dataset_path: json
dataset_kwargs: {data_files: ROWS}
test_split: train
output_type: multiple_choice
doc_to_text: "{{prefix}}"
doc_to_choice: "{{choices}}"
doc_to_target: 0
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def evaluate(python: Path, folder: Path, task: str, definition: str, options: str) -> dict[str, Any]:
    """Run the harness on one task, and return the task's results."""
    rows = [
        {
            "prompt": f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
            "line": line,
            "prefix": prefix,
            "choices": [line, "lambda: ]]]"],
        }
        for prefix, line, suffix in LINES
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "task.yaml").write_text(definition.replace("ROWS", str(folder / "rows.jsonl")))
    command: list[str | Path] = [
        python.parent / "lm_eval",
        *("--model", "local-completions", "--model_args", options, "--tasks", task),
        *("--include_path", folder, "--output_path", folder / "out"),
    ]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OPENAI_API_KEY": "none",
        "HF_HOME": str(folder),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=380, check=False, env={**os.environ, **offline}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (written,) = (folder / "out").rglob("results*.json")
    results: dict[str, Any] = json.loads(written.read_text())["results"][task]
    return results


def test_single_lines_are_infilled(python: Path, server: Any, tmp_path: Path) -> None:
    options = (
        f"model=qwen2.5-coder:incoder,base_url={server.url}/v1/completions,tokenizer_backend=None,"
        "tokenized_requests=False"
    )
    results = evaluate(python, tmp_path, "single_line_infilling", INFILLING, options)
    assert results["exact_match,none"] > 0


def test_log_likelihoods_come_from_echoed_prompts(python: Path, server: Any, tmp_path: Path) -> None:
    options = f"model=mini,base_url={server.url}/v1/completions,tokenizer_backend=remote"
    results = evaluate(python, tmp_path, "likelier_line", LIKELIHOODS, options)
    assert results["acc,none"] == 1
