from collections import Counter
from pathlib import Path

from incoder.corpus.attributes import attributes_of, render
from incoder.corpus.recipe import AttributeSettings
from incoder.corpus.source_file import SourceFile
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
