"""Held-out projects stay out of a corpus under their names, as vendored copies, and as near copies."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from incoder.config import load_recipe
from incoder.corpus.build import build_corpus
from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.decontamination.held_out import (
    HeldOutCode,
    HeldOutProjects,
    held_out_names,
    refuse_held_out,
)
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import read_report
from incoder.errors import IncoderError

WriteFiles = Callable[[Mapping[str, str | bytes]], Path]
MakeRecipe = Callable[..., CorpusRecipe]

ROUTES = "".join(
    f"def route_{number}(request, *, cache=None):\n"
    f"    key = request.path + '/{number}'\n"
    f"    return cache.get(key) if cache else handle_{number}(request)\n\n\n"
    for number in range(30)
)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "held-out.txt"
    path.write_text("# measured on\nflask==3.1.3\nHuggingface_Hub[cli] >= 2  # a note\n\nnetworkx\n")
    return path


def test_a_list_has_names_with_or_without_versions(names: Path) -> None:
    assert held_out_names(names) == ("flask", "huggingface-hub", "networkx")


@pytest.mark.parametrize("line", ["--index-url x", "flask networkx", "./flask", "-r other.txt", "größe"])
def test_a_line_that_is_no_name_is_an_error_that_shows_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "held-out.txt"
    path.write_text(f"click\n{line}\n", encoding="utf-8")
    with pytest.raises(IncoderError, match=r"line 2: must be the name of a project, .*, got '"):
        held_out_names(path)


def test_a_list_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "held-out.txt"
    path.write_text("# later\n")
    with pytest.raises(IncoderError, match="must name the projects to hold out"):
        held_out_names(path)


def test_projects_are_known_by_name_and_their_copies_by_folder(names: Path) -> None:
    held_out = HeldOutProjects(DecontaminationSettings(held_out=names))
    assert held_out.reason("Fork/Flask", "app.py") == "held out: flask, named project"
    assert held_out.reason("huggingface.hub", "a.py") == "held out: huggingface-hub, named project"
    assert held_out.reason("pip", "pip/_vendor/flask/app.py") == "held out: flask, vendored copy"
    assert held_out.reason("p", "lib/huggingface_hub/a.py") == "held out: huggingface-hub, vendored copy"
    assert held_out.reason("flask-cors", "flask_cors/flask.py") is None
    assert HeldOutProjects(DecontaminationSettings()).reason("flask", "app.py") is None


def test_fitting_to_a_held_out_project_is_refused(names: Path) -> None:
    refuse_held_out(["attrs", "trio"], names)
    with pytest.raises(IncoderError, match=r"NetworkX must not be fitted to: .*held-out.txt holds it out"):
        refuse_held_out(["attrs", "NetworkX"], names)


def test_a_near_copy_is_found_by_its_text(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "flask").mkdir(parents=True)
    (folder / "flask/app.py").write_text(ROUTES)
    code = HeldOutCode(folder, 0.7)
    changed = ROUTES.replace("handle_7(", "treat_seven(").replace("    ", "\t")
    assert code.project_of(changed) == "flask"
    assert code.project_of(ROUTES[: len(ROUTES) // 3]) is None
    assert code.project_of(ROUTES.replace("request", "query").replace("cache", "store")) is None
    assert code.project_of("") is None


def test_a_folder_without_code_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="there is no folder"):
        HeldOutCode(tmp_path / "nothing", 0.7)
    (tmp_path / "empty" / "folder.py").mkdir(parents=True)
    (tmp_path / "empty" / "short.py").write_text("import flask\n" * 9)
    with pytest.raises(IncoderError, match="has no source files of held-out projects"):
        HeldOutCode(tmp_path / "empty", 0.7)


def test_a_corpus_reports_what_it_held_out_by_project_and_reason(
    write_files: WriteFiles, recipe: MakeRecipe, names: Path, tmp_path: Path
) -> None:
    write_files(
        {
            "flask/app.py": "x = 1\n",
            "other/mine.py": "total = counted(rows)\n",
            "other/_bundled/networkx/graph.py": "z = 3\n",
            "other/routes.py": f"# ours\n{ROUTES}",
        }
    )
    code = tmp_path / "held-out" / "flask"
    code.mkdir(parents=True)
    (code / "app.py").write_text(ROUTES)
    settings = {"held_out": str(names), "held_out_code": str(code.parent)}
    build_corpus(recipe(decontamination=settings), tmp_path / "corpus")
    report = read_report(tmp_path / "corpus")
    held_out = {reason: count["examples"] for reason, count in report["dropped"].items()}
    assert held_out == {
        "held out: flask, named project": [["flask", "flask/app.py"]],
        "held out: flask, near copy": [["other", "other/routes.py"]],
        "held out: networkx, vendored copy": [["other", "other/_bundled/networkx/graph.py"]],
    }
    assert report["splits"]["train"]["num_documents"] == 1


def test_a_recipe_names_its_list_from_its_own_folder(
    names: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    names.rename(folder / "held-out.txt")
    (folder / "corpus.toml").write_text(
        '[decontamination]\nheld_out = "held-out.txt"\n[[sources]]\nkind = "standard-library"\n'
    )
    (tmp_path / "elsewhere").mkdir()
    for place, path in (("recipes", "corpus.toml"), ("elsewhere", "../recipes/corpus.toml")):
        monkeypatch.chdir(tmp_path / place)
        settings = load_recipe(CorpusRecipe, Path(path)).decontamination
        assert settings.held_out == (folder / "held-out.txt").resolve()
