"""Small random networks of all shapes, lively enough to tell near-equal computations apart."""

from typing import Protocol

import pytest
import torch

from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer


class MakeModel(Protocol):
    def __call__(self, shape: Shape, **overrides: object) -> Transformer: ...


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Random weights far larger than at the start of training, gains and biases included.

    The tanh approximation of GELU, or a norm in the wrong place, shows only with large activations.
    """

    def make(shape: Shape, **overrides: object) -> Transformer:
        small = {"hidden_size": 48, "num_layers": 2, "num_heads": 4, "inner_size": 80, "max_positions": 64}
        model = Transformer(config_for("mini", shape, vocab_size=101, **{**small, **overrides}))
        generator = torch.Generator().manual_seed(1)
        model.init_weights(generator)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
                else:
                    parameter.mul_(4 if shape == "xglm" else 12)
        return model.eval()

    return make


@pytest.fixture(params=["llama", "xglm", "starcoder2"])
def model(request: pytest.FixtureRequest, make_model: MakeModel) -> Transformer:
    return make_model(request.param)


@pytest.fixture
def token_ids_BT() -> torch.Tensor:
    return torch.randint(4, 101, (3, 20), generator=torch.Generator().manual_seed(2))
