from pathlib import Path

import pytest

from incoder.cli.settings import Setting, find_settings, project_file
from incoder.errors import IncoderError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".config" / "incoder").mkdir(parents=True)
    (tmp_path / "project" / "package").mkdir(parents=True)
    return tmp_path / "home"


def write_user(home: Path, text: str) -> Path:
    path = home / ".config" / "incoder" / "config.toml"
    path.write_text(text)
    return path


def write_project(home: Path, text: str) -> Path:
    path = home.parent / "project" / ".incoder.toml"
    path.write_text(text)
    return path


def found(home: Path, **environment: str) -> list[Setting]:
    return find_settings({"HOME": str(home), **environment}, home.parent / "project" / "package")


def test_without_files_and_variables_nothing_is_set(home: Path) -> None:
    assert found(home) == []


def test_the_environment_wins_over_the_project_and_the_project_over_the_user(home: Path) -> None:
    user = write_user(home, 'hole = "USER"\nmodel = "big"\ndtype = "int8"\n')
    assert found(home)[0] == Setting("hole", "USER", str(user))
    project = write_project(home, 'hole = "PROJECT"\n')
    assert found(home)[0] == Setting("hole", "PROJECT", str(project))
    assert found(home, INCODER_HOLE="VARIABLE", INCODER_TEMPERATURE="0.5") == [
        Setting("hole", "VARIABLE", "INCODER_HOLE"),
        Setting("model", "big", str(user)),
        Setting("dtype", "int8", str(user)),
        Setting("temperature", 0.5, "INCODER_TEMPERATURE"),
    ]


def test_the_users_file_is_where_the_desktop_keeps_such_files(home: Path) -> None:
    (home / "elsewhere" / "incoder").mkdir(parents=True)
    (home / "elsewhere" / "incoder" / "config.toml").write_text('model = "other"\n')
    write_user(home, 'model = "big"\n')
    assert [setting.value for setting in found(home, XDG_CONFIG_HOME=str(home / "elsewhere"))] == ["other"]


@pytest.mark.parametrize("name", ["model", "device", "dtype", "temperature", "top_p", "max_new_tokens"])
def test_a_project_may_not_choose_what_runs(home: Path, name: str) -> None:
    path = write_project(home, f"{name} = 1\n")
    with pytest.raises(IncoderError, match=f"{path} sets {name}, which a project may not choose"):
        found(home)


def test_a_project_ends_where_its_checkout_does(home: Path) -> None:
    write_project(home, 'hole = "X"\n')
    package = home.parent / "project" / "package"
    assert project_file(package) == home.parent / "project" / ".incoder.toml"
    (package / ".git").mkdir()
    assert project_file(package) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "model"),
        ("dtype = 'int7'", "dtype"),
        ("top_p = 2.0", "top_p"),
        ("max_new_tokens = 0", "max_new_tokens"),
        ("leave_out = ['Pyton']", "did you mean Python"),
        ("model = ''", "model"),
        ("model = ", "config.toml"),
        ("\x00", "config.toml"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_the_file(home: Path, text: str, message: str) -> None:
    write_user(home, text)
    with pytest.raises(IncoderError, match=r"config\.toml") as caught:
        found(home)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INCODER_TOP_P", "much", "valid number"),
        ("INCODER_MAX_NEW_TOKENS", "-1", "max_new_tokens must be at least 1, got -1"),
        ("INCODER_LEAVE_OUT", "Shell, Brainfuck", "'Brainfuck' is not one of C, C"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_the_variable(
    home: Path, variable: str, value: str, message: str
) -> None:
    with pytest.raises(IncoderError, match=f"{variable}=") as caught:
        found(home, **{variable: value})
    assert message in str(caught.value)


def test_languages_are_known_in_any_case_and_given_by_their_names(home: Path) -> None:
    assert [one.value for one in found(home, INCODER_LEAVE_OUT="shell, sql")] == [["Shell", "SQL"]]
