"""From folders to a corpus of the user's own code, encoded for one model.

The corpus pipeline's filters, with redaction of addresses and keys, and without near-duplicates. Files are
held out in groups of one name, such as `queue.py` and `test_queue.py`; since no near-duplicates are left,
none of the held-out files has a near copy among the others.
"""

from pathlib import Path

from incoder.corpus.build import build_corpus
from incoder.corpus.encoding import encode_corpus
from incoder.corpus.engine.stage import OnProgress
from incoder.corpus.recipe import AttributeSettings, CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.source_settings import LICENCE_FROM_TEXT, FolderSource
from incoder.corpus.stages.encode import Encoder
from incoder.corpus.storage.documents import MANIFEST
from incoder.corpus.storage.token_shards import META
from incoder.corpus.text.filter_settings import FilterSettings
from incoder.corpus.text.languages import LANGUAGES
from incoder.finetuning.settings import FineTuning

TOKENS = "tokens"  # in the corpus's folder
_MAX_FILE_BYTES = 200_000  # longer ones are tables as a rule
_ATTRIBUTE_RATE = 0.7  # as `mini` was trained: editors do not always name the file


def corpus_recipe(settings: FineTuning, *, writes_attributes: bool) -> CorpusRecipe:
    """Return the recipe of the corpus; only causal masking `writes_attributes` into documents.

    >>> recipe = corpus_recipe(FineTuning(folders=("src",)), writes_attributes=True)
    >>> recipe.redact_keys, recipe.deduplication.near, recipe.hold_out
    (True, True, 'files')
    """
    licence = LICENCE_FROM_TEXT if settings.licences else None
    sources = [FolderSource(kind="folder", path=folder, licence=licence) for folder in settings.folders]
    names = ("ext", "filename") if writes_attributes else ()
    filters = FilterSettings(preset="starcoder", max_file_bytes=_MAX_FILE_BYTES, secret_names=True)
    values = {
        "sources": tuple(sources),
        "seed": settings.seed,
        "languages": settings.languages or tuple(sorted(set(LANGUAGES.values()))),
        "extensions": (),
        "ambiguous_extensions": "content",
        "filters": filters,
        "redact_ips": True,
        "redact_keys": True,
        "deduplication": {"near": True},
        "attributes": AttributeSettings(names=names, rate=_ATTRIBUTE_RATE),
        "hold_out": "files",
        "validation_fraction": settings.held_out,
    }
    return CorpusRecipe(**values, **({"licences": settings.licences} if settings.licences else {}))


def build_own_corpus(
    settings: FineTuning,
    folder: Path,
    *,
    writes_attributes: bool,
    on_progress: OnProgress | None = None,
) -> Report | None:
    """Build the corpus; None if the folder has it already, from before an interruption.

    Raises:
        IncoderError: a folder is missing or holds no code, or the corpus cannot be written.
    """
    if (folder / MANIFEST).is_file():
        return None
    recipe = corpus_recipe(settings, writes_attributes=writes_attributes)
    return build_corpus(recipe, folder, on_progress, keeps_drops=True)


def encode_own_corpus(corpus: Path, encoder: Encoder, on_progress: OnProgress | None = None) -> Path:
    """Encode the corpus if that is not done yet; return the folder of the token shards.

    Raises:
        IncoderError: the corpus was changed, or the shards cannot be written.
    """
    tokens = corpus / TOKENS
    if not (tokens / META).is_file():
        encode_corpus(corpus, encoder, tokens, on_progress=on_progress)
    return tokens
