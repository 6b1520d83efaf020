import pytest
import torch

from incoder.model.attention import Segments, attend_by_hand, attend_fused, choose_attention


def additive_mask(num_tokens: int, num_segments: int) -> torch.Tensor:
    segments_T = torch.arange(num_tokens) * num_segments // num_tokens
    mask_TT = (segments_T[:, None] == segments_T).tril()
    return torch.zeros(2, 1, num_tokens, num_tokens).masked_fill(~mask_TT, torch.finfo(torch.float32).min)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
@pytest.mark.parametrize("num_segments", [1, 3])
@pytest.mark.parametrize("num_tokens", [1, 3, 20, 21])
def test_attention_by_hand_equals_the_fused_one_with_its_gradients(
    num_tokens: int, num_segments: int, num_kv_heads: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    mask = additive_mask(num_tokens, num_segments)
    inputs = [
        torch.randn(2, num_tokens, heads, 16, generator=generator).transpose(1, 2).requires_grad_()
        for heads in (6, num_kv_heads, num_kv_heads)
    ]
    by_hand = attend_by_hand(*inputs, mask_B1TT=mask)
    fused = attend_fused(*inputs, mask=mask, is_causal=False)
    torch.testing.assert_close(by_hand, fused)
    weights = torch.randn(fused.shape, generator=generator)
    for ours, theirs in zip(
        torch.autograd.grad(by_hand, inputs, weights),
        torch.autograd.grad(fused, inputs, weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_past", [0, 4])
@pytest.mark.parametrize("shape", [None, (3, 7), (1, 1, 3, 7), (2, 1, 3, 7)])
def test_each_way_gives_the_same_for_every_form_of_a_mask(
    shape: tuple[int, ...] | None, num_past: int
) -> None:
    num_queries, num_keys = 3, 3 + num_past
    causal_TS = torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_past)
    mask = None if shape is None else causal_TS.expand(*shape[:-1], num_keys)
    token_ids_BT = torch.zeros(2, num_queries, dtype=torch.long)
    q_BHTd = torch.randn(
        2, 4, num_queries, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    kv_BKSd = torch.randn(2, 2, num_keys, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    scores = (q_BHTd @ kv_BKSd.repeat_interleave(2, 1).mT / 8**0.5).masked_fill(~causal_TS, -torch.inf)
    expected = scores.softmax(-1) @ kv_BKSd.repeat_interleave(2, 1)
    for with_gradients in (False, num_past == 0):
        with torch.set_grad_enabled(with_gradients):
            attend = choose_attention(
                token_ids_BT, mask, num_past=num_past, is_cached=num_past > 0, dtype=torch.float64
            )
            torch.testing.assert_close(attend(q_BHTd, kv_BKSd, kv_BKSd), expected)


@pytest.mark.parametrize(
    ("dtype", "with_gradients", "is_cached", "num_tokens", "expected"),
    [
        (torch.bfloat16, True, False, 512, attend_by_hand),
        (torch.float32, True, False, 512, attend_fused),
        (torch.bfloat16, False, False, 512, attend_fused),
        (torch.bfloat16, True, True, 512, attend_fused),
        (torch.bfloat16, True, False, 2048, attend_fused),
    ],
)
def test_only_training_in_half_precision_attends_by_hand(
    dtype: torch.dtype, with_gradients: bool, is_cached: bool, num_tokens: int, expected: object
) -> None:
    with torch.set_grad_enabled(with_gradients):
        attend = choose_attention(
            torch.zeros(1, num_tokens, dtype=torch.long), None, num_past=0, is_cached=is_cached, dtype=dtype
        )
    assert getattr(attend, "func", None) is expected


def test_segments_are_found_in_rows_and_end_with_them() -> None:
    """Equal ids at the end of one row and the start of the next are two texts."""
    segments = Segments.of(torch.tensor([[0, 0, 1, -1], [0, 0, 0, 1]]))
    assert segments.starts.tolist() == [0, 2, 3, 4, 7, 8]
    assert segments.longest == 3
    assert segments.mask()[1, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("num_kv_heads", [2, 4])
def test_attention_in_segments_equals_that_with_their_mask_with_its_gradients(num_kv_heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.tensor([0] * 5 + [1] * 20 + [2] * 7, device="cuda").repeat(3, 1)
    inputs = [
        torch.randn(3, 32, heads, 64, generator=generator)
        .to("cuda", torch.bfloat16)
        .transpose(1, 2)
        .requires_grad_()
        for heads in (4, num_kv_heads, num_kv_heads)
    ]
    weights = torch.randn(3, 4, 32, 64, generator=generator).to("cuda", torch.bfloat16)
    found, expected = (
        choose_attention(ids_BT, mask, num_past=0, is_cached=False, dtype=torch.bfloat16)(*inputs)
        for mask in (Segments.of(ids_BT), Segments.of(ids_BT).mask())
    )
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, weights),
        torch.autograd.grad(expected, inputs, weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=4e-2, atol=4e-2)
