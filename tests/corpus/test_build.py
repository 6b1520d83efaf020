import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from incoder.config import load_recipe
from incoder.corpus import build
from incoder.corpus.build import build_corpus
from incoder.corpus.engine import running
from incoder.corpus.engine.stage import Stage
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import read_report
from incoder.corpus.storage import documents
from incoder.corpus.storage.documents import read_documents, sample_documents
from incoder.corpus.survey import survey
from incoder.corpus.text.languages import EXTENSIONS_OF
from incoder.document import Document
from incoder.errors import IncoderError

WriteFiles = Callable[..., Path]
MakeRecipe = Callable[..., CorpusRecipe]

FILES: dict[str, str | bytes] = {
    "one/a.py": "value = 1  # by a@b.com\n",
    "one/copy.py": "value=1 # by a@b.com",
    "one/empty.py": "",
    "one/bad.py": b"\xff",
    "two/b.py": "def größe():\r\n    return 2\r\n",
    "three/c.py": "value = 3\n",
    "three/long.py": "y" * 4000,
}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_documents_come_out_filtered_redacted_and_split(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    report = build_corpus(recipe(validation_projects=["two"]), tmp_path / "corpus")
    attributes = {"ext": ".py", "source": "folder"}
    assert list(read_documents(tmp_path / "corpus", "train")) == [
        Document(
            "value = 1  # by removed@example.com\n",
            "one/a.py",
            "one",
            "folder",
            None,
            {**attributes, "filename": "a.py"},
        ),
        Document("value = 3\n", "three/c.py", "three", "folder", None, {**attributes, "filename": "c.py"}),
    ]
    (held_out,) = read_documents(tmp_path / "corpus", "validation")
    assert held_out.text == "def größe():\r\n    return 2\r\n"
    assert report.num_documents == 3


def test_the_report_counts_everything_once(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    build_corpus(recipe(validation_projects=["two"]), tmp_path / "corpus")
    report = read_report(tmp_path / "corpus")
    assert report["splits"] == {
        "train": {"num_projects": 2, "num_documents": 2, "num_bytes": 46},
        "validation": {"num_projects": 1, "num_documents": 1, "num_bytes": 30},
    }
    assert {reason: count["num_files"] for reason, count in report["dropped"].items()} == {
        "duplicate": 1,
        "empty": 1,
        "long line": 1,
        "not UTF-8": 1,
    }
    assert report["dropped"]["duplicate"]["examples"] == [
        ["one", "one/copy.py", "duplicate of one: one/a.py"]
    ]
    kept = sum(count["num_documents"] for count in report["projects"].values())
    assert kept + sum(count["num_files"] for count in report["dropped"].values()) == len(FILES)


def test_the_same_recipe_and_input_give_the_same_bytes(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    for name in ("first", "second"):
        build_corpus(recipe(validation_fraction=0.3, attributes={"rate": 0.5}), tmp_path / name)
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_the_saved_recipe_builds_the_same_corpus(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    build_corpus(recipe(exclude=["*/three/*"]), tmp_path / "first")
    build_corpus(load_recipe(CorpusRecipe, tmp_path / "first" / "recipe.toml"), tmp_path / "second")
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_many_row_groups_read_back_in_order(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_ROW_GROUP_BYTES", 100)
    write_files({f"p/{number:03}.py": f"value = {number}\n" for number in range(200)})
    build_corpus(recipe(), tmp_path / "corpus")
    texts = [document.text for document in read_documents(tmp_path / "corpus", "train")]
    assert texts == [f"value = {number}\n" for number in range(200)]


def test_switches_turn_steps_off(write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path) -> None:
    write_files(FILES)
    settings = recipe(redact_emails=False, deduplicate=False, filters={"max_line_length": 5000})
    build_corpus(settings, tmp_path / "corpus")
    texts = {document.path: document.text for document in read_documents(tmp_path / "corpus", "train")}
    assert texts["one/copy.py"] == "value=1 # by a@b.com"
    assert "three/long.py" not in texts  # its mean line is long as well


def test_progress_reaches_the_total(write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path) -> None:
    write_files(FILES)
    told = dict[str, tuple[int, int]]()

    def on_progress(stage: str, done: int, total: int) -> None:
        told[stage] = done, total

    build_corpus(recipe(), tmp_path / "corpus", on_progress)
    assert list(told) == ["read", "find-duplicates", "write"]
    assert all(done == total for done, total in told.values())
    assert told["read"][0] == sum(len(text) for text in FILES.values()) + 2  # two letters of größe


def test_a_corpus_of_nothing_is_an_error_with_the_reasons(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"p/a.py": "", "p/b.py": b"\0"})
    with pytest.raises(IncoderError, match="no document survived: 1 binary; 1 empty"):
        build_corpus(recipe(), tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_a_failed_build_leaves_the_old_corpus(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    root = write_files({"p/a.py": "value = 1\n"})
    build_corpus(recipe(), tmp_path / "corpus")
    before = content(tmp_path / "corpus")
    (root / "p" / "a.py").write_text("")
    with pytest.raises(IncoderError, match="1 empty"):
        build_corpus(recipe(), tmp_path / "corpus")
    assert content(tmp_path / "corpus") == before


def test_a_folder_without_a_corpus_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="incoder corpus build"):
        list(read_documents(tmp_path, "train"))
    with pytest.raises(IncoderError, match="incoder corpus build"):
        read_report(tmp_path)


@pytest.mark.parametrize("damage", ["[]", "{", "\udcff"])
def test_a_damaged_report_is_an_error(tmp_path: Path, damage: str) -> None:
    (tmp_path / "report.json").write_text(damage, errors="surrogateescape")
    with pytest.raises(IncoderError, match="build the corpus again"):
        read_report(tmp_path)


def test_damaged_documents_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"sha256": {"train.parquet": ""}}')
    (tmp_path / "train.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(IncoderError, match=r"cannot read .*train\.parquet"):
        list(read_documents(tmp_path, "train"))


@pytest.mark.parametrize(
    "name", ["train.parquet", "train-of-mine.parquet", "validation.parquet", "recipe.toml", "report.json"]
)
def test_a_build_replaces_no_file_of_somebody_else(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, name: str
) -> None:
    write_files(FILES)
    output = tmp_path / "corpus"
    output.mkdir()
    (output / name).write_text("{}")
    with pytest.raises(IncoderError, match=f"holds {name}, which would be replaced"):
        build_corpus(recipe(), output)
    assert content(output) == {name: b"{}"}


def test_a_file_added_to_a_corpus_is_not_read_and_not_deleted(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    output = tmp_path / "corpus"
    build_corpus(recipe(), output)
    before = list(read_documents(output, "train"))
    (output / "train-of-mine.parquet").write_bytes((output / "train.parquet").read_bytes())
    assert list(read_documents(output, "train")) == before
    with pytest.raises(IncoderError, match=r"holds train-of-mine\.parquet"):
        build_corpus(recipe(), output)
    assert (output / "train-of-mine.parquet").exists()


def test_a_build_clears_no_folder_of_somebody_else(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files(FILES)
    for name in (".work", ".partial"):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        (tmp_path / "corpus" / name / "notes.txt").write_text("mine")
    with pytest.raises(IncoderError, match=r"holds \.work"):
        build_corpus(recipe(), tmp_path / "corpus")
    assert (tmp_path / "corpus" / ".work" / "notes.txt").read_text() == "mine"
    (tmp_path / "corpus" / ".work").rename(tmp_path / "corpus" / "moved")
    build_corpus(recipe(), tmp_path / "corpus")
    assert (tmp_path / "corpus" / ".partial" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "kind", ["folder", "git", "packages", "archives", "json-lines", "parquet", "stackoverflow"]
)
@pytest.mark.parametrize(
    ("output", "relation"), [("data/source", "is"), ("data/source/corpus", "is inside"), ("data", "holds")]
)
def test_an_output_is_apart_from_every_source(tmp_path: Path, kind: str, output: str, relation: str) -> None:
    source = tmp_path / "data" / "source"
    source.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / output)
    recipe = CorpusRecipe.model_validate({"sources": [{"kind": kind, "path": str(source)}]})
    for folder in (tmp_path / output, tmp_path / "link"):
        with pytest.raises(IncoderError, match=f"the output .* {relation} the source"):
            build_corpus(recipe, folder)
    assert list(source.iterdir()) == []


def test_a_sample_has_no_repetition_and_depends_on_the_seed(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({f"p/{number:03}.py": f"value = {number}\n" for number in range(50)})
    build_corpus(recipe(), tmp_path / "corpus")

    def sample(num_documents: int, seed: int) -> list[str]:
        drawn = sample_documents(tmp_path / "corpus", "train", num_documents, seed)
        return [document.path for document in drawn]

    assert len(set(sample(5, 0))) == 5
    assert sample(5, 0) == sample(5, 0) != sample(5, 1)
    assert len(sample(500, 0)) == 50


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("sources = []\n", "sources"),
        ('[[sources]]\nkind = "folders"\npath = "x"\n', "folder"),
        ('[[sources]]\nkind = "folder"\n', "path"),
        ('extensions = [".exe"]\n[[sources]]\nkind = "standard-library"\n', "must be one of .py"),
        ('[[sources]]\nkind = "standard-library"\n[filters]\nmax_line_size = 3\n', "max_line_length"),
        (
            'deduplicate = false\ndeduplication.near = true\n[[sources]]\nkind = "standard-library"\n',
            "deduplication.near must not be true",
        ),
        ('validation_fraction = 1.5\n[[sources]]\nkind = "standard-library"\n', "validation_fraction"),
    ],
)
def test_a_recipe_with_a_mistake_says_which(tmp_path: Path, settings: str, complaint: str) -> None:
    (tmp_path / "corpus.toml").write_text(settings)
    with pytest.raises(IncoderError, match=complaint):
        load_recipe(CorpusRecipe, tmp_path / "corpus.toml")


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_the_recipes_that_come_along_are_valid(name: str) -> None:
    recipes = Path(__file__).resolve().parents[2] / "recipes"
    recipe = load_recipe(CorpusRecipe, recipes / name / "corpus.toml")
    if name == "mini":
        listed = (recipes / name / "packages.txt").read_text().splitlines()
        packages = {line.partition("==")[0] for line in listed if not line.startswith("#")}
        assert not packages & set(recipe.exclude_projects)
        assert len(packages) + 1 <= 40  # and torch
        assert all("==" in line for line in listed if not line.startswith("#"))


@pytest.mark.parametrize("name", ["corpus-paper.toml", "corpus-my-repos.toml"])
def test_the_recipes_to_copy_are_valid(name: str) -> None:
    recipe = load_recipe(CorpusRecipe, Path(__file__).resolve().parents[2] / "recipes" / name)
    if name == "corpus-paper.toml":
        assert set(recipe.languages) == set(EXTENSIONS_OF)
        assert recipe.deduplication.method == "paper"


def test_the_report_is_json_with_names_as_they_are(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"größe/a.py": "value = 1\n"})
    build_corpus(recipe(), tmp_path / "corpus")
    text = (tmp_path / "corpus" / "report.json").read_text(encoding="utf-8")
    assert "größe" in text
    assert json.loads(text)["sha256"].keys() == {"recipe.toml", "train.parquet", "validation.parquet"}


def test_another_recipe_does_not_replace_a_corpus(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"p/a.py": "value = 1\n"})
    build_corpus(recipe(), tmp_path / "corpus")
    before = content(tmp_path / "corpus")
    with pytest.raises(IncoderError, match=r"corpus of other settings \(seed\).*another --output"):
        build_corpus(recipe(seed=1), tmp_path / "corpus")
    assert content(tmp_path / "corpus") == before
    build_corpus(recipe(engine={"workers": 1}), tmp_path / "corpus")  # says nothing of the documents
    assert content(tmp_path / "corpus") == before


def test_one_project_is_divided_by_files_and_says_so(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({f"p/m{number}.py": f"value = {number}\n" for number in range(40)})
    report = build_corpus(recipe(validation_fraction=0.2), tmp_path / "corpus")
    counts = read_report(tmp_path / "corpus")["splits"]
    assert counts["train"]["num_documents"] + counts["validation"]["num_documents"] == 40
    assert 0 < counts["validation"]["num_documents"] < 20
    assert report.projects["p"].split == "both"
    assert "groups of files" in report.notes[0]
    assert read_report(tmp_path / "corpus")["notes"] == report.notes


def test_naming_all_projects_for_validation_is_an_error(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"p/a.py": "value = 1\n"})
    with pytest.raises(IncoderError, match="leave none to train on"):
        build_corpus(recipe(validation_projects=["p"]), tmp_path / "corpus")


def test_every_drop_can_be_written_down(write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path) -> None:
    write_files(FILES)
    build_corpus(recipe(exclude_projects=["two"]), tmp_path / "corpus", keeps_drops=True)
    rows = parquet.read_table(tmp_path / "corpus" / "drops.parquet").to_pylist()
    assert {(row["path"], row["reason"]) for row in rows} == {
        ("one/copy.py", "duplicate"),
        ("one/empty.py", "empty"),
        ("one/bad.py", "not UTF-8"),
        ("two/b.py", "excluded project"),
        ("three/long.py", "long line"),
    }
    dropped = read_report(tmp_path / "corpus")["dropped"]
    assert len(rows) == sum(count["num_files"] for count in dropped.values())


def test_a_source_that_vanishes_stops_the_build_and_keeps_the_work(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files({f"p/m{number}.py": f"value = {number}\n" for number in range(20)})
    run_stage, away = running.run_stage, tmp_path / "away"

    def unplugged(stage: Stage, *others: Any) -> None:
        if stage.name == "read":
            root.rename(away)
        run_stage(stage, *others)

    monkeypatch.setattr(build, "run_stage", unplugged)
    with pytest.raises(IncoderError, match=r"20 of 20 files cannot be read.*same command goes on"):
        build_corpus(recipe(), tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "report.json").exists()
    away.rename(root)
    monkeypatch.setattr(build, "run_stage", run_stage)
    assert build_corpus(recipe(), tmp_path / "corpus").num_documents == 20


@pytest.mark.parametrize(
    ("stage_name", "name", "damage"),
    [
        ("read", "documents/000000.parquet", "truncated"),
        ("read", "documents/000000.parquet", "flipped"),
        ("read", "documents/000000.parquet", "gone"),
        ("read", "signatures/000000.npy", "truncated"),
        ("read", "signatures/000000.npy", "flipped"),
        ("read", "read/reports/000000", "gone"),
        ("find-duplicates", "duplicates/exact-000000.npy", "flipped"),
        ("write", "written/train-000000.parquet", "flipped"),
        ("write", "written/validation-000000.parquet", "gone"),
        ("write", "write/reports/000000", "truncated"),
    ],
)
def test_work_that_is_damaged_is_done_again(
    stage_name: str,
    name: str,
    damage: str,
    write_files: WriteFiles,
    recipe: MakeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_files({f"p/m{number}.py": f"value = {number}\n" * 9 for number in range(9)})
    build_corpus(recipe(), tmp_path / "whole")
    run_stage, damaged = running.run_stage, list[Path]()

    def damaging(stage: Stage, folder: Path, *others: Any) -> None:
        run_stage(stage, folder, *others)
        if stage.name == stage_name and not damaged:
            path = folder / name
            damaged.append(path)
            data = bytearray(path.read_bytes())
            data[len(data) // 3] ^= 0x40
            path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
            if damage == "gone":
                path.unlink()

    monkeypatch.setattr(build, "run_stage", damaging)
    build_corpus(recipe(), tmp_path / "corpus")
    assert damaged
    assert content(tmp_path / "corpus") == content(tmp_path / "whole")


def test_a_damaged_file_is_one_clear_error_from_every_reader(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"p/a.py": "".join(f"value{number} = {number}\n" for number in range(500))})
    corpus = tmp_path / "corpus"
    build_corpus(recipe(), corpus)
    path = corpus / "train.parquet"
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    readers: list[Callable[[], object]] = [
        lambda: list(read_documents(corpus, "train")),
        lambda: list(sample_documents(corpus, "train", 1, seed=0)),
        lambda: survey(corpus),
    ]
    for reader in readers:
        with pytest.raises(IncoderError, match=r"cannot read .*train\.parquet: [^\n]*\Z"):
            reader()


def test_a_file_system_without_hard_links_is_enough(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    write_files({"p/a.py": "value = 1\n"})
    build_corpus(recipe(), tmp_path / "one")
    monkeypatch.setattr(os, "link", refused)
    build_corpus(recipe(), tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_failure_before_anything_is_done_leaves_no_folder(recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="missing"):
        build_corpus(recipe(), tmp_path / "new" / "corpus")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("near", [False, True])
def test_nothing_to_read_names_the_languages_that_are_there(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, near: bool
) -> None:
    write_files({"ripgrep/a.rs": "x", "ripgrep/b.rs": "x"})
    with pytest.raises(IncoderError, match=r"ripgrep: \.rs 2"):
        build_corpus(recipe(deduplication={"near": near}), tmp_path / "corpus")
