import itertools
import random
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus.deduplication.deduplication_settings import DeduplicationSettings
from incoder.corpus.deduplication.exact import (
    SIGNATURE,
    Signatures,
    document_key,
    duplicates_among,
    partition_of,
    signature,
    tie_of,
    token_key,
)
from incoder.corpus.deduplication.near import near_duplicates_among, shingles, sketches
from incoder.corpus.deduplication.one_pass import SeenKeys
from incoder.corpus.stages.find_duplicates import EXACT, FindDuplicates, duplicates_of_shard
from incoder.corpus.stages.run_paths import ROW_BITS, signatures_file
from incoder.corpus.text.words import ngram_hashes, words_of
from incoder.document import Document


def document(text: str, path: str = "a.py", stars: int | None = None) -> Document:
    return Document(text, path, "p", "folder", stars=stars)


def stars_of(one: Document) -> int:
    return -1 if one.stars is None else one.stars


def signatures_of(documents: list[Document]) -> Signatures:
    return np.array([signature(one, position) for position, one in enumerate(documents)], SIGNATURE)


def kept_of(documents: list[Document]) -> list[Document]:
    found = signatures_of(documents)
    dropped = set(duplicates_among(found)["position"].tolist())
    return [one for position, one in enumerate(documents) if position not in dropped]


def test_spacing_and_punctuation_do_not_count() -> None:
    assert token_key("x = f(1, 2)\n", ".py") == token_key("x=f( 1,\r\n\t2 );", ".py")


def test_case_order_number_and_extension_count() -> None:
    keys = {
        token_key(text, ext)
        for text, ext in [("a b", ".py"), ("A b", ".py"), ("b a", ".py"), ("a b b", ".py"), ("a b", ".pyi")]
    }
    assert len(keys) == 5


def test_letters_of_other_scripts_count() -> None:
    assert token_key("名 = 1", ".py") != token_key("値 = 1", ".py")


@given(st.text(st.characters(max_codepoint=127)), st.text(st.characters(max_codepoint=127)))
def test_keys_are_equal_where_the_words_are(one: str, other: str) -> None:
    same = re.findall(r"\w+", one, re.ASCII) == re.findall(r"\w+", other, re.ASCII)
    assert (token_key(one, ".py") == token_key(other, ".py")) == same


def one_pass(documents: list[Document], run: Path) -> list[Document]:
    """What stays where the stage looks in one pass through two shards, whose signatures are in any order."""
    signatures = signatures_of(documents)[::-1].copy()
    signatures["position"] |= (signatures["position"] % 2) << ROW_BITS  # every other document in either shard
    (run / "signatures").mkdir()
    for shard in range(2):
        np.save(signatures_file(run, shard), signatures[signatures["position"] >> ROW_BITS == shard])
    settings = DeduplicationSettings(method="paper", expected_documents=2000, error_rate=1e-9)
    FindDuplicates(run, 2, 1, settings)(0, lambda _: None)
    dropped = {row for shard in range(2) for row in duplicates_of_shard(run, shard, EXACT, 1)}
    return [one for position, one in enumerate(documents) if position not in dropped]


def test_in_one_pass_the_first_of_several_duplicates_stays(tmp_path: Path) -> None:
    documents = [document("x = 1", "b.py"), document("x = 2", "c.py"), document("x=1", "a.py", stars=9)]
    assert [one.path for one in one_pass(documents, tmp_path)] == ["b.py", "c.py"]


def test_one_pass_keeps_what_a_set_of_keys_keeps(tmp_path: Path) -> None:
    draw = random.Random(0)
    documents = [document(f"x = {draw.randrange(700)}", f"{number}.py") for number in range(2000)]
    seen, expected = set[bytes](), list[str]()
    for one in documents[::2] + documents[1::2]:
        if (key := token_key(one.text, ".py")) not in seen:
            expected.append(one.path)
            seen.add(key)
    assert sorted(one.path for one in one_pass(documents, tmp_path)) == sorted(expected)


def test_the_filter_errs_no_more_often_than_it_is_sized_for() -> None:
    seen = SeenKeys(expected_documents=20_000, error_rate=0.01)
    keys = [document_key(document(str(number))) for number in range(25_000)]
    assert sum(map(seen.add, keys[:20_000])) > 20_000 * 0.99
    strangers = sum(not seen.add(key) for key in keys[20_000:])
    assert strangers < 100  # 50 to begin with are expected, and what was added since adds a few


def test_the_duplicate_with_most_stars_stays() -> None:
    documents = [
        document("x = 1", "unknown.py"),
        document("x=1", "few.py", 3),
        document("x = 1;", "many.py", 70_000),
        document("y = 1", "other.py"),
    ]
    assert [one.path for one in kept_of(documents)] == ["many.py", "other.py"]


