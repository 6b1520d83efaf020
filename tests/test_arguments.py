"""Arguments of the Python calls: wrong kinds are refused with the rule, and NumPy's numbers are numbers."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

import incoder
from incoder.errors import IncoderError
from incoder.inference.engine import forking
from incoder.inference.infill_model import InfillModel
from incoder.infill_defaults import SEVERAL_TEMPERATURE
from incoder.model.checkpoint import save_checkpoint
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.request import MAX_CANDIDATES, InfillRequest
from incoder.request_settings import RENAMED_SETTINGS, RequestSettings
from incoder.sampling_params import DEFAULT_TEMPERATURE, SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer

Call = Callable[[Any], Any]  # of a model, with arguments that its types forbid


@pytest.fixture(scope="module")
def folder(tiny_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TransformerConfig("llama", tiny_tokenizer.vocab_size, 32, 2, 4, 2, 8, 64, max_positions=128)
    transformer = Transformer(config)
    transformer.init_weights(torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("arguments") / "model"
    save_checkpoint(transformer, folder, tokenizer=tiny_tokenizer)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> InfillModel:
    return incoder.load(folder, device="cpu")


WRONG: dict[str, tuple[Call, str]] = {
    "no text": (lambda m: m.infill(None), "parts must be a sequence of strings, got None"),
    "a number": (lambda m: m.infill(5), "parts must be a sequence of strings, got 5"),
    "bytes": (lambda m: m.infill(b"x = <FILL>"), "parts must be a sequence of strings, got bytes"),
    "a part of bytes": (lambda m: m.infill(["x", b"y"]), r"parts\[1\] must be a string, got bytes"),
    "a lone surrogate": (
        lambda m: m.infill(["x\ud800", "y"]),
        r"parts\[0\] has the lone surrogate '\\ud800' at 1; only U\+DC80 to U\+DCFF are allowed",
    ),
    "no parts": (lambda m: m.infill([]), "the text has no hole"),
    "a prompt that is none": (lambda m: m.complete(None), "prompt must be a string, got None"),
    "a prompt of bytes": (lambda m: m.complete(b"x"), "prompt must be a string, got bytes"),
    "a prompt in parts": (lambda m: m.complete(["x"]), "prompt must be a string, got list"),
    "a stop that is a number": (
        lambda m: m.complete("x", stop=5),
        "stop must be a sequence of strings, got 5",
    ),
    "a stop in a stop": (lambda m: m.complete("x", stop=[["y"]]), r"stop\[0\] must be a string, got list"),
    "a seed as text": (lambda m: m.complete("x", seed="1"), "seed must be a whole number, got '1'"),
    "half a candidate": (
        lambda m: m.complete("x", num_candidates=1.5),
        "num_candidates must be a whole number, got 1.5",
    ),
    "too many candidates": (
        lambda m: m.complete("x", num_candidates=10**9),
        rf"num_candidates must be in \[1, {MAX_CANDIDATES}\], since all are kept in memory, got 1000000000",
    ),
    "too many beams": (lambda m: m.complete("x", num_beams=10**9), r"num_beams must be in \[1, 1024\]"),
    "a path that is a number": (lambda m: m.complete("x", path=5), "path must be a string or a path, got 5"),
    "other files as a list": (
        lambda m: m.infill("<FILL>", other_files=["a.py"], path="b.py"),
        "other_files must be a mapping of strings to strings, got list",
    ),
    "other files of bytes": (
        lambda m: m.infill("<FILL>", other_files={"a.py": b""}, path="b.py"),
        r"other_files\['a.py'\] must be a string, got bytes",
    ),
    "an attribute that is a number": (
        lambda m: m.complete("x", attributes={"dstars": 5}),
        r"attributes\['dstars'\] must be a string, got 5",
    ),
    "healing as text": (
        lambda m: m.complete("x", token_healing="no"),
        "token_healing must be True or False, got 'no'",
    ),
    "lead lines as text": (
        lambda m: m.infill("<FILL>", num_tail_lines="2"),
        "num_tail_lines must be a whole number, got '2'",
    ),
    "rules that are one": (
        lambda m: m.infill("<FILL>", stopping_rules="loops"),
        "stopping_rules must be a sequence of rules, got str",
    ),
    "no rules": (
        lambda m: m.infill("<FILL>", stopping_rules=None),
        "stopping_rules must be a sequence of rules",
    ),
    "a rank by nothing": (lambda m: m.infill("<FILL>", rank_by=[]), "rank_by must be one of .*, got list"),
    "a biased token that is none": (
        lambda m: m.complete("x", logit_bias={np.int64(640): 1.0}),
        r"logit_bias is for token ids in \[0, \d+\), got one for 640",
    ),
    "a score of nothing": (lambda m: m.score(None), "text must be a string, got None"),
    "lines of bytes": (lambda m: m.line_logprobs(b"x"), "text must be a string, got bytes"),
    "scores of one text": (lambda m: m.score_texts("abc"), "texts must be a sequence of strings, got str"),
    "infills of one text": (
        lambda m: m.score_infills("<FILL>", "abc"),
        "infills must be a sequence with the infills of each candidate, got a string",
    ),
    "infills of numbers": (
        lambda m: m.score_infills("<FILL>", [5]),
        "infills must be a sequence of strings, got 5",
    ),
    "settings that are none": (
        lambda _: InfillRequest(parts=("x",), sampling={"temperature": 1}),  # type: ignore[arg-type]
        "sampling must be SamplingParams, got dict",
    ),
    "a model without a name": (
        lambda _: incoder.load(None),  # type: ignore[call-overload]
        "a model is given by its name, folder or file, got None",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_of_the_wrong_kind_is_refused_with_the_rule(kind: str, model: InfillModel) -> None:
    call, message = WRONG[kind]
    with pytest.raises(IncoderError, match=message):
        call(model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"revision": 5}, "revision must be a string, got 5"),
        ({"device": []}, r"device must be a name such as cpu or cuda:1, got \[\]"),
        ({"dtype": 32}, "dtype must be one of float32, .*, got 32"),
        ({"dtype": []}, r"dtype must be one of float32, .*, got \[\]"),
        ({"infilling_format": 5}, "infilling_format must be a string, got 5"),
    ],
)
def test_so_is_a_setting_of_loading(settings: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(IncoderError, match=message):
        incoder.load(folder, **settings)


def test_numpys_numbers_do_what_pythons_do(model: InfillModel) -> None:
    token_id = model.tokenizer.encode("x")[0]
    pythons = model.infill(
        "y = <FILL>\n",
        seed=2**63 - 1,
        num_candidates=3,
        temperature=2.0,
        max_new_tokens=4,
        logit_bias={token_id: 9.0},
    )
    numpys = model.infill(
        "y = <FILL>\n",
        seed=np.int64(2**63 - 1),  # type: ignore[arg-type]
        num_candidates=np.int8(3),  # type: ignore[arg-type]
        temperature=np.float64(2.0),
        max_new_tokens=np.uint16(4),  # type: ignore[arg-type]
        logit_bias={np.int32(token_id): np.float32(9.0)},  # type: ignore[dict-item]
        num_tail_lines=np.int64(0),  # type: ignore[arg-type]
    )
    assert numpys == pythons


def test_no_stop_is_none_or_empty_and_one_is_a_string(model: InfillModel) -> None:
    def written(**settings: Any) -> str:
        return model.complete("x", max_new_tokens=9, temperature=0, **settings).infills[0]

    assert written() == written(stop=None) == written(stop=()) == written(stop="")
    assert written(stop=written()[2]) == written(stop=[written()[2]]) == written().partition(written()[2])[0]


def test_a_path_may_be_any_pure_path_or_text(model: InfillModel) -> None:
    results = [
        model.complete("x", path=path, max_new_tokens=4)
        for path in ("a/b.py", Path("b.py"), PurePosixPath("c.py"))
    ]
    assert results[0] == results[1] == results[2] != model.complete("x", max_new_tokens=4)


def test_bytes_that_are_no_utf_8_may_stand_in_a_text_as_surrogates(model: InfillModel) -> None:
    assert model.complete("caf\udce9", max_new_tokens=2).text.startswith("caf\udce9")


def test_the_default_temperature_is_the_same_everywhere(model: InfillModel) -> None:
    import inspect

    from incoder.cli.complete import complete

    option = inspect.signature(complete).parameters["temperature"].default.default
    assert option == DEFAULT_TEMPERATURE == SamplingParams().temperature == 0.2
    for call, num_candidates in ((model.infill, 1), (model.complete, 1), (model.infill, 2)):
        settings: RequestSettings = {"seed": 1, "max_new_tokens": 9, "num_candidates": num_candidates}
        temperature = 0.2 if num_candidates == 1 else SEVERAL_TEMPERATURE
        with_temperature: RequestSettings = {**settings, "temperature": temperature}
        assert call("x<FILL>", **settings) == call("x<FILL>", **with_temperature)


def test_a_process_that_was_forked_from_one_with_a_model_is_told_so(
    folder: Path, model: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a forked child sees: a number of its own, and that of the process that computed first."""
    monkeypatch.setattr(forking, "_computing_process", os.getpid() + 1)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: model.infill("x = <FILL>\n", max_new_tokens=1),
        lambda: model.complete("x", max_new_tokens=1),
        lambda: model.score("x"),
        lambda: model.score_texts(["x = 1", "x = 2"]),
        lambda: incoder.load(folder),
    )
    for call in calls:
        with pytest.raises(IncoderError, match=r"was forked from process \d+ after a model was loaded"):
            call()


