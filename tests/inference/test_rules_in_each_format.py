"""The rules for infills act alike in every infilling format, with a model of scripted answers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from incoder.inference.infill_model import InfillModel
from incoder.request import InfillRequest
from incoder.request_settings import ALL_STOPPING_RULES, StoppingRule
from incoder.results import TextPiece
from incoder.tokenizer.formats import choose_format, read_tokenizer
from incoder.tokenizer.text_tokenizer import TextTokenizer
from incoder.tokenizer.tokenizer import Tokenizer

FORMATS = (
    *("causal-masking", "codellama", "codellama-spm", "deepseek-coder", "qwen2.5-coder", "starcoder"),
    *("starcoder-spm", "mellum", "seed-coder", "codestral"),
)


class Case(NamedTuple):
    """A hole, what the model would write there, the best first, and what the rules leave of it."""

    rule: StoppingRule
    prefix: str
    answers: Sequence[str]
    suffix: str
    expected: str
    path: str = "a.py"


CASES = (
    Case("blanks", 'def f():\n    """', ["", "Do it."], '"""\n    return 1\n', "Do it."),
    Case("blanks", "x = ", ["", "1"], " + 2\n", "1"),
    Case("blanks", "f(a, ", [")", "b"], ")\n", "b"),
    Case("blanks", "f(", [""], ")\n", ""),
    Case("blanks", "a = 1\n", [""], "\nb = 2\n", ""),
    Case("openers", "x = 1\n", ["y = 2\n", "for i in x:\n"], "    y = i\n", "for i in x:\n"),
    Case("openers", "x = 1\n", ["x = 2\nif x:\n"], "    y = i\n", "x = 2\nif x:\n"),
    Case("openers", "a();\n", ["b();\n", "b();\nif (c) {\n"], "    d();\n}\n", "b();\nif (c) {\n", "a.js"),
    Case("rest", "x = f(", ["a, b)"], ", b)\n", "a"),
    Case("rest", "self.co", ["ntext = context\n"], "xt\n", "ntext = conte"),
    Case("lines", "x = ", ["1\ny = 2"], " + 3\n", "1"),
    Case("lines", "x = f(", ["1,\n2"], ")\n", "1,\n2"),
)
# "ends" compares whole texts left to right, of which a script knows nothing.
RULES = tuple(rule for rule in ALL_STOPPING_RULES if rule != "ends")
each_format = pytest.mark.parametrize("format_name", FORMATS)
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{case.expected!r}" for case in CASES])


@pytest.fixture(scope="session")
def tokenizer_of(
    tiny_tokenizer: Tokenizer, family_tokenizers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TextTokenizer]:
    """The tokenizer of a format's family, read once each."""
    found: dict[str, TextTokenizer] = {"causal-masking": tiny_tokenizer}

    def read(format_name: str) -> TextTokenizer:
        family = format_name.removesuffix("-spm")
        if family not in found:
            folder: Path = tmp_path_factory.mktemp("tokenizer")
            content = json.dumps(family_tokenizers(family))
            (folder / "tokenizer.json").write_text(content, encoding="utf-8")
            found[family] = read_tokenizer(folder)
        return found[family]

    return read


class Script:
    """Logits of a model that writes one of some answers into the only hole; it prefers the first."""

    def __init__(
        self, tokenizer: TextTokenizer, end_id: int, prompt: Sequence[int], answers: Sequence[bytes]
    ) -> None:
        self._tokenizer, self._end_id = tokenizer, end_id
        self._num_before = len(prompt)
        self._answers = answers

    def __call__(self, token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(self._tokenizer.vocab_size)
        written = self._tokenizer.decode_bytes(token_ids[self._num_before :])
        for number, answer in reversed([*enumerate(self._answers)]):
            if answer.startswith(written):
                following = self._tokenizer.encode_bytes(answer[len(written) :])
                logits_V[following[0] if following else self._end_id] = 20.0 - number
        return logits_V


@pytest.fixture
def scripted(
    tokenizer_of: Callable[[str], TextTokenizer], fake_model: Callable[..., InfillModel]
) -> Callable[[str, Case], InfillModel]:
    """A model in this format that writes the answers of a case."""

    def make(format_name: str, case: Case) -> InfillModel:
        tokenizer = tokenizer_of(format_name)
        layout = choose_format(tokenizer, format_name)
        prompt = fake_model(torch.zeros, tokenizer, layout).shown_prompt(request_of(case))
        answers = [(prompt.required_prefix + answer).encode() for answer in case.answers]
        assert layout.end_of_infill_id is not None
        script = Script(tokenizer, layout.end_of_infill_id, prompt.token_ids, answers)
        return fake_model(script, tokenizer, layout)

    return make


def request_of(case: Case, **settings: Any) -> InfillRequest:
    parts = [case.prefix, case.suffix]
    chosen: dict[str, Any] = {"temperature": 0, "max_new_tokens": 48, "stopping_rules": RULES, **settings}
    return InfillRequest.from_settings(parts, path=case.path, **chosen)


@each_format
@each_case
def test_the_rules_leave_the_same_in_each_format(
    scripted: Callable[[str, Case], InfillModel], format_name: str, case: Case
) -> None:
    pieces: list[TextPiece] = []
    model = scripted(format_name, case)
    (infill,) = model.run(request_of(case), on_text=pieces.append).candidates[0].infills
    assert infill == case.expected
    assert "".join(piece.text for piece in pieces) == infill, "a streamed piece was retracted"
    without_drafts = model.run(request_of(case, speculate=False))
    assert without_drafts.candidates[0].infills == (infill,)


@each_case
def test_a_rule_is_off_unless_it_is_named(scripted: Callable[[str, Case], InfillModel], case: Case) -> None:
    others = [rule for rule in RULES if rule != case.rule]
    with_all, without = (
        scripted("qwen2.5-coder", case).run(request_of(case, stopping_rules=rules)).infills[0]
        for rules in (RULES, others)
    )
    is_needed = case.expected != case.answers[0] and not (case.rule == "blanks" and not case.expected)
    assert (with_all != without) == is_needed
