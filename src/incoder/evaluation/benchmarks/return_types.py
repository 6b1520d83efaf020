"""Return types: predict the return annotation of a function (paper, section 4.4 and tables 4 and 11).

The hole is after `-> `, in code without its other annotations. A prediction ends at the colon. It is right if
it is the same expression as the annotation after both are parsed and unparsed: quotes and white space do not
matter, but `Optional[str]` and `Union[None, str]` differ.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.evaluation.benchmark import Benchmark, Prompt
from incoder.evaluation.benchmark_row import ProjectRow, reader


@dataclass(frozen=True, slots=True)
class ReturnType(ProjectRow):
    """A row of the file.

    `prefix` ends with `-> `, and `suffix` begins with the colon that ends the signature. `returns_value` says
    that a `return` of the function has a value other than None; the rate `accuracy_none_rule` predicts None
    for all other functions.
    """

    prefix: str
    suffix: str
    return_type: str
    returns_value: bool

    @property
    def gold(self) -> str:
        return self.return_type

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prefix, self.suffix), stop=(":", "\n"))

    def completion(self, infills: Sequence[str], method: str) -> str:
        del method
        return infills[0].partition(":")[0].strip()

    def rates(self, completion: str) -> Mapping[str, float | None]:
        gold, is_none = normalised(self.return_type), self.return_type.strip() == "None"
        is_right = normalised(completion) == gold
        return {
            "accuracy": float(is_right),
            "accuracy_not_none": None if is_none else float(is_right),
            "accuracy_none_rule": float(is_right if self.returns_value else is_none),
        }


def normalised(annotation: str) -> str | None:
    """The annotation as `ast.unparse` writes it; None, which equals no annotation, if it does not parse.

    >>> normalised("dict[ str,int ]")
    'dict[str, int]'
    """
    try:
        return ast.unparse(ast.parse(annotation.strip(), mode="eval"))
    except (SyntaxError, ValueError):
        return None


BENCHMARKS = (
    Benchmark(
        "return-types",
        "Give the return type of a function whose annotations were taken out.",
        read=reader(ReturnType),
        file_name="return-types.jsonl",
        origin="incoder eval build return-types",
        headline="accuracy",
        others=("accuracy_not_none", "accuracy_none_rule"),
        max_new_tokens=32,
        rank_by="mean",
    ),
)
