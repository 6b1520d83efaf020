"""The model before the first step: fresh weights, or the weights of a model folder."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.model.checkpoint import load_checkpoint, stored_weights
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer, TransformerConfig, init_weight
from incoder.tokenizer.formats import read_training_tokenizer
from incoder.tokenizer.text_tokenizer import TrainingTokenizer
from incoder.training.ranks import Ranks
from incoder.training.recipe import TrainingRecipe


def first_model(recipe: TrainingRecipe, tokenizer: TrainingTokenizer) -> Transformer:
    """Make the model in float32 on the CPU; fresh weights depend on the recipe's seed alone.

    Raises:
        IncoderError: the folder to start from holds no model, has another tokenizer than the recipe, or fewer
            positions than the longest window.
    """
    if recipe.model.start_from is not None:
        folder = _checked_start(recipe, tokenizer)
        model = load_checkpoint(folder, dtype=torch.float32)
        _check_positions(recipe, model.config)
        return model.train()
    model = Transformer(fresh_config(recipe, tokenizer.vocab_size))
    model.init_weights(torch.Generator().manual_seed(recipe.training.seed))
    return model


def first_model_on(
    device: torch.device,
    recipe: TrainingRecipe,
    tokenizer: TrainingTokenizer,
    precision: torch.dtype,
    ranks: Ranks,
) -> Transformer:
    """Make the model on a device, its weights divided among the ranks; `precision` is that of products.

    Raises:
        IncoderError: as for `first_model`, or the ranks cannot be divided as the recipe says.
    """
    if not ranks.is_sharded:
        return first_model(recipe, tokenizer).to(device)
    from incoder.training.process_group import ProcessGroup
    from incoder.training.sharding import sharded_model

    assert isinstance(ranks, ProcessGroup)
    size = recipe.parallel.shard_size
    mesh = ranks.mesh(None if size == "all" else size)
    config, weights = ranks.each(lambda: first_weights(recipe, tokenizer))
    return sharded_model(config, weights, mesh, device, reshard=recipe.parallel.reshard, precision=precision)


def first_weights(
    recipe: TrainingRecipe, tokenizer: TrainingTokenizer
) -> tuple[TransformerConfig, Iterator[tuple[str, Tensor]]]:
    """Return the configuration of `first_model` and its weights by name, each made when it is taken.

    Raises:
        IncoderError: as for `first_model`.
    """
    if recipe.model.start_from is not None:
        folder = _checked_start(recipe, tokenizer)
        config, weights = stored_weights(folder, dtype=torch.float32)
        _check_positions(recipe, config)
        return config, weights
    config = fresh_config(recipe, tokenizer.vocab_size)
    return config, _fresh_weights(config, recipe.training.seed)


def fresh_config(recipe: TrainingRecipe, vocab_size: int) -> TransformerConfig:
    """Return the configuration of a network that a recipe begins with fresh weights."""
    section = recipe.model
    return config_for(section.size, section.shape, vocab_size=vocab_size, **section.overrides())


def _fresh_weights(config: TransformerConfig, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Draw the weights of `Transformer.init_weights` one at a time, all from one generator."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        model = Transformer(config)
    for name, outline in model.named_parameters():
        weight = torch.empty(outline.shape)
        init_weight(name, weight, config, generator)
        yield name, weight


def _checked_start(recipe: TrainingRecipe, tokenizer: TrainingTokenizer) -> Path:
    folder = recipe.model.start_folder
    assert folder is not None
    if read_training_tokenizer(folder).fingerprint != tokenizer.fingerprint:
        raise IncoderError(
            f"{folder} was trained with another tokenizer than {recipe.tokenizer}; "
            "name the model's own as the recipe's tokenizer, and encode the corpus with it"
        )
    return folder


def _check_positions(recipe: TrainingRecipe, config: TransformerConfig) -> None:
    longest = max(phase.window for phase in recipe.training.phases)
    if longest > config.max_positions:
        raise IncoderError(
            f"the window ({longest}) must not exceed the {config.max_positions} positions of "
            f"{recipe.model.start_from}"
        )
