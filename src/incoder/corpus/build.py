"""A corpus from its recipe: sources → reading → filters → redaction → deduplication → one parquet per split.

Every step is a generator over documents, so that what is in memory is the list of files, one row group of
each split, and the keys of the deduplication. The same recipe and input give the same bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from incoder.config import save_recipe
from incoder.corpus.deduplication import deduplicated
from incoder.corpus.documents import SEAL, DocumentWriter, documents_file
from incoder.corpus.filters import filtered, filters_of
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.redaction import redacted, redactions_of
from incoder.corpus.report import Report
from incoder.corpus.source_file import OnDrop
from incoder.corpus.sources import FilesPiece, Piece, bare_name, list_pieces
from incoder.corpus.splits import SPLITS, TRAIN, VALIDATION, drawn_for_validation, validation_names
from incoder.corpus.staging import sealed_together
from incoder.document import Document
from incoder.errors import IncoderError
from incoder.files import make_folder

RECIPE = "recipe.toml"
SCRATCH = ".scratch"  # what was regrouped on disk, until the build is done

OnProgress = Callable[[int, int], None]


def build_corpus(recipe: CorpusRecipe, output: Path, on_progress: OnProgress | None = None) -> Report:
    """Write `{train,validation}.parquet`, `recipe.toml` and, last, `report.json` into the folder `output`.

    An interrupted build changes nothing there. `on_progress` is told the bytes read so far and in all.

    Raises:
        IncoderError: a source is missing, nothing survived, or the folder cannot be written.
    """
    report = Report()
    scratch = make_folder(output) / SCRATCH
    pieces = list_pieces(recipe, scratch, report.on_drop)
    files = [file for piece in pieces if isinstance(piece, FilesPiece) for file in piece.files]
    held_out = validation_names({file.project for file in files}, recipe)
    for file in files:
        report.add_project(file, VALIDATION if bare_name(file.project) in held_out else TRAIN)
    with sealed_together(output, SEAL) as folder:
        with ExitStack() as stack:
            writers = {
                split: stack.enter_context(DocumentWriter(documents_file(folder, split))) for split in SPLITS
            }
            for document in documents_of(_watched(pieces, on_progress), recipe, report.on_drop):
                if document.project not in report.projects:  # one that was not listed beforehand
                    name = bare_name(document.project)
                    is_held_out = name in held_out or drawn_for_validation(name, recipe)
                    report.add_project_of(document, VALIDATION if is_held_out else TRAIN)
                writers[report.projects[document.project].split].write(document)
                report.add(document, len(document.text.encode()))
        if report.num_documents == 0:
            raise IncoderError(_nothing_left(report))
        save_recipe(recipe, folder / RECIPE)
        sha256 = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        content = json.dumps(report.as_dict(SPLITS, sha256), indent=1, ensure_ascii=False)
        (folder / SEAL).write_text(content + "\n", encoding="utf-8")
    shutil.rmtree(scratch, ignore_errors=True)
    return report


def documents_of(pieces: Iterable[Piece], recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
    """The steps from pieces to the documents that stay, in the order of the pieces."""
    documents: Iterable[Document] = (
        document for piece in pieces for document in piece.documents(recipe, on_drop)
    )
    documents = filtered(documents, filters_of(recipe.filters), on_drop)
    documents = redacted(documents, redactions_of(recipe))
    if recipe.deduplicate:
        documents = deduplicated(documents, on_drop)
    return iter(documents)


def _watched(pieces: list[Piece], on_progress: OnProgress | None) -> Iterator[Piece]:
    total, done = sum(piece.num_bytes for piece in pieces), 0
    for piece in pieces:
        yield piece
        done += piece.num_bytes
        if on_progress is not None:
            on_progress(done, total)


def _nothing_left(report: Report) -> str:
    reasons = [f"{count.num_files} {reason}" for reason, count in sorted(report.dropped.items())]
    reasons += [f"{dropped.project}: {dropped.reason}" for dropped in report.dropped_projects[:5]]
    found = "; ".join(reasons) or "the sources hold no file with one of the recipe's extensions"
    return f"no document survived: {found}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
