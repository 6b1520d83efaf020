"""Decoding with project memory: the project decides where the model does not care; drafts change nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.engine import Engine
from incoder.inference.infill_model import InfillModel
from incoder.inference.memory.mixing import MixingWeights
from incoder.request import InfillRequest
from incoder.sampling_params import SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer

Write = Callable[[str, str], Path]

STRONG = MixingWeights((4.0,) * 7, 0, 0, 0, 0, 0)
LINE = "    total = accumulate_everything(values, start=17)\n"
PARTS = ["def b(values):\n    total = accum", "\n"]


@pytest.fixture
def project(write: Write) -> Path:
    return write("a.py", "def a(values):\n" + LINE + "    return total\n").parent


def trusting(model: InfillModel) -> InfillModel:
    """The model with weights that trust the project."""
    return InfillModel(model.language_model, model.tokenizer, memory_weights=STRONG)


@pytest.fixture
def indifferent(reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer) -> InfillModel:
    """A model that finds every token equally probable."""

    def logits_after(token_ids: list[int]) -> Tensor:
        assert token_ids
        return torch.zeros(tiny_tokenizer.vocab_size)

    return trusting(reading_again(logits_after, 512))


def test_an_infill_follows_the_project(indifferent: InfillModel, project: Path) -> None:
    infill = indifferent.infill(
        PARTS, temperature=0, max_new_tokens=48, project=project, stop="\n", stopping_rules=()
    ).infills[0]
    assert infill == "ulate_everything(values, start=17)"


def test_an_infill_with_a_required_prefix_follows_the_project(
    indifferent: InfillModel, project: Path
) -> None:
    for speculate in (True, False):
        infill = indifferent.infill(
            ["def b(values):\n    total = accumulate_everything(values, st", ")\n"],
            temperature=0,
            max_new_tokens=8,
            project=project,
            speculate=speculate,
            stopping_rules=(),
        ).infills[0]
        assert infill.startswith("art=17")


def test_a_completion_follows_the_project(indifferent: InfillModel, project: Path) -> None:
    text = indifferent.complete(PARTS[0], temperature=0, stop="\n", project=project).text
    assert text.endswith("ulate_everything(values, start=17)")


def test_a_prompt_of_tokens_follows_the_project(
    indifferent: InfillModel, project: Path, tiny_tokenizer: Tokenizer
) -> None:
    request = InfillRequest(
        prompt_ids=tuple(tiny_tokenizer.encode("    total = accumulate_everything(")),
        sampling=SamplingParams(temperature=0, max_new_tokens=16, stop=("\n",)),
        project=project,
    )
    assert indifferent.run(request).infills[0].startswith("values, start=17)")


def test_beams_follow_the_project(indifferent: InfillModel, project: Path) -> None:
    infill = indifferent.infill(
        PARTS, num_beams=2, max_new_tokens=48, project=project, stop="\n", stopping_rules=()
    ).infills[0]
    assert infill.startswith("ulate_everything(")


def test_requests_with_and_without_a_project_run_side_by_side(fast: InfillModel, project: Path) -> None:
    model = trusting(fast)
    assert isinstance(model.language_model, TransformerModel)
    requests = [
        InfillRequest.from_settings(PARTS, temperature=0.8, seed=3, max_new_tokens=10, project=one)
        for one in (project, None, project)
    ]
    alone = [model.run(request).infills for request in requests]
    engine = Engine(model.language_model)
    tasks = [engine.submit(model.generation(request)) for request in requests]
    engine.run()
    assert [task.result().infills for task in tasks] == alone
    assert alone[0] == alone[2] != alone[1]


def test_the_open_files_saved_line_is_not_written(indifferent: InfillModel, project: Path) -> None:
    infill = indifferent.infill(
        PARTS, temperature=0, max_new_tokens=8, project=project, path=project / "a.py"
    ).infills[0]
    assert "everything" not in infill


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("num_tail_lines", [0, 2])
def test_speculation_changes_no_result(
    dice: InfillModel, project: Path, temperature: float, num_tail_lines: int
) -> None:
    model = trusting(dice)
    results = [
        model.infill(
            ["def b(values):\n    total = accum", "\n    return total\n"],
            temperature=temperature,
            max_new_tokens=20,
            project=one,
            speculate=speculate,
            num_tail_lines=num_tail_lines,
            stopping_rules=(),
        )
        for one in (project, None)
        for speculate in (True, False)
    ]
    assert results[0] == results[1]
    assert results[2] == results[3]
    assert results[0] != results[2]


def test_drafts_from_the_project_save_forward_passes(indifferent: InfillModel, project: Path) -> None:
    num_reads = []
    for speculate in (True, False):
        indifferent.infill(
            PARTS,
            temperature=0,
            max_new_tokens=16,
            project=project,
            speculate=speculate,
            stop="\n",
            stopping_rules=(),
        )
        num_reads.append(indifferent.language_model.opened[-1].num_reads)  # type: ignore[attr-defined]
    assert num_reads[0] <= num_reads[1] - 3


def test_candidates_are_the_same_alone_and_together(dice: InfillModel, project: Path) -> None:
    alone, together = (
        trusting(dice).infill(
            PARTS, temperature=0.8, max_new_tokens=10, num_candidates=number, project=project
        )
        for number in (1, 3)
    )
    assert alone.candidates[0] in together.candidates


def test_alternatives_are_ranked_by_the_mixture(indifferent: InfillModel, project: Path) -> None:
    (candidate,) = indifferent.infill(
        PARTS, temperature=0, max_new_tokens=4, project=project, num_alternatives=1, stopping_rules=()
    ).candidates
    for token in candidate.tokens[0]:
        assert token.alternatives[0].logprob == pytest.approx(token.logprob, abs=1e-4)


def test_the_same_project_gives_the_same_result(fast: InfillModel, project: Path) -> None:
    models = [trusting(fast), trusting(fast)]
    results = [
        one.infill(PARTS, temperature=0.8, seed=3, max_new_tokens=10, project=project)
        for one in (models[0], models[0], models[1])
    ]
    assert results[0] == results[1] == results[2]


def test_keys_and_values_are_the_same_with_and_without_a_project(fast: InfillModel, project: Path) -> None:
    without = fast.infill(PARTS, temperature=0, max_new_tokens=8)
    with_project = fast.infill(PARTS, temperature=0, max_new_tokens=8, project=project)
    assert fast.infill(PARTS, temperature=0, max_new_tokens=8) == without
    assert fast.infill(PARTS, temperature=0, max_new_tokens=8, project=project) == with_project


def test_a_project_may_be_named_in_several_ways(
    indifferent: InfillModel, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    found = [
        indifferent.infill(PARTS, temperature=0, max_new_tokens=6, project=one, stopping_rules=())
        for one in (project, str(project), ".")
    ]
    assert found[0] == found[1] == found[2]


def test_a_project_that_nobody_opened_is_looked_at_for_every_request_and_not_stored(
    indifferent: InfillModel, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))

    def infill() -> str:
        return indifferent.infill(
            PARTS, temperature=0, max_new_tokens=48, project=project, stop="\n", stopping_rules=()
        ).infills[0]

    assert infill().endswith("start=17)")
    (project / "a.py").write_text("def a(values):\n" + LINE.replace("17", "93"))
    assert infill().endswith("start=93)")
    assert not (tmp_path / "home").exists()


def test_an_opened_project_is_stored_and_looked_at_when_it_is_refreshed(
    indifferent: InfillModel, project: Path, tmp_path: Path
) -> None:
    memory = indifferent.open_project(project, cache_folder=tmp_path / "cache")

    def infill() -> str:
        return indifferent.infill(
            PARTS, temperature=0, max_new_tokens=48, project=project, stop="\n", stopping_rules=()
        ).infills[0]

    assert infill().endswith("start=17)")
    assert list((tmp_path / "cache").glob("*/manifest.json"))
    (project / "a.py").write_text("def a(values):\n" + LINE.replace("17", "93"))
    assert infill().endswith("start=17)")
    memory.refresh()
    assert infill().endswith("start=93)")


def test_a_project_that_is_no_folder_is_refused(indifferent: InfillModel, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="missing is not a folder; project memory needs"):
        indifferent.infill(PARTS, project=tmp_path / "missing")
