"""What `--help` says of all commands, and how soon a mistake is reported."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.commands import command_line


def all_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from all_commands(inner, (*path, name))


COMMANDS = dict(all_commands(command_line()))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_metavars_are_words_and_summaries_are_whole(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    for parameter in command.params:
        if not getattr(parameter, "is_flag", False):
            words = re.split(r"[|:=,\[\]]+", parameter.metavar)
            assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*|[a-z-]+|", word) for word in words), parameter.metavar
    shown = command.get_help(command.make_context("incoder", [], resilient_parsing=True))
    assert "..." not in shown.partition("\nCommands:\n")[2]
    assert re.findall(r"<(?:str|int|float|path|file|list|bool|datetime)\b[^>]*>", shown) == []
    for inner in getattr(command, "commands", {}).values():
        summary = inner.get_short_help_str(45)
        assert summary.endswith(".")
        assert " ".join(summary.split()) in " ".join(shown.split())


MISTAKES = {
    "fill no.py": "there is no file no.py",
    "fill . --temperature -1 --diff": "temperature must be at least 0",
    "complete no.py": "there is no file no.py",
    "docstring no.py --all": "there is no file no.py",
    "types no.py --all": "there is no file no.py",
    "edit no.py x --lines 1": "there is no file no.py",
    "fix no.py --lines 1": "there is no file no.py",
    "train no.toml -o run": "cannot read the recipe no.toml",
    "train /dev/zero -o run": "/dev/zero is no recipe: it has more than 10 MB",
    "train key.toml -o run": "unknown key training.stepz; did you mean training.steps?",
    "train files.toml -o run": "no/tokenizer",
}


def test_mistakes_are_reported_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "key.toml").write_text('tokens = "a"\ntokenizer = "b"\n[training]\nstepz = 3\n')
    (tmp_path / "files.toml").write_text('tokens = "no/tokens"\ntokenizer = "no/tokenizer"\n')
    script = (
        "import sys\nfrom incoder.cli.main import main\n"
        f"for call in {list(MISTAKES)!r}:\n"
        "    sys.argv = ['incoder', *call.split()]\n"
        "    try:\n        main()\n    except SystemExit as end:\n"
        "        print('\\n==', end.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    *reports, rest = re.split(r"\n== (?:1|2) False\n", done.stderr)
    assert rest == ""
    for (call, message), report in zip(MISTAKES.items(), reports, strict=True):
        assert message in report, call
        assert "Traceback" not in report


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (("fill", "a.py", "--num-cadidates", "3"), {"--num-candidates"}),
        (("fill", "a.py", "--lead-line", "3"), {"--lines", "--tail-lines"}),
        (("objective", "show", "a.py", "--edge", "token"), {"--seed"}),
    ],
)
def test_a_mistyped_option_is_never_answered_with_an_older_name(
    arguments: tuple[str, ...], suggested: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line()(arguments, prog_name="incoder")
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("Error: No such option:")
    assert set(re.findall(r"--[a-z-]+", error.partition("(")[2])) == suggested
