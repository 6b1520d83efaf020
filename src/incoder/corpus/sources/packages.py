"""The Python packages installed in a folder such as `site-packages`: their files and their licences.

Files and licences are read from the metadata that installers write (`*.dist-info`); no package is imported.
"""

import re
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from incoder.corpus.licences.expressions import BSD, allows
from incoder.corpus.licences.files import joined_licences
from incoder.corpus.licences.metadata import field, licence_of
from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.sources.folders import is_taken
from incoder.corpus.sources.source_file import DroppedProject, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import PackagesSource
from incoder.errors import IncoderError


def list_packages(
    source: PackagesSource, extensions: Collection[str], licences: tuple[str, ...], on_drop: OnDrop
) -> Iterator[SourceFile]:
    """Yield the source files of every package that the source names and whose licence is allowed.

    Raises:
        IncoderError: the folder is missing, or a package asked for by name is not in it.
    """
    if source.path is not None and not source.path.is_dir():
        raise IncoderError(
            f"there is no folder {source.path} with installed packages; install them there first "
            "(pip install --no-deps --target FOLDER …)"
        )
    wanted = None if source.names is None else {normalised(name) for name in source.names}
    seen = set[str]()
    for distribution in _sorted_distributions(source.path):
        name = _name(distribution)
        if name in seen or (wanted is not None and name not in wanted):
            continue  # of two distributions with one name, Python also uses the first
        seen.add(name)
        licence = _licence(distribution)
        if problem := _problem(distribution, licence, licences):
            on_drop(DroppedProject(name, distribution.version, licence, problem))
        else:
            yield from _files(distribution, name, licence, extensions, on_drop)
    if wanted is not None and wanted - seen:
        where = source.path or "the running environment"
        raise IncoderError(f"not installed in {where}: {', '.join(sorted(wanted - seen))}")


def normalised(name: str) -> str:
    """A package's name as the packaging standards compare it: `Foo.Bar_baz` → `foo-bar-baz`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sorted_distributions(path: Path | None) -> list[Distribution]:
    found = distributions() if path is None else distributions(path=[str(path)])
    return sorted(filter(_name, found), key=_name)  # a half-removed distribution has no name


def _name(distribution: Distribution) -> str:
    return normalised(field(distribution.metadata, "Name") or "")


def _licence(distribution: Distribution) -> str | None:
    """The licence in the metadata; if that is an unspecified BSD licence, the one in the licence files."""
    licence = licence_of(distribution.metadata)
    if licence != BSD:
        return licence
    found = set[str | None]()
    for file in distribution.files or ():
        if LICENCE_FILE.fullmatch(file.name) and ".dist-info" in file.as_posix():
            try:
                text = Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace")
            except OSError:
                return None
            found.add(recognised_licence(text))
    return joined_licences(found) if found else licence


def _problem(distribution: Distribution, licence: str | None, licences: tuple[str, ...]) -> str | None:
    if licence is None:
        return "unknown licence"
    if not allows(licence, licences):
        return "licence not allowed"
    if distribution.files is None:
        return "no list of its files"
    return None


def _files(
    distribution: Distribution, name: str, licence: str | None, extensions: Collection[str], on_drop: OnDrop
) -> Iterator[SourceFile]:
    for file in distribution.files or ():
        if ".." in file.parts or file.is_absolute():
            continue
        if is_taken(file.as_posix(), name, extensions, on_drop):
            location = Path(str(distribution.locate_file(file)))
            num_bytes = file.size or 0
            yield SourceFile(
                name, file.as_posix(), "package", location, num_bytes, licence, distribution.version
            )
