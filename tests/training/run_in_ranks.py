"""A rank of a process group, for tests: it does the checks named on its command line, in order.

Started once for many checks, since importing PyTorch and joining take most of the time. What a check returns
is in `FOLDER/CHECK.RANK.pt`; runs are in `FOLDER/NAME`. Tests compare both with one process, for which the
checks run, too.

    RANK=0 WORLD_SIZE=2 … python run_in_ranks.py FOLDER RECIPE CHECK…
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from incoder.config import load_recipe
from incoder.corpus.storage.token_shards import TokenShard
from incoder.errors import IncoderError
from incoder.objective.packing import PackedRows
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training import loop
from incoder.training.chunks import DocumentChunks
from incoder.training.data import BatchStream, to_device
from incoder.training.first_model import first_model_on
from incoder.training.loop import train
from incoder.training.module import TrainingModule
from incoder.training.process_group import connect, device_of
from incoder.training.ranks import Place, Ranks
from incoder.training.recipe import TrainingRecipe
from incoder.training.shares import micro_batches

SECONDS_ASLEEP = 20
CPU = torch.device("cpu")
COMMON = ("training.precision=fp32", "training.steps=6", "evaluation.max_tokens=512")
RUNS = {
    "muon": (),
    "adamw": ("optimizer.name=adamw", "model.tie_embeddings=false"),
    "xglm": ("model.shape=xglm", "model.num_kv_heads=2"),
}
VARIANTS = {
    "recomputed": "training.activation_checkpointing=true",
    "not resharded": "parallel.reshard=false",
    "row by row": "training.rows_per_micro_batch=1",
}


def recipe_of(file: Path, *settings: str) -> TrainingRecipe:
    return load_recipe(TrainingRecipe, file, [*COMMON, *settings])


def after(steps: int) -> Callable[[], bool]:
    """A `should_stop` that is true after so many steps, and before the first one of a finished run."""
    return iter([*[False] * steps, True]).__next__


def whole_runs(ranks: Ranks, folder: Path, file: Path) -> None:
    for name, settings in RUNS.items():
        train(recipe_of(file, *settings), folder / name, device=CPU, ranks=ranks)


def runs_in_copies(ranks: Ranks, folder: Path, file: Path) -> None:
    """Runs in which each two ranks hold a copy of the model (HSDP), with one micro-batch and with several."""
    for name, settings in (("copies", ()), ("copies, row by row", ("training.rows_per_micro_batch=1",))):
        recipe = recipe_of(file, "parallel.shard_size=2", *settings)
        train(recipe, folder / name, device=CPU, ranks=ranks)


def long_run(ranks: Ranks, folder: Path, file: Path) -> None:
    settings = ("training.steps=80", "training.checkpoint_every=80", "evaluation.every=80")
    train(recipe_of(file, *settings), folder / "long", device=CPU, ranks=ranks)


def three_steps_in_variants(ranks: Ranks, folder: Path, file: Path) -> None:
    for name, setting in VARIANTS.items():
        train(recipe_of(file, setting), folder / name, device=CPU, ranks=ranks, should_stop=after(3))


def resumed_runs(ranks: Ranks, folder: Path, file: Path) -> None:
    """A run stopped after 3 steps and resumed; and one that one process has begun."""
    train(recipe_of(file), folder / "resumed", device=CPU, ranks=ranks, should_stop=after(3))
    for name in ("resumed", "from a file"):
        train(recipe_of(file), folder / name, device=CPU, ranks=ranks, resume=True)


def two_steps(ranks: Ranks, folder: Path, file: Path) -> None:
    train(recipe_of(file), folder / "elastic", device=CPU, ranks=ranks, should_stop=after(2))


def two_more_steps(ranks: Ranks, folder: Path, file: Path) -> None:
    train(recipe_of(file), folder / "elastic", device=CPU, ranks=ranks, resume=True, should_stop=after(2))


def gradients(ranks: Ranks, _: Path, file: Path) -> dict[str, torch.Tensor]:
    """The gradients of one step, whole, in micro-batches of two rows."""
    recipe = recipe_of(file)
    tokenizer = Tokenizer.from_file(recipe.tokenizer)
    rows = _rows(recipe, tokenizer)
    model = first_model_on(CPU, recipe, tokenizer, torch.float32, ranks)
    module = TrainingModule(model)
    for part in micro_batches(rows, ranks.place, size=2):
        loss_sum, _count = module(to_device(part, CPU))
        torch.autograd.backward(loss_sum / int((rows.targets >= 0).sum()))
    return {name: _whole(weight.grad) for name, weight in model.named_parameters()}


def fresh_model(ranks: Ranks, _: Path, file: Path) -> dict[str, torch.Tensor]:
    """The weights before the first step, whole, and the table of positions."""
    found: dict[str, torch.Tensor] = {}
    for name, settings in RUNS.items():
        recipe = recipe_of(file, *settings)
        tokenizer = Tokenizer.from_file(recipe.tokenizer)
        model = first_model_on(CPU, recipe, tokenizer, torch.float32, ranks)
        found |= {f"{name} {key}": _whole(weight) for key, weight in model.state_dict().items()}
        found[f"{name} position_table"] = model.position_table
    return found


def bf16_step(ranks: Ranks, _: Path, file: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss and the gradients of a step in bf16."""
    recipe = recipe_of(file)
    tokenizer = Tokenizer.from_file(recipe.tokenizer)
    model = first_model_on(CPU, recipe, tokenizer, torch.bfloat16, ranks)
    module = TrainingModule(model, precision=torch.bfloat16)
    loss_sum, num_targets = module(to_device(_rows(recipe, tokenizer), CPU))
    loss = loss_sum / num_targets
    torch.autograd.backward(loss)
    return float(loss.detach()), {name: _whole(weight.grad) for name, weight in model.named_parameters()}


