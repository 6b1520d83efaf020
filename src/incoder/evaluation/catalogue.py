"""All benchmarks, by name."""

from incoder.evaluation.benchmark import Benchmark
from incoder.evaluation.benchmarks import (
    bug_fixing,
    cloze,
    docstrings,
    humaneval,
    humaneval_infilling,
    mbpp,
    own_code,
    return_types,
    safim,
    santacoder_fim,
    variable_names,
)

_FILES = (
    humaneval_infilling,
    humaneval,
    mbpp,
    bug_fixing,
    docstrings,
    return_types,
    variable_names,
    cloze,
    safim,
    santacoder_fim,
    own_code,
)
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for file in _FILES for benchmark in file.BENCHMARKS
}
