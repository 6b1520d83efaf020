import bz2
import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.columns import licence_expression
from incoder.corpus.sources.listing import list_input_shards
from incoder.corpus.sources.record_files import bounded_lines
from incoder.corpus.storage.documents import DocumentWriter
from incoder.document import Document
from incoder.errors import IncoderError

Records = list[dict[str, Any]]


def read(
    kind: str, path: Path, recipe: dict[str, Any] | None = None, **source: Any
) -> tuple[list[Document], Report]:
    listed = {"kind": kind, "path": str(path), "unknown_licence": "keep", **source}
    settings = CorpusRecipe.model_validate({"sources": [listed], **(recipe or {})})
    report = Report()
    documents = [
        document
        for shard in list_input_shards(settings, path.parent / "scratch", report.on_drop)
        for document in pickle.loads(pickle.dumps(shard)).documents(settings, report.on_drop)
    ]
    return documents, report


def reasons(report: Report) -> dict[str, int]:
    return {reason: count.num_files for reason, count in report.dropped.items()}


def write_lines(path: Path, records: Records) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_parquet(path: Path, records: Records) -> None:
    parquet.write_table(pa.Table.from_pylist(records), path, row_group_size=2)


WRITERS: dict[str, tuple[str, Callable[[Path, Records], None]]] = {
    "json-lines": ("records.jsonl", write_lines),
    "parquet": ("records.parquet", write_parquet),
}

