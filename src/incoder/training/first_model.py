"""The model before the first step: fresh weights, or the weights of a model folder."""

import torch

from incoder.errors import IncoderError
from incoder.model.checkpoint import load_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.recipe import TrainingRecipe


def first_model(recipe: TrainingRecipe, tokenizer: Tokenizer) -> Transformer:
    """Make the model in float32 on the CPU; fresh weights depend on the recipe's seed alone.

    Raises:
        IncoderError: the folder to start from holds no model, has another tokenizer than the recipe, or fewer
            positions than the longest window.
    """
    section = recipe.model
    if section.start_from is None:
        config = config_for(
            section.size, section.shape, vocab_size=tokenizer.vocab_size, **section.overrides()
        )
        model = Transformer(config)
        model.init_weights(torch.Generator().manual_seed(recipe.training.seed))
        return model
    if Tokenizer.from_file(section.start_from).fingerprint != tokenizer.fingerprint:
        raise IncoderError(
            f"{section.start_from} was trained with another tokenizer than {recipe.tokenizer}; "
            "name the model's own as the recipe's tokenizer, and encode the corpus with it"
        )
    model = load_checkpoint(section.start_from, dtype=torch.float32)
    longest = max(phase.window for phase in recipe.training.phases)
    if longest > model.config.max_positions:
        raise IncoderError(
            f"the window ({longest}) must not exceed the {model.config.max_positions} positions of "
            f"{section.start_from}"
        )
    return model.train()