def stopped_by_the_last_rank(ranks: Ranks, folder: Path, file: Path) -> tuple[bool, int]:
    is_last = ranks.place.rank == ranks.place.world_size - 1
    result = train(
        recipe_of(file),
        folder / "stopped",
        device=CPU,
        ranks=ranks,
        should_stop=after(2) if is_last else lambda: False,
    )
    return result.finished, result.steps_done


def refusals(ranks: Ranks, folder: Path, file: Path) -> dict[str, str]:
    """The messages of runs that cannot go on because of the last rank alone, or of the first one's folder."""
    is_last = ranks.place.rank == ranks.place.world_size - 1
    original = loop._Run._backward
    messages = {}

    def refused(name: str, *settings: str) -> None:
        try:
            train(recipe_of(file, *settings), folder / name, device=CPU, ranks=ranks)
        except IncoderError as error:
            messages[name] = str(error)

    def not_a_number(*arguments: Any, **options: Any) -> float:
        return original(*arguments, **options) * float("nan")

    refused("muon")  # which holds a run
    if is_last:
        loop._Run._backward = not_a_number  # type: ignore[method-assign]
    refused("diverged")
    loop._Run._backward = original  # type: ignore[method-assign]
    refused("indivisible", "parallel.shard_size=2") if ranks.place.world_size == 3 else None
    for name in ("damaged", "other"):
        tokens = f"tokens={file.parent}/{name}_tokens"
        refused(name, *([tokens] if is_last else []))
    refused("other recipe", *(["optimizer.lr=0.5"] if is_last else []))
    return messages


def killed_in_a_save(ranks: Ranks, folder: Path, file: Path) -> None:
    """The last rank dies while it writes its file of the second checkpoint."""
    from incoder.training import sharded_states

    if ranks.place.rank == ranks.place.world_size - 1:
        write = sharded_states._ChecksummedWriter.write_data

        def killed(writer: Any, *arguments: Any) -> Any:
            written = write(writer, *arguments)
            if "step-00000006" in str(writer.path):
                os.kill(os.getpid(), signal.SIGKILL)
            return written

        sharded_states._ChecksummedWriter.write_data = killed  # type: ignore[method-assign, assignment]
    train(recipe_of(file, "training.steps=12"), folder / "killed", device=CPU, ranks=ranks)


def asleep(ranks: Ranks, folder: Path, file: Path) -> str:
    """The last rank sleeps in the data of its third step, for longer than the others wait."""
    if ranks.place.rank == ranks.place.world_size - 1:
        make = BatchStream.next_batch

        def sleeping(stream: BatchStream, *arguments: Any) -> PackedRows:
            if stream.state()["row"] > 0 and not (folder / "slept").exists():
                (folder / "slept").touch()
                time.sleep(SECONDS_ASLEEP)
            return make(stream, *arguments)

        BatchStream.next_batch = sleeping  # type: ignore[method-assign, assignment]
    try:
        train(recipe_of(file), folder / "asleep", device=CPU, ranks=ranks)
    except IncoderError as error:
        return str(error)
    return ""


def _rows(recipe: TrainingRecipe, tokenizer: Tokenizer) -> PackedRows:
    shard = TokenShard.open(recipe.tokens, "train")
    chunks = DocumentChunks(shard, tokenizer, recipe.masking, seed=0, documents_per_chunk=12)
    return BatchStream(chunks).next_batch(7, 64)


def _whole(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    whole: Any = getattr(tensor, "full_tensor", lambda: tensor)()
    return whole  # type: ignore[no-any-return]


def main() -> None:
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    place = Place.of(os.environ)
    assert place is not None
    seconds = int(os.environ.get("TIMEOUT_SECONDS", "120"))
    ranks = connect(place, device_of(place, "cpu"), timeout_seconds=seconds)
    for name in sys.argv[3:]:
        check: Callable[..., Any] = globals()[name]
        torch.save(check(ranks, folder, file), folder / f"{name}.{place.rank}.pt")
    ranks.close()


if __name__ == "__main__":
    main()