# A record of each data set with the columns of its card, and what it must become.
CODE = "x = 1\n"
DATA_SETS: dict[str, tuple[Records, Document]] = {
    "own": (
        [
            {
                "repo": "o/r",
                "path": "a.py",
                "content": CODE,
                "licence": "MIT",
                "stars": 7,
                "source": "gitlab",
                "commit": "c0ffee",
            }
        ],
        Document(CODE, "a.py", "o/r", "gitlab", "MIT", {}, 7, {"commit": "c0ffee"}),
    ),
    "stack-v1": (
        [
            {
                "hexsha": "h",
                "size": 6,
                "ext": "py",
                "lang": "Python",
                "max_stars_repo_path": "a.py",
                "max_stars_repo_name": "o/r",
                "max_stars_repo_head_hexsha": "c0ffee",
                "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
                "max_stars_count": 7.0,
                "max_issues_repo_path": "other.py",
                "content": CODE,
                "avg_line_length": 5.0,
            }
        ],
        Document(CODE, "a.py", "o/r", "github", "MIT AND Apache-2.0", {}, 7, {"commit": "c0ffee"}),
    ),
    "stack-v2": (
        [
            {
                "blob_id": "b",
                "path": "/src/a.py",
                "detected_licenses": ["MIT"],
                "license_type": "permissive",
                "repo_name": "o/r",
                "revision_id": "c0ffee",
                "star_events_count": 7,
                "gha_license_id": None,
                "content": CODE,
            }
        ],
        Document(CODE, "src/a.py", "o/r", "github", "MIT", {}, 7, {"commit": "c0ffee"}),
    ),
    "stack-v3": (
        [
            {
                "repo_path": "o/r",
                "repo_id": 1,
                "commit_id": "c0ffee",
                "github_metadata": {"branch": "main", "stars": 7, "is_fork": False},
                "num_files": 2,
                "files": [
                    {
                        "path": "a.py",
                        "content": CODE,
                        "license_type": "permissive",
                        "detected_licenses": ["MIT"],
                    },
                    {"path": "a.exe", "content": "", "license_type": "permissive", "detected_licenses": []},
                ],
            }
        ],
        Document(CODE, "a.py", "o/r", "github", "MIT", {}, 7, {"commit": "c0ffee"}),
    ),
    "starcoderdata": (
        [
            {
                "max_stars_repo_path": "a.py",
                "max_stars_repo_name": "o/r",
                "max_stars_count": 7,
                "id": "1",
                "content": CODE,
            }
        ],
        Document(CODE, "a.py", "o/r", "github", None, {}, 7),
    ),
    "bigquery": (
        [
            {
                "id": "1",
                "binary": False,
                "content": CODE,
                "copies": "1",
                "license": "mit",
                "mode": "33188",
                "path": "a.py",
                "ref": "refs/heads/master",
                "repo_name": "o/r",
                "size": "6",
            }
        ],
        Document(CODE, "a.py", "o/r", "github", "mit"),
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("columns", DATA_SETS)
def test_the_columns_of_the_public_data_sets_are_known(kind: str, columns: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    records, document = DATA_SETS[columns]
    write(tmp_path / name, records)
    found, report = read(kind, tmp_path / name, {"attributes": {"rate": 0.0}}, columns=columns)
    assert found == [document]
    assert reasons(report) == {}


@pytest.mark.parametrize("kind", WRITERS)
def test_own_names_for_columns_replace_the_maps(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    write(tmp_path / name, [{"body": CODE, "path": "a.py", "meta": {"file": {"repo": "o/r"}}}])
    names = {"text": "body", "project": "meta.file.repo"}
    (document,), _ = read(kind, tmp_path / name, column_names=names)
    assert (document.text, document.project) == (CODE, "o/r")


@pytest.mark.parametrize("kind", WRITERS)
def test_records_are_dropped_one_by_one_with_the_reason(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    good = {"repo": "o/r", "path": "a.py", "content": CODE, "licence": "MIT"}
    changes: Records = [
        {},
        {"path": None},
        {"content": None},
        {"path": "a.txt"},
        {"path": "line\nend.py"},
        {"content": "a\0b"},
        {"content": "y" * 200},
        {"licence": "GPL-3.0-only"},
        {"licence": None},
        {"repo": "someone/EXCLUDED"},
        {"path": "node_modules/a.py"},
    ]
    write(tmp_path / name, [{**good, **change} for change in changes])
    recipe = {"filters": {"max_file_bytes": 100}, "exclude_projects": ["excluded"]}
    found, report = read(kind, tmp_path / name, recipe, unknown_licence=None)
    assert [document.path for document in found] == ["a.py"]
    assert reasons(report) == {
        "record without text or path": 2,
        "unprintable path": 1,
        "binary": 1,
        "too large": 1,
        "licence not allowed": 1,
        "unknown licence": 1,
        "excluded project": 1,
        "vendored": 1,
    }


HALF = "\ud83d"  # of a surrogate pair


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content": f"x = '{HALF}'"}, "not UTF-8"),
        ({"url": HALF}, "not UTF-8"),
        ({"source": HALF}, "not UTF-8"),
        ({"licence": HALF}, "licence not allowed"),
    ],
)
def test_half_a_character_costs_its_record_alone(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    good = {"repo": "o/r", "path": "a.py", "content": CODE}
    write_lines(tmp_path / "a.jsonl", [{**good, **change}, good])
    found, report = read("json-lines", tmp_path / "a.jsonl")
    assert [document.text for document in found] == [CODE]
    assert reasons(report) == {reason: 1}


@pytest.mark.parametrize("field", ["repo", "path"])
def test_a_name_with_half_a_character_can_be_reported(field: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"repo": "r", "path": "a.py", "content": CODE, field: HALF + ".py"}])
    found, report = read("json-lines", tmp_path / "a.jsonl")
    assert found == []
    assert "\\ud83d.py" in report.dropped["unprintable path"].examples[0]


def test_a_record_that_breaks_the_code_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str, *_: object) -> None:
        assert path != "b.py"

    monkeypatch.setattr("incoder.corpus.sources.reading.path_reason", broken)
    write_lines(tmp_path / "a.jsonl", [{"path": f"{name}.py", "content": CODE} for name in "abc"])
    found, report = read("json-lines", tmp_path / "a.jsonl")
    assert [document.path for document in found] == ["a.py", "c.py"]
    assert reasons(report) == {"failed: AssertionError": 1}


@pytest.mark.parametrize(
    ("stars", "known"), [("1e30", None), ("1e999", None), ("NaN", None), ("-1", None), ("7.0", 7)]
)
def test_stars_beyond_counting_are_not_known(stars: str, known: int | None, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"path": "a.py", "content": "x = 1", "stars": {stars}}}\n')
    (document,), _ = read("json-lines", tmp_path / "a.jsonl")
    assert document.stars == known


def test_no_detected_licence_leaves_the_one_that_github_knows(tmp_path: Path) -> None:
    record = {"path": "/a.py", "content": CODE, "detected_licenses": [], "gha_license_id": "MIT"}
    write_lines(tmp_path / "a.jsonl", [record])
    (document,), _ = read("json-lines", tmp_path / "a.jsonl", columns="stack-v2")
    assert document.licence == "MIT"