@pytest.mark.parametrize("setting", ["stop", "allowed_first_ids", "stopping_rules"])
@pytest.mark.parametrize("value", [np.array(3), torch.tensor(1)])
def test_a_scalar_that_claims_to_be_iterable_is_no_sequence(setting: str, value: Any) -> None:
    with pytest.raises(IncoderError, match=f"^{setting} must be a sequence of .*, got (ndarray|Tensor)"):
        InfillRequest.from_settings("x<FILL>", **{setting: value})


@pytest.mark.parametrize("setting", ["rank_by", "lines", "stopping_rules"])
@pytest.mark.parametrize("value", [np.array(["a", "b"]), b"one", 1, ["x" * 9999]])
def test_a_name_of_a_choice_that_is_none_is_refused_in_one_line(setting: str, value: Any) -> None:
    with pytest.raises(IncoderError, match=f"^{setting}") as caught:
        InfillRequest.from_settings("x<FILL>", **{setting: value})
    assert len(str(caught.value)) < 200


NUMBERS = [name for name in RequestSettings.__annotations__ if name not in RENAMED_SETTINGS]


@pytest.mark.parametrize("setting", NUMBERS)
@pytest.mark.parametrize("value", [10**400, 10**5000, "9" * 9999], ids=["400", "5000", "text"])
def test_a_value_of_thousands_of_digits_is_refused_in_one_line(setting: str, value: Any) -> None:
    try:
        InfillRequest.from_settings("x<FILL>", **{setting: value})
    except IncoderError as error:
        assert len(str(error)) < 250  # noqa: PT017 - long texts are fine where texts are
    else:
        assert isinstance(value, str)
