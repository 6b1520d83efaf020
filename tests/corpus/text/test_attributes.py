import json
from collections import Counter
from pathlib import Path

from incoder.corpus.build import build_corpus
from incoder.corpus.recipe import AttributeSettings, CorpusRecipe
from incoder.corpus.sources.source_file import SourceFile
from incoder.corpus.storage.documents import read_documents
from incoder.corpus.text.attributes import attributes_of, render
from incoder.corpus.text.stars import FoundStars, StarBins, note_stars
from incoder.document import Document


def document(number: int = 0, **attributes: str) -> Document:
    return Document("x = 1\n", f"{number}.py", "p", "folder", None, attributes)


def source_file(number: int) -> SourceFile:
    return SourceFile("p", f"a b/my {number}.py", "git", Path("/nowhere"), 3)


def test_attributes_stand_between_the_tags_of_either_end() -> None:
    texts = {render(document(number, ext=".py"), seed=0) for number in range(50)}
    assert texts == {
        "<| file ext=.py |>\nx = 1\n\n<|/ file |>",
        "<| file |>\nx = 1\n\n<|/ file ext=.py |>",
    }


def test_every_placement_and_order_comes_up_equally_often() -> None:
    counts = Counter(
        render(document(number, a="1", b="2", c="3"), seed=0).replace("x = 1\n", "") for number in range(8000)
    )
    # Each of 8 placements is as likely as any other; 2 of them have all three on one side and so 6 orders,
    # the others have 2.
    assert len(counts) == 2 * 6 + 6 * 2
    for text, count in counts.items():
        num_orders = 6 if text.partition("\n")[0].count("=") in (0, 3) else 2
        expected = 8000 / 8 / num_orders
        assert abs(count - expected) < 5 * expected**0.5


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    def texts(seed: int) -> list[str]:
        return [render(document(number, a="1", b="2"), seed) for number in range(20)]

    assert texts(1) == texts(1) != texts(2)


def test_a_value_with_a_blank_is_quoted() -> None:
    assert 'filename="my file.py"' in render(document(filename="my file.py"), seed=0)


def test_without_attributes_the_text_is_left_alone() -> None:
    assert render(document(), seed=0) == "x = 1\n"


def test_a_file_tells_its_extension_source_and_name() -> None:
    assert attributes_of(source_file(1), AttributeSettings(), seed=0) == {
        "ext": ".py",
        "source": "git",
        "filename": "my 1.py",
    }
    assert attributes_of(source_file(1), AttributeSettings(names=("ext",)), seed=0) == {"ext": ".py"}


def test_the_rate_is_the_share_of_documents_with_attributes() -> None:
    settings = AttributeSettings(rate=0.3)
    tagged = [number for number in range(2000) if attributes_of(source_file(number), settings, seed=0)]
    assert 520 < len(tagged) < 680
    assert not attributes_of(source_file(1), AttributeSettings(rate=0.0), seed=0)


def starred(project: str, path: str, stars: int | None, source: str = "github") -> Document:
    return Document("x = 1\n", path, project, source, stars=stars)


def test_stars_are_binned_among_the_repositories_of_a_source_and_language() -> None:
    found: FoundStars = {}
    for number in range(100):  # many files of one repository count once
        for file in range(1 + number % 3):
            note_stars(starred(f"p{number}", f"{file}.py", number), found)
    note_stars(starred("j", "a.js", 7), found)
    bins = StarBins.of([found], AttributeSettings(), seed=0)
    assert bins.bounds["github", "Python"] == (0, 50, 75, 87, 93, 96)
    python = [bins.bin("p", "a.py", "github", stars) for stars in (0, 49, 50, 74, 75, 96, 10_000)]
    assert python == [0, 0, 1, 1, 2, 5, 5]
    assert bins.bin("p", "a.js", "github", 7) == 0


def test_without_known_stars_there_is_no_bin() -> None:
    found: FoundStars = {}
    documents = [starred("p", "a.py", None), starred("q", "a.py", 3, "gitlab"), starred("r", "a.xyz", 3)]
    for document in documents:
        note_stars(document, found)
    bins = StarBins.of([found], AttributeSettings(), seed=0)
    assert found == {}
    assert [bins.bin(d.project, d.path, d.source, d.stars) for d in documents] == [None, None, None]


def test_the_bounds_of_a_language_may_be_given() -> None:
    found: FoundStars = {("github", "Python"): {"p": 500}}
    settings = AttributeSettings(star_bounds={"Python": (0, 2, 8, 24, 66, 161)})
    bins = StarBins.of([found], settings, seed=0)
    assert [bins.bin("p", "a.py", "github", stars) for stars in (0, 2, 24, 160, 161)] == [0, 1, 3, 4, 5]


def test_documents_without_attributes_and_recipes_without_stars_have_no_bin() -> None:
    found: FoundStars = {("github", "Python"): {"p": 500}}
    bare = StarBins.of([found], AttributeSettings(rate=0.0), seed=0)
    assert bare.bin("p", "a.py", "github", 500) is None
    unwanted = StarBins.of([found], AttributeSettings(names=("ext",)), seed=0)
    assert unwanted.bin("p", "a.py", "github", 500) is None


def test_a_build_writes_the_bins_into_its_documents(tmp_path: Path) -> None:
    rows = [
        {
            "text": f"number_of_stars = {stars}\n",
            "path": f"{stars}.py",
            "project": f"o/p{stars}",
            "stars": stars,
        }
        for stars in range(8)
    ]
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({**row, "source": "github"}) + "\n" for row in rows)
    )
    source = {"kind": "json-lines", "path": str(tmp_path / "rows.jsonl"), "unknown_licence": "keep"}
    recipe = CorpusRecipe.model_validate({"sources": [source], "licences": [], "validation_fraction": 0.0})
    build_corpus(recipe, tmp_path / "corpus")
    found = {d.stars: d.attributes["dstars"] for d in read_documents(tmp_path / "corpus", "train")}
    assert found == {0: "0", 1: "0", 2: "0", 3: "0", 4: "1", 5: "1", 6: "2", 7: "3"}