def test_a_link_in_bigquery_is_no_document(tmp_path: Path) -> None:
    link = {"path": "a.py", "repo_name": "o/r", "content": "../b.py", "mode": "40960"}
    write_lines(tmp_path / "a.jsonl", [link, {**link, "content": CODE, "mode": 33188}])
    found, report = read("json-lines", tmp_path / "a.jsonl", columns="bigquery")
    assert [document.text for document in found] == [CODE]
    assert reasons(report) == {"not a regular file": 1}


@pytest.mark.parametrize("path", ["../../x.py", "a/../../x.py", "..\\x.py"])
def test_a_path_that_leads_out_of_its_project_is_refused(path: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"path": path, "content": CODE}, {"path": "a..b.py", "content": CODE}])
    found, report = read("json-lines", tmp_path / "a.jsonl")
    assert [document.path for document in found] == ["a..b.py"]
    assert reasons(report) == {"path leads out of its project": 1}


def test_a_corpus_is_read_again_as_it_is(tmp_path: Path) -> None:
    code = Document(CODE, "a.py", "o/r", "github", "MIT", {"ext": ".py"}, 7, {"commit": "c0", "url": "u"})
    notebook = Document("<cell>\nx = 1\n</cell>\n", "a.ipynb", "o/r", "github", None, {"ext": ".ipynb:ir"})
    thread = Document(
        "<| q |>\nt\n<|/ q |>\n", "questions/1", "s/s-001", "stackoverflow", "CC-BY-SA-4.0", {}, None,
        {"authors": "[]"},
    )  # fmt: skip
    with DocumentWriter(tmp_path / "a.parquet") as writer:
        for document in (code, notebook, thread):
            writer.write(document)
    recipe = {"languages": ["Python", "Jupyter"], "attributes": {"names": ["ext"]}}
    found, report = read("parquet", tmp_path / "a.parquet", recipe)
    assert found == [code, notebook, thread]
    assert reasons(report) == {}


def test_bytes_are_decoded_and_judged(tmp_path: Path) -> None:
    records = [
        {"repo": "r", "path": "a.py", "content": b"\xff"},
        {"repo": "r", "path": "b.py", "content": b"x = 1"},
    ]
    write_parquet(tmp_path / "a.parquet", records)
    found, report = read("parquet", tmp_path / "a.parquet")
    assert [document.text for document in found] == ["x = 1"]
    assert reasons(report) == {"not UTF-8": 1}


def test_text_that_is_no_utf8_in_a_text_column_costs_its_row_alone(tmp_path: Path) -> None:
    contents = pa.array([b"x = 1", b"\xff", b"y = 1"], pa.binary()).view(pa.string())
    table = pa.table({"path": ["a.py", "b.py", "c.py"], "content": contents})
    parquet.write_table(table, tmp_path / "a.parquet")
    found, report = read("parquet", tmp_path / "a.parquet")
    assert [document.text for document in found] == ["x = 1", "y = 1"]
    assert reasons(report) == {"not UTF-8": 1}


def test_every_row_group_is_an_input_shard(tmp_path: Path) -> None:
    records = [{"repo": "r", "path": f"{number}.py", "content": f"x = {number}"} for number in range(5)]
    write_parquet(tmp_path / "a.parquet", records)
    write_parquet(tmp_path / "b.parquet", records[:1])
    recipe = CorpusRecipe.model_validate(
        {"sources": [{"kind": "parquet", "path": str(tmp_path), "unknown_licence": "keep"}]}
    )
    shards = list(list_input_shards(recipe, tmp_path / "scratch", Report().on_drop))
    assert len(shards) == len({shard.name for shard in shards}) == 4
    paths = [document.path for shard in shards for document in shard.documents(recipe, Report().on_drop)]
    assert paths == ["0.py", "1.py", "2.py", "3.py", "4.py", "0.py"]


def test_a_file_without_the_columns_names_those_it_has(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [{"code": CODE, "path": "a.py"}])
    with pytest.raises(IncoderError, match=r"content or text for the text.*got code, path"):
        read("parquet", tmp_path / "a.parquet")


def test_a_file_without_the_columns_does_not_cost_the_others(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [{"code": CODE, "path": "a.py"}])
    write_parquet(tmp_path / "b.parquet", [{"content": CODE, "path": "b.py"}])
    found, report = read("parquet", tmp_path)
    assert [document.path for document in found] == ["b.py"]
    assert reasons(report) == {"no column for text or path": 1}


