import math
from pathlib import Path

import numpy as np
import pytest
import torch

from incoder.corpus.storage.token_shards import TokenShard
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import pack
from incoder.objective.targets import kinds_of_targets, with_infills_alone
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.evaluate import held_out_infill_losses


@pytest.fixture(scope="module")
def model(tiny_tokenizer: Tokenizer, device: torch.device) -> Transformer:
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "inner_size": 16}
    model = Transformer(config_for("mini", "llama", vocab_size=tiny_tokenizer.vocab_size, **sizes))
    model.init_weights(torch.Generator().manual_seed(0))
    return model.to(device)


def infill_losses(
    model: Transformer, world: Path, tokenizer: Tokenizer, masking: MaskingConfig
) -> dict[str, float]:
    shard = TokenShard.open(world / "tokens", "validation")
    return held_out_infill_losses(
        model, shard, tokenizer, masking, window=64, max_tokens=512, precision=torch.float32
    )


def test_each_target_is_counted_by_where_it_is(tiny_tokenizer: Tokenizer) -> None:
    layout = CausalMaskingFormat(tiny_tokenizer)
    masked = layout.write([[100, 101], [102], [103]], [[104, 105], [106]], continues=True)
    plain = [107, 108, 109]
    rows = pack([plain, masked], len(masked) + 6, infilling_format=layout, tokenizer=tiny_tokenizer)
    kinds = kinds_of_targets(rows, tiny_tokenizer)
    end = tiny_tokenizer.end_of_mask_id

    def predicted(kind: str) -> list[int]:
        targets = np.where(kinds[kind], rows.targets, -100)
        return [int(target) for target in targets[targets >= 0]]

    assert sorted(predicted("kept")) == [101, 102, 103, 108, 109]
    assert predicted("infill") == [104, 105, end, 106, end]
    assert predicted("first_token") == [104, 106]
    assert predicted("end_of_mask") == [end, end]


def test_a_prefix_tail_is_no_part_of_its_infill(tiny_tokenizer: Tokenizer) -> None:
    layout = CausalMaskingFormat(tiny_tokenizer)
    infills = [[104, *layout.hole_start(0), 105], [106, *layout.hole_start(1), 107]]
    masked = layout.write([[100], [101], [102]], infills, continues=False)
    rows = pack([masked], len(masked), infilling_format=layout, tokenizer=tiny_tokenizer)
    kinds = kinds_of_targets(rows, tiny_tokenizer)
    end = tiny_tokenizer.end_of_mask_id
    assert rows.targets[kinds["infill"]].tolist() == [105, end, 107, end]
    assert rows.targets[kinds["first_token"]].tolist() == [105, 107]
    assert {104, 106} <= set(rows.targets[kinds["kept"]].tolist())


def test_a_model_that_knows_nothing_pays_the_same_for_every_kind(
    world: Path, tiny_tokenizer: Tokenizer, model: Transformer
) -> None:
    loss = infill_losses(model, world, tiny_tokenizer, MaskingConfig(line_span_rate=0.5))
    assert set(loss) == {"kept", "infill", "first_token", "end_of_mask"}
    assert loss == pytest.approx(dict.fromkeys(loss, math.log(tiny_tokenizer.vocab_size)), rel=0.02)


def test_without_infills_their_losses_are_left_out(
    world: Path, tiny_tokenizer: Tokenizer, model: Transformer
) -> None:
    assert set(infill_losses(model, world, tiny_tokenizer, MaskingConfig(plain_rate=1.0))) == {"kept"}


def test_the_same_documents_are_masked_in_the_same_way_each_time(
    world: Path, tiny_tokenizer: Tokenizer, model: Transformer
) -> None:
    first, second = (infill_losses(model, world, tiny_tokenizer, MaskingConfig()) for _ in range(2))
    assert first == second


def test_a_model_that_learns_from_infills_alone_has_no_other_targets(tiny_tokenizer: Tokenizer) -> None:
    layout = CausalMaskingFormat(tiny_tokenizer)
    masked = layout.write([[100, 101], [102]], [[104, 105]], continues=False)
    rows = pack([[107, 108], masked], 20, infilling_format=layout, tokenizer=tiny_tokenizer)
    alone = with_infills_alone(rows, tiny_tokenizer)
    assert alone.targets[alone.targets >= 0].tolist() == [104, 105, tiny_tokenizer.end_of_mask_id]
    assert np.array_equal(alone.token_ids, rows.token_ids)
