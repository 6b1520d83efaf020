"""The inputs of a run: the tokenizer and the token shards that a recipe names. Imports no torch."""

from dataclasses import dataclass

from incoder.corpus.storage.documents import MANIFEST
from incoder.corpus.storage.token_shards import TokenShard, check_shards
from incoder.errors import IncoderError
from incoder.files import sha256_of
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.formats import read_training_tokenizer
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The tokenizer of a run and its token shards, which were encoded with it."""

    recipe: TrainingRecipe
    tokenizer: Tokenizer | FamilyTokenizer
    training: TokenShard
    validation: TokenShard

    @classmethod
    def open(cls, recipe: TrainingRecipe) -> "RunInputs":
        """Open what the recipe names; the shards' files are mapped, not read.

        Raises:
            IncoderError: something is missing or damaged, or the shards belong to another tokenizer or to
                another build of the corpus that they are in.
        """
        tokenizer = read_training_tokenizer(recipe.tokenizer_path)
        training, validation = (TokenShard.open(recipe.tokens, split) for split in ("train", "validation"))
        if training.tokenizer_fingerprint != tokenizer.fingerprint:
            raise IncoderError(
                f"the token shards in {recipe.tokens} were encoded with another tokenizer than "
                f"{recipe.tokenizer}; encode the corpus again with `incoder corpus encode`"
            )
        # `incoder corpus encode` writes into the corpus's own folder, and a later build does not remove them.
        report = recipe.tokens.parent / MANIFEST
        if training.report_sha256 is not None and report.is_file():
            try:
                is_same = sha256_of(report) == training.report_sha256
            except OSError as error:
                raise IncoderError(f"cannot read {report}: {error.strerror}") from error
            if not is_same:
                raise IncoderError(
                    f"the token shards in {recipe.tokens} are of another corpus than the one in "
                    f"{recipe.tokens.parent}, which was built anew after they were encoded; encode it again "
                    "with `incoder corpus encode`"
                )
        return cls(recipe, tokenizer, training, validation)

    def check(self) -> None:
        """Read all shards and compare them with the digests that were written beside them.

        Raises:
            IncoderError: a file was changed.
        """
        for split in ("train", "validation"):
            check_shards(self.recipe.tokens, split)