def test_the_folder_of_a_fetch_may_be_named_itself(tmp_path: Path) -> None:
    for folder in ("files", "staging"):
        (tmp_path / folder).mkdir()
        write_parquet(tmp_path / folder / "a.parquet", [{"content": CODE, "path": f"{folder}.py"}])
    write_parquet(tmp_path / "manifest.parquet", [{"repo": "o/r"}])
    found, report = read("parquet", tmp_path)
    assert [document.path for document in found] == ["files.py"]
    assert reasons(report) == {}


@pytest.mark.parametrize("kept", [0, 10, 400])
def test_a_truncated_parquet_is_counted(kept: int, tmp_path: Path) -> None:
    records = [{"repo": "r", "path": "a.py", "content": CODE}]
    write_parquet(tmp_path / "a.parquet", records)
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:kept])
    write_parquet(tmp_path / "b.parquet", records)
    found, report = read("parquet", tmp_path)
    assert len(found) == 1
    assert reasons(report) == {"damaged file": 1}


def test_damage_inside_a_parquet_costs_its_row_group(tmp_path: Path) -> None:
    import random

    texts = [random.Random(number).randbytes(500).hex() for number in range(4)]
    write_parquet(
        tmp_path / "a.parquet", [{"path": f"{n}.py", "content": text} for n, text in enumerate(texts)]
    )
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    at = content.index(texts[0][:40].encode()) - 60  # the header of the page
    content[at : at + 60] = bytes(60)
    (tmp_path / "a.parquet").write_bytes(content)
    found, report = read("parquet", tmp_path / "a.parquet", {"filters": {"max_line_length": 5000}})
    assert [document.path for document in found] == ["2.py", "3.py"]
    assert reasons(report) == {"damaged file": 1}


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.bz2", ".jsonl.zst", ".ndjson"])
def test_json_lines_may_be_compressed(suffix: str, tmp_path: Path) -> None:
    line = json.dumps({"repo": "r", "path": "a.py", "content": "größe = 1\n"}).encode() + b"\n"
    path = tmp_path / f"a{suffix}"
    if suffix.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as out:
            out.write(line * 3)
    else:
        packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress}
        pack = packers.get(path.suffix, bytes)
        path.write_bytes(pack(line * 3))
    found, report = read("json-lines", path)
    assert [document.text for document in found] == ["größe = 1\n"] * 3
    assert reasons(report) == {}


def test_bad_lines_cost_themselves_alone(tmp_path: Path) -> None:
    good = json.dumps({"repo": "r", "path": "a.py", "content": CODE}).encode()
    long = json.dumps({"repo": "r", "path": "b.py", "content": "y" * 10_000}).encode()
    lines = [good, b"{", b"[1]", b"\xff", b"", b"[" * 100_000, b"null", long, good]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    found, report = read("json-lines", tmp_path / "a.jsonl", {"filters": {"max_file_bytes": 100}})
    assert len(found) == 2
    assert reasons(report) == {"not a JSON record": 4, "too large": 2}


def test_a_truncated_gzip_gives_what_comes_before(tmp_path: Path) -> None:
    line = json.dumps({"repo": "r", "path": "a.py", "content": CODE}).encode() + b"\n"
    packed = gzip.compress(line * 100_000)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    found, report = read("json-lines", tmp_path / "a.jsonl.gz")
    assert 0 < len(found) < 100_000
    assert reasons(report)["damaged file"] == 1


def test_long_lines_are_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\n" + b"x" * 1_000_000 + b"\nb\n" + b"y" * 11)
    with (tmp_path / "a").open("rb") as file:
        assert list(bounded_lines(file, 10)) == [(b"a\n", 2), (None, 1_000_001), (b"b\n", 2), (None, 11)]


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ("mit", "mit"),
        (["MIT"], "MIT"),
        (["MIT", "Apache-2.0"], "MIT AND Apache-2.0"),
        (["MIT OR GPL-2.0", "0BSD"], "(MIT OR GPL-2.0) AND 0BSD"),
        (["MIT", "NOASSERTION"], None),
        ("NOASSERTION", None),
        ([], None),
        (None, None),
        ("", None),
    ],
)
def test_licences_of_records_become_one_expression(value: object, expression: str | None) -> None:
    assert licence_expression(value) == expression