texts = st.sampled_from(["x = 1", "x=1", "x = 2", "y", ""])
paths = st.sampled_from(["a.py", "b.py", "c.js"])
documents_lists = st.lists(st.builds(document, texts, paths, st.none() | st.integers(0, 2)), max_size=12)


@given(documents_lists, st.randoms(use_true_random=False))
def test_which_duplicates_stay_does_not_depend_on_the_order(
    documents: list[Document], draw: random.Random
) -> None:
    shuffled = documents.copy()
    draw.shuffle(shuffled)

    def names(kept: list[Document]) -> list[tuple[str, str, int]]:
        return sorted((one.text, one.path, one.stars or 0) for one in kept)

    assert names(kept_of(documents)) == names(kept_of(shuffled))


@given(documents_lists, st.integers(1, 5))
def test_duplicates_found_by_partitions_are_those_found_at_once(
    documents: list[Document], num_partitions: int
) -> None:
    found = signatures_of(documents)
    partitions = partition_of(found, num_partitions)
    by_partition = [
        duplicates_among(found[partitions == partition]).tolist() for partition in range(num_partitions)
    ]
    assert sorted(itertools.chain(*by_partition)) == duplicates_among(found).tolist()


@given(documents_lists)
def test_each_duplicate_is_told_which_one_stays_for_it(documents: list[Document]) -> None:
    found = signatures_of(documents)
    clusters = defaultdict[bytes, list[int]](list)
    for position, one in enumerate(documents):
        clusters[document_key(one)].append(position)
    expected = dict[int, int]()
    for members in clusters.values():
        best = min(members, key=lambda at: (-stars_of(documents[at]), tie_of(documents[at]), at))
        expected |= {position: best for position in members if position != best}
    duplicates = duplicates_among(found)
    assert dict(zip(duplicates["position"].tolist(), duplicates["kept"].tolist(), strict=True)) == expected


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=20), st.integers(1, 5))
def test_runs_of_words_have_equal_numbers_where_they_are_equal(words: list[bytes], n: int) -> None:
    numbers = ngram_hashes(words, n).tolist()
    runs = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    assert len(numbers) == len(runs)
    assert len(set(numbers)) == len(set(runs))
    assert len(set(zip(numbers, runs, strict=True))) == len(set(runs))


def test_words_can_be_taken_in_small_letters() -> None:
    assert words_of("Ab(c_D)\tß9") == [b"Ab", b"c_D", "ß9".encode()]
    assert words_of("Ab(c_D)", lower=True) == [b"ab", b"c_d"]


def jaccard(one: str, other: str) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}

    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


@pytest.mark.parametrize("num_changed", [0, 4, 20, 60, 200])
def test_a_sketch_estimates_the_overlap(num_changed: int) -> None:
    draw = random.Random(num_changed)
    words = [f"w{draw.randrange(10_000)}" for _ in range(1000)]
    changed = words.copy()
    for at in draw.sample(range(1000), num_changed):
        changed[at] = "changed"
    one, other = " ".join(words), " ".join(changed)
    rows = sketches([shingles(words_of(text)) for text in (one, other)])
    # The standard deviation of a share of 250 draws is at most 0.032.
    assert abs(np.mean(rows[0] == rows[1]) - jaccard(one, other)) < 0.11


def near_kept(documents: list[Document], threshold: float = 0.7) -> list[str]:
    stars = np.array([stars_of(one) for one in documents])
    ties = np.array([tie_of(one) for one in documents], np.uint64)
    rows = sketches([shingles(words_of(one.text)) for one in documents])
    duplicates = near_duplicates_among(rows, stars, ties, np.arange(len(documents)), threshold)
    return [one.path for at, one in enumerate(documents) if at not in set(duplicates["position"].tolist())]


def test_of_nearly_equal_documents_the_one_with_most_stars_stays() -> None:
    draw = random.Random(0)
    words = [f"w{draw.randrange(10_000)}" for _ in range(600)]
    documents = [
        document(" ".join(words), "first.py", 1),
        document(" ".join([*words[:300], "inserted", *words[300:]]), "best.py", 5),
        document(" ".join([*words[:-7], "end"]), "cut.py"),
        document(" ".join(draw.sample(words, 600)), "shuffled.py"),
        document("too short", "short.py"),
        document("also short", "short_too.py"),
    ]
    assert near_kept(documents) == ["best.py", "shuffled.py", "short.py", "short_too.py"]
    assert near_kept(documents[::-1]) == ["short_too.py", "short.py", "shuffled.py", "best.py"]
    assert near_kept([]) == []
