"""Training speed: tokens/s of one optimizer step, ours against the same shape in transformers.

Both train a random llama-shaped model of the given size on the same batch with AdamW, in turns within one
run, so that both meet the same noise; the ratio of the medians is what counts. Both in bf16 autocast where
the processor is fast in it, else in float32. The peer is transformers' `LlamaForCausalLM` with its own loss
and SDPA attention, and `torch.optim.AdamW` as it comes.

    python benchmarks/training.py --size mini --window 512
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from measuring.turns import seconds_for
from transformers import LlamaConfig, LlamaForCausalLM

from incoder.model.device import choose_device, is_fast_in
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.training.data import DeviceBatch
from incoder.training.module import TrainingModule
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import OptimizerSection


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="mini")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens a step")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="compile our blocks")
    arguments = parser.parse_args()

    device = choose_device()
    precision = torch.bfloat16 if is_fast_in(torch.bfloat16, device) else torch.float32
    print(f"{arguments.size}, windows of {arguments.window}, {arguments.tokens} tokens a step, {precision}")
    config = config_for(arguments.size, "llama", vocab_size=arguments.vocab_size)
    shape = (arguments.tokens // arguments.window, arguments.window)
    token_ids_BT = torch.randint(4, arguments.vocab_size, shape, device=device)
    steps = {
        "transformers": _peer_step(config, token_ids_BT, precision),
        "incoder": _our_step(config, token_ids_BT, precision, compiled=arguments.compile),
    }
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            speeds[name].append(token_ids_BT.numel() / seconds_for(step))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, median in medians.items():
        print(
            f"{name:>12}: {median:8,.0f} tokens/s (from {min(speeds[name]):,.0f} to {max(speeds[name]):,.0f})"
        )
    print(f"       ratio: {medians['incoder'] / medians['transformers']:.2f}")


def _our_step(
    config: TransformerConfig, token_ids_BT: torch.Tensor, precision: torch.dtype, *, compiled: bool
) -> Callable[[], None]:
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    model.to(token_ids_BT.device)
    optimizers = Optimizers(model, OptimizerSection(), precision)
    module = TrainingModule(model, precision=precision, compile_blocks=compiled)
    positions_BT = torch.arange(token_ids_BT.shape[1], device=token_ids_BT.device).expand_as(token_ids_BT)
    batch = DeviceBatch(token_ids_BT, _shifted(token_ids_BT), positions_BT, mask=None)

    def step() -> None:
        loss_sum, num_targets = module(batch)
        torch.autograd.backward(loss_sum / num_targets)
        optimizers.step(0, 100)

    return step


def _peer_step(
    config: TransformerConfig, token_ids_BT: torch.Tensor, precision: torch.dtype
) -> Callable[[], None]:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.inner_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )
    torch.nn.Module.to(model, token_ids_BT.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    autocast = partial(_autocast, token_ids_BT.device, precision)

    def step() -> None:
        with autocast():
            loss = model(token_ids_BT, labels=token_ids_BT).loss
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


def _shifted(token_ids_BT: torch.Tensor) -> torch.Tensor:
    targets_BT = torch.full_like(token_ids_BT, -100)
    targets_BT[:, :-1] = token_ids_BT[:, 1:]
    return targets_BT


if __name__ == "__main__":
    main()
