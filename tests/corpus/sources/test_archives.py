import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import py7zr
import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.archives import is_safe
from incoder.corpus.sources.listing import list_input_shards
from incoder.errors import IncoderError

Files = dict[str, bytes]

FILES: Files = {
    "repo/a.py": b"x = 1\n",
    "repo/src/naïve.py": "größe = 2\n".encode(),
    "repo/data.bin": b"\0" * 10_000,
    "repo/README.md": b"text",
}


def pack_tar(path: Path, files: Files, mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def pack_zip(path: Path, files: Files) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def pack_7z(path: Path, files: Files) -> None:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(content, name)


def pack_zst(path: Path, files: Files) -> None:
    import pyarrow as pa

    plain = path.with_suffix(".plain")
    pack_tar(plain, files)
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(plain.read_bytes())
    plain.unlink()


PACKERS: dict[str, Callable[[Path, Files], None]] = {
    "a.tar": pack_tar,
    "a.tar.gz": lambda path, files: pack_tar(path, files, "w:gz"),
    "a.tar.bz2": lambda path, files: pack_tar(path, files, "w:bz2"),
    "a.tar.xz": lambda path, files: pack_tar(path, files, "w:xz"),
    "a.tar.zst": pack_zst,
    "a.zip": pack_zip,
    "a.7z": pack_7z,
}


def read(path: Path, recipe: dict[str, Any] | None = None, **source: Any) -> tuple[dict[str, str], Report]:
    """The texts by path, and the report."""
    settings = CorpusRecipe.model_validate(
        {"sources": [{"kind": "archives", "path": str(path), **source}], **(recipe or {})}
    )
    report, texts = Report(), dict[str, str]()
    for shard in list_input_shards(settings, path.parent / "scratch", report.on_drop):
        for document in pickle.loads(pickle.dumps(shard)).documents(settings, report.on_drop):
            texts[document.path] = document.text
    return texts, report


def reasons(report: Report) -> dict[str, int]:
    return {reason: count.num_files for reason, count in report.dropped.items()}


@pytest.mark.parametrize("name", PACKERS)
def test_every_format_gives_the_same_documents(name: str, tmp_path: Path) -> None:
    PACKERS[name](tmp_path / name, FILES)
    texts, report = read(tmp_path / name)
    assert texts == {"repo/a.py": "x = 1\n", "repo/src/naïve.py": "größe = 2\n"}
    assert reasons(report) == {}


@pytest.mark.parametrize("name", PACKERS)
def test_names_lie_and_contents_decide(name: str, tmp_path: Path) -> None:
    PACKERS[name](tmp_path / name, FILES)
    (tmp_path / name).rename(tmp_path / "renamed.zip")
    assert len(read(tmp_path / "renamed.zip")[0]) == 2


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar.zst", "a.zip", "a.7z", "a.tar"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_counted_and_stops_nothing(name: str, kept: float, tmp_path: Path) -> None:
    import random

    noise = random.Random(0).randbytes(300_000)
    PACKERS[name](tmp_path / name, {"first.py": b"x = 1\n", "noise.py": noise, "last.py": b"y = 2\n"})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(kept * len(whole))])
    (tmp_path / "next").mkdir()
    PACKERS[name](tmp_path / "next" / name, FILES)
    texts, report = read(tmp_path)
    assert "repo/a.py" in texts
    assert "last.py" not in texts
    assert reasons(report)["damaged archive"] == 1


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.7z"])
def test_what_is_no_archive_is_damaged(name: str, tmp_path: Path) -> None:
    magic = {"a.zip": b"PK", "a.7z": b"7z\xbc\xaf\x27\x1c", "a.tar": b""}[name]
    (tmp_path / name).write_bytes(magic + b"junk" * 999)
    assert reasons(read(tmp_path / name)[1]) == {"damaged archive": 1}


TRAVERSALS = [
    "../out.py",
    "/etc/out.py",
    "a/../../out.py",
    "..\\out.py",
    "C:\\out.py",
    "C:/out.py",
    "\\out.py",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_paths_that_lead_out_are_known(path: str) -> None:
    assert not is_safe(path)


@pytest.mark.parametrize("path", ["a.py", "a/b.py", "a/..b/c.py", "a..b.py", "./a.py"])
def test_paths_inside_are_safe(path: str) -> None:
    assert is_safe(path)


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_members_that_lead_out_are_left_out_and_written_nowhere(name: str, tmp_path: Path) -> None:
    outside = dict.fromkeys(["../out.py", "/tmp/incoder-out.py"], b"x = 1\n")
    PACKERS[name](tmp_path / name, {**outside, **FILES})
    texts, report = read(tmp_path / name)
    assert texts.keys() == {"repo/a.py", "repo/src/naïve.py"}
    assert reasons(report) == {"path leads out of the archive": 2}
    assert not (tmp_path.parent / "out.py").exists()
    assert not Path("/tmp/incoder-out.py").exists()


def test_links_and_devices_in_a_tar_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"link-{kind!r}.py")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    texts, report = read(tmp_path / "a.tar")
    assert texts == {}
    assert reasons(report) == {"not a regular file": 4}


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link.py")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert reasons(read(tmp_path / "a.zip")[1]) == {"not a regular file": 1}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz", "a.7z"])
def test_a_bomb_is_found_by_what_it_unfolds_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoder.corpus.sources.archives._MIN_BUDGET", 100_000)
    PACKERS[name](tmp_path / name, {"zeros.bin": bytes(20_000_000), "a.py": b"x = 1\n"})
    texts, report = read(tmp_path / name)
    assert texts == {}
    assert reasons(report) == {"archive bomb": 1}


