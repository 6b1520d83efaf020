from copy import deepcopy
from functools import partial

import pytest
import torch

from incoder.errors import IncoderError
from incoder.model.transformer import Transformer

assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture
def model(model: Transformer, device: torch.device) -> Transformer:
    return model.to(device)


@pytest.fixture
def token_ids_BT(token_ids_BT: torch.Tensor, device: torch.device) -> torch.Tensor:
    return token_ids_BT.to(device)


def test_more_tokens_than_positions_are_refused(model: Transformer) -> None:
    with pytest.raises(IncoderError, match="65 tokens are more than the 64 positions"):
        model(torch.full((1, 65), 5, device=model.device))


@torch.no_grad()
def test_packed_segments_read_as_each_alone(model: Transformer, token_ids_BT: torch.Tensor) -> None:
    segments = torch.tensor([0] * 8 + [1] * 12, device=model.device)
    mask = (segments[:, None] == segments).tril()[None, None]
    positions = torch.cat((torch.arange(8), torch.arange(12))).expand(3, -1).to(model.device)
    packed = model(token_ids_BT, positions_BT=positions, attention_mask=mask)
    assert_close(packed[:, :8], model(token_ids_BT[:, :8]))
    assert_close(packed[:, 8:], model(token_ids_BT[:, 8:]))


@torch.no_grad()
def test_a_left_padded_row_reads_as_without_padding(model: Transformer, token_ids_BT: torch.Tensor) -> None:
    is_token = torch.arange(20) >= 6
    mask = (is_token & torch.ones(20, 20, dtype=torch.bool).tril())[None, None].to(model.device)
    positions = (torch.arange(20) - 6).clamp(min=0).expand(3, -1).to(model.device)
    padded = model(token_ids_BT, positions_BT=positions, attention_mask=mask)
    assert padded.isfinite().all()
    assert_close(padded[:, 6:], model(token_ids_BT[:, 6:]))


@torch.no_grad()
def test_no_position_sees_what_comes_after_it(model: Transformer, token_ids_BT: torch.Tensor) -> None:
    changed = token_ids_BT.clone()
    changed[:, 12:] = 5
    assert_close(model(changed)[:, :12], model(token_ids_BT)[:, :12])


def test_a_row_of_padding_alone_gives_no_nan(model: Transformer, token_ids_BT: torch.Tensor) -> None:
    mask = torch.ones(20, 20, dtype=torch.bool, device=model.device).tril().repeat(3, 1, 1, 1)
    mask[1] = False
    for precision in (torch.float32, torch.bfloat16):
        network = deepcopy(model).to(precision)
        hidden_BTD = network(token_ids_BT, attention_mask=mask)
        torch.autograd.backward(hidden_BTD[[0, 2]].square().mean())
        assert hidden_BTD.isfinite().all()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_every_weight_is_trained(model: Transformer, token_ids_BT: torch.Tensor) -> None:
    torch.autograd.backward(model.logits(model(token_ids_BT)).square().mean())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_weights_are_a_function_of_the_generator(model: Transformer) -> None:
    def weights(seed: int) -> torch.Tensor:
        fresh = Transformer(model.config)
        fresh.init_weights(torch.Generator().manual_seed(seed))
        return torch.cat([parameter.detach().flatten() for parameter in fresh.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