def test_a_zip_is_judged_by_the_members_that_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoder.corpus.sources.archives._MIN_BUDGET", 100_000)
    pack_zip(tmp_path / "good.zip", {"table.csv": bytes(2_000_000), "a.py": b"x = 1\n"})
    pack_zip(tmp_path / "bomb.zip", {f"{number}.py": bytes(20_000) for number in range(100)})
    texts, report = read(tmp_path, max_ratio=1)
    assert texts == {"a.py": "x = 1\n"}
    assert reasons(report) == {"archive bomb": 1}


def test_archives_of_one_name_in_two_folders_are_two_projects(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        pack_zip(tmp_path / folder / "r.zip", {"a.py": b"x = 1\n"})
    recipe = CorpusRecipe.model_validate({"sources": [{"kind": "archives", "path": str(tmp_path)}]})
    shards = list(list_input_shards(recipe, tmp_path / "scratch", Report().on_drop))
    assert len({shard.name for shard in shards}) == 2
    documents = [document for shard in shards for document in shard.documents(recipe, Report().on_drop)]
    assert [document.project for document in documents] == ["x/r", "y/r"]


def test_a_tar_header_cannot_ask_for_all_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf() + bytes(50_000_000))
    assert reasons(read(tmp_path / "a.tar.gz")[1]) == {"archive bomb": 1}


def test_too_many_members_are_a_bomb(tmp_path: Path) -> None:
    for name in ("a.tar", "a.zip", "a.7z"):
        PACKERS[name](tmp_path / name, {f"{number}.py": b"x = 1\n" for number in range(20)})
    texts, report = read(tmp_path, max_members=10)
    assert reasons(report) == {"archive bomb": 3}
    assert len(texts) == 10  # what the tar gave before


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.7z"])
def test_empty_large_binary_and_undecodable_members_say_so(name: str, tmp_path: Path) -> None:
    bad = {"large.py": b"x" * 200, "binary.py": b"\0", "latin.py": b"\xff", "line\nend.py": b"x"}
    PACKERS[name](tmp_path / name, {"empty.py": b"", **bad, **FILES})
    texts, report = read(tmp_path / name, {"filters": {"max_file_bytes": 100}})
    assert texts.keys() == {"repo/a.py", "repo/src/naïve.py", "empty.py"}  # a filter drops the empty one
    assert reasons(report) == {"too large": 1, "binary": 1, "not UTF-8": 1, "unprintable path": 1}


def test_a_damaged_member_of_a_zip_costs_that_member_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("bad.py", "marker = 1\n")
        archive.writestr("good.py", "x = 1\n")
    content = (tmp_path / "a.zip").read_bytes().replace(b"marker = 1", b"damage = 2", 1)
    (tmp_path / "a.zip").write_bytes(content)
    texts, report = read(tmp_path / "a.zip")
    assert texts == {"good.py": "x = 1\n"}
    assert reasons(report) == {"damaged member": 1}


def test_an_encrypted_7z_is_damaged_for_us(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="secret") as archive:
        archive.writestr(b"x = 1\n", "a.py")
    assert reasons(read(tmp_path / "a.7z")[1]) == {"damaged archive": 1}


def test_excluded_paths_and_projects_are_reported(tmp_path: Path) -> None:
    pack_zip(tmp_path / "all.zip", {"one/a.py": b"x = 1\n", "one/test/b.py": b"x", "two/a.py": b"y = 1\n"})
    excluded = {"exclude": ["*/test/*"], "exclude_projects": ["TWO"]}
    texts, report = read(tmp_path / "all.zip", excluded, projects="entries")
    assert texts.keys() == {"one/a.py"}
    assert reasons(report) == {"excluded path": 1, "excluded project": 1}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.7z"])
def test_licences_are_detected_inside(name: str, tmp_path: Path, mit_licence: str) -> None:
    one = {"one/a.py": b"x = 1\n", "one/LICENSE": mit_licence.encode()}
    PACKERS[name](tmp_path / name, {**one, "two/a.py": b"y = 1\n", "two/COPYING": b"GPL"})
    texts, report = read(tmp_path / name, projects="entries", licence="detect")
    assert texts.keys() == {"one/a.py"}
    (dropped,) = report.dropped_projects
    assert (dropped.project, dropped.reason) == ("two", "unknown licence")


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="nothing-here"):
        read(tmp_path / "nothing-here")
    with pytest.raises(IncoderError, match="no file of its kind"):
        read(tmp_path)
