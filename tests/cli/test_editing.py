"""The editing commands as a user calls them, with a model that always writes the same."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from incoder.cli import editing
from incoder.errors import IncoderError
from incoder.request import InfillRequest
from incoder.results import Candidate, FinishReason, InfillResult, Score

RunCli = Callable[..., Any]
Use = Callable[[Any], None]

TEXT = b"# caf\xe9\r\ndef area(a, b):\r\n    c = a\r\n    return c * b\r\n"
# A call without the file, what the model writes, what then is another line, and what cannot be used.
EDITS: dict[str, tuple[tuple[str, ...], str, dict[bytes, bytes], str]] = {
    "docstring": (
        ("--function", "area"),
        "Give the area.",
        {b"b):\r\n": b'b):\r\n    """Give the area."""\r\n'},
        "",
    ),
    "types": (("--all", "--only", "return"), "int", {b"b):": b"b) -> int:"}, "-> "),
    "rename": (("c",), "width", {b" c =": b" width =", b" c *": b" width *"}, "("),
    "fix": (("--lines", "4"), "return c + b", {b"c *": b"c +"}, "return ("),
    "edit": (
        ("add", "--function", "area"),
        "def area(a, b): ...",
        {TEXT[8:]: b"def area(a, b): ...\r\n"},
        "def (",
    ),
}
LINES = {"docstring": (), "types": (), "rename": ("c",), "fix": (), "edit": ("add",)}


class Writes:
    """A model that fills every hole with the same text, and finds all texts and lines alike."""

    def __init__(self, written: str, logprob: float = -2.0) -> None:
        self.written = written
        self.logprob = logprob  # of a text whose infills are scored, where the first of them has -3

    def run(self, request: InfillRequest) -> InfillResult:
        written = self.written
        for text in request.sampling.stop:
            written = written.partition(text)[0]
        parts = request.parts if len(request.parts) > 1 else (*request.parts, "")
        infills = (written,) * (len(parts) - 1)
        whole = parts[0] + "".join(written + part for part in parts[1:])
        reasons: list[FinishReason] = ["end" for _ in infills]
        return InfillResult((Candidate(whole, infills, -0.5, -2.0, tuple(reasons)),))

    def score_texts(self, texts: Sequence[str]) -> list[Any]:
        return [Candidate("", (), -1.0, -1.0, ())] * len(texts)

    def score_infills(self, parts: Sequence[str], infills: Sequence[Any], **_: Any) -> list[Any]:
        assert all(len(fills) == len(parts) - 1 for fills in infills)
        return [Score((value,)) for value in (-3.0, *[self.logprob] * (len(infills) - 1))]

    def line_logprobs(self, text: str, **_: Any) -> list[float]:
        return [-1.0] * text.count("\n")

    def check_attributes(self) -> None: ...


class NeverSaw(Writes):
    """Finds texts that end in or go on after one of these words improbable."""

    def __init__(self, written: str, unseen: Sequence[str]) -> None:
        super().__init__(written)
        self.unseen = unseen

    def score_texts(self, texts: Sequence[str]) -> list[Any]:
        improbable = [any(word in text for word in self.unseen) for text in texts]
        return [Candidate("", (), -1.0, -12.0 if never else -1.0, ()) for never in improbable]


class KnowsNoAttributes(Writes):
    def check_attributes(self) -> NoReturn:
        raise IncoderError("this model was not trained on attributes")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "area.py"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Have the commands load this model; by default none may be loaded."""

    def replace(model: Any) -> None:
        monkeypatch.setattr(editing, "load_model", lambda *_, **__: model)

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(editing, "load_model", refuse)
    return replace


def called(command: str, file: Path | str, *arguments: str) -> tuple[str, ...]:
    first, *others = (*EDITS[command][0], *arguments)
    return (command, str(file), first, *others)


def expected(command: str) -> bytes:
    new = TEXT
    for before, after in EDITS[command][2].items():
        new = new.replace(before, after)
    assert new != TEXT
    return new


@pytest.mark.parametrize("command", EDITS)
def test_the_result_is_the_whole_text_with_its_bytes_and_line_ends(
    command: str, run_cli: RunCli, use: Use, file: Path
) -> None:
    use(Writes(EDITS[command][1]))
    outcome = run_cli(*called(command, file))
    assert (outcome.status, outcome.stdout) == (0, expected(command))
    assert file.read_bytes() == TEXT


@pytest.mark.parametrize("command", EDITS)
def test_in_place_writes_the_file_and_nothing_else(
    command: str, run_cli: RunCli, use: Use, file: Path
) -> None:
    use(Writes(EDITS[command][1]))
    outcome = run_cli(*called(command, file, "--in-place"))
    assert (outcome.status, outcome.stdout) == (0, b"")
    assert file.read_bytes() == expected(command)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("command", EDITS)
def test_a_diff_has_the_lines_that_change(command: str, run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes(EDITS[command][1]))
    outcome = run_cli(*called(command, file, "--diff"))
    head, _, *lines = outcome.stdout.splitlines(keepends=True)
    assert outcome.status == 0
    assert head == f"--- {file}\n".encode()
    assert b"".join(line[1:] for line in lines if line[:1] in b" -") == TEXT
    assert b"".join(line[1:] for line in lines if line[:1] in b" +") == expected(command)
    assert file.read_bytes() == TEXT


@pytest.mark.parametrize("command", EDITS)
def test_json_has_the_text_and_every_candidate(command: str, run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes(EDITS[command][1]))
    outcome = run_cli(*called(command, file, "--json"))
    answer = json.loads(outcome.stdout)
    assert outcome.status == 0
    assert (answer["file"], answer["model"]) == (str(file), "mini")
    assert answer["text"].encode("utf-8", "surrogateescape") == expected(command)
    assert [(change["used"], len(change["candidates"])) for change in answer["changes"]] == [(0, 1)]
    assert file.read_bytes() == TEXT


@pytest.mark.parametrize("command", EDITS)
def test_where_no_candidate_can_be_used_nothing_is_changed_and_the_status_is_1(
    command: str, run_cli: RunCli, use: Use, file: Path
) -> None:
    use(Writes(EDITS[command][3]))
    outcome = run_cli(*called(command, file, "--in-place"))
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "error: the only candidate cannot be used" in outcome.stderr
    assert file.read_bytes() == TEXT


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("command", EDITS)
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--lines", "abc"), 2),
        (("--lines", "3:2"), 1),
        (("--lines", "2:9"), 1),
        (("--lines", "2", "--function", "area"), 2),
        (("--function", "volume"), 1),
        (("--lines", "2", "--diff", "--json"), 2),
        (("--lines", "2", "--temperature", "-1"), 2),
    ],
)
def test_bad_usage_has_status_2_and_what_the_file_does_not_have_has_1(
    command: str, arguments: tuple[str, ...], status: int, run_cli: RunCli, file: Path
) -> None:
    outcome = run_cli(command, file, *LINES[command], *arguments)
    assert (outcome.status, outcome.stdout) == (status, b"")
    assert "Traceback" not in outcome.stderr
    assert file.read_bytes() == TEXT


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("command", ["docstring", "types", "rename"])
def test_what_does_not_parse_is_left_as_it_is(command: str, run_cli: RunCli, file: Path) -> None:
    file.write_bytes(TEXT + b"def (\r\n")
    outcome = run_cli(*called(command, file, "--in-place"))
    assert outcome.status == 1
    assert "(line 5); mend that, then try again" in outcome.stderr
    assert file.read_bytes() == TEXT + b"def (\r\n"


@pytest.mark.parametrize("command", EDITS)
def test_standard_input_is_edited_but_not_in_place(command: str, run_cli: RunCli, use: Use) -> None:
    use(Writes(EDITS[command][1]))
    assert run_cli(*called(command, "-", "--in-place"), stdin=TEXT).status == 2
    extension = ("--ext", "py") if command in ("fix", "edit") else ()
    assert run_cli(*called(command, "-", *extension), stdin=TEXT).stdout == expected(command)


@pytest.mark.usefixtures("use")
def test_a_given_name_needs_no_model(run_cli: RunCli, file: Path) -> None:
    assert run_cli("rename", file, "c", "--to", "width").stdout == expected("rename")
    assert run_cli("rename", file, "c", "--to", "a").status == 1


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("command", ["docstring", "types"])
def test_where_nothing_lacks_it_the_text_comes_as_it_is(command: str, run_cli: RunCli, file: Path) -> None:
    file.write_bytes(b'"""Doc."""\r\n')
    outcome = run_cli(command, file, "--all")
    assert (outcome.status, outcome.stdout) == (0, b'"""Doc."""\r\n')
    assert re.fullmatch(
        r"nothing to do: no (docstring|annotation of .*) is lacking( or incomplete)?\n", outcome.stderr
    )


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("command", ["docstring", "types"])
@pytest.mark.parametrize("place", [("--function", "area"), ("--lines", "1:2"), ("--all",)])
def test_nothing_to_do_is_no_failure_however_the_place_is_named(
    command: str, place: tuple[str, ...], run_cli: RunCli, file: Path
) -> None:
    text = b'"""Areas"""\ndef area(a: int) -> int:\r\n    """Return the area"""\r\n    return a\r\n'
    file.write_bytes(text)
    outcome = run_cli(command, file, *place)
    assert (outcome.status, outcome.stdout) == (0, text)
    assert outcome.stderr.startswith("nothing to do: ")
    assert "nothing_to_do" in json.loads(run_cli(command, file, *place, "--json").stdout)
    assert run_cli(command, file, *place, "--in-place").stderr.startswith("nothing to do: ")


@pytest.mark.parametrize("command", ["docstring", "types"])
def test_a_folder_is_edited_with_one_model_and_a_broken_file_stops_nothing(
    command: str, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    others = {"broken.py": b"def (", "done.py": b'"""Doc."""\n', "other.py": TEXT, "text.txt": b"def f(a):\n"}
    for name, content in others.items():
        (file.parent / name).write_bytes(content)
    loaded: list[str] = []

    def load(model: str, *_: object, **__: object) -> Writes:
        loaded.append(model)
        return Writes("int")

    monkeypatch.setattr(editing, "load_model", load)
    outcome = run_cli(command, file.parent, "--all", "--in-place")
    assert (outcome.status, outcome.stdout, loaded) == (1, b"", ["mini"])
    assert "error: 1 of 4 files failed" in outcome.stderr
    assert "4 files: 2 changed, 1 unchanged, 1 failed" in outcome.stderr
    assert file.read_bytes() == (file.parent / "other.py").read_bytes() != TEXT
    unchanged = [name for name, content in others.items() if (file.parent / name).read_bytes() == content]
    assert unchanged == ["broken.py", "done.py", "text.txt"]


MARK = b"\xef\xbb\xbf"
MARKED = {  # the file after its mark, a call without it, what the model writes, and the file then
    "edit line 1": (b"x = 1\ny = 2\n", ("edit", "add", "--lines", "1"), "x = 3", b"x = 3\ny = 2\n"),
    "edit all lines": (b"x = 1\ny = 2\n", ("edit", "add", "--lines", "1:2"), "x = 3", b"x = 3\n"),
    "edit a function": (
        b"def f(): ...\nx = 1\n",
        ("edit", "add", "--function", "f"),
        "def f(): pass",
        b"def f(): pass\nx = 1\n",
    ),
    "fix line 1": (b"x = 1\ny = 2\n", ("fix", "--lines", "1"), "x = 3", b"x = 3\ny = 2\n"),
    "fix the only line": (b"x = 1", ("fix", "--lines", "1"), "x = 3", b"x = 3"),
    "docstring of the module": (
        b"x = 1\n",
        ("docstring", "--module"),
        "Hold x.",
        b'"""Hold x."""\n\nx = 1\n',
    ),
    "types of line 1": (
        b"def f(a): return a\n",
        ("types", "--lines", "1", "--only", "return"),
        "int",
        b"def f(a) -> int: return a\n",
    ),
    "rename in line 1": (b"def f(a): return a\n", ("rename", "a", "--to", "b"), "", b"def f(b): return b\n"),
}


@pytest.mark.parametrize("case", MARKED)
def test_a_byte_order_mark_stays_at_the_start(case: str, run_cli: RunCli, use: Use, file: Path) -> None:
    before, (command, *arguments), written, after = MARKED[case]
    file.write_bytes(MARK + before)
    use(Writes(written))
    outcome = run_cli(command, file, *arguments, "--in-place")
    assert outcome.status == 0, outcome.stderr
    assert file.read_bytes() == MARK + after


def test_a_name_that_is_less_probable_than_the_present_one_is_not_taken(
    run_cli: RunCli, use: Use, file: Path
) -> None:
    use(Writes("width", logprob=-4.0))
    outcome = run_cli("rename", file, "c", "--in-place")
    assert (outcome.status, outcome.stdout) == (0, b"")
    assert "nothing to do: the model finds no name more probable than c" in outcome.stderr
    assert file.read_bytes() == TEXT
    assert run_cli("rename", file, "c").stdout == TEXT


@pytest.mark.usefixtures("use")
def test_force_renames_despite_risks_but_never_changes_a_meaning(run_cli: RunCli, file: Path) -> None:
    text = b"def area(a, b):\n    c = a\n    return eval('b') * c\n"
    file.write_bytes(text)
    outcome = run_cli("rename", file, "c", "--to", "width")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "variables are read by name: eval() (line 3); --force renames" in outcome.stderr
    outcome = run_cli("rename", file, "c", "--to", "width", "--force")
    assert (outcome.status, outcome.stdout) == (
        0,
        text.replace(b"c =", b"width =").replace(b"* c", b"* width"),
    )
    assert "not safe: variables are read by name: eval() (line 3)" in outcome.stderr
    outcome = run_cli("rename", file, "c", "--to", "b", "--force")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "b already means something there (line 1)" in outcome.stderr


PASSES_WITH_A_SUM = f"{sys.executable} -c 'from area import area; assert area(1, 2) == 3'"


def test_the_command_passes_with_what_is_written(run_cli: RunCli, use: Use, file: Path) -> None:
    file.write_bytes(TEXT.replace(b"\xe9", b"e"))
    use(Writes("return c + b"))
    arguments = ("--lines", "4", "--root", file.parent, "--test", PASSES_WITH_A_SUM, "--in-place")
    outcome = run_cli("fix", file, *arguments)
    assert outcome.status == 0
    assert b"c + b" in file.read_bytes()
    assert "the command fails with status 1\n    Traceback" in outcome.stderr
    assert "\n    AssertionError\n" in outcome.stderr
    outcome = run_cli("fix", file, *arguments)
    assert (outcome.status, outcome.stdout) == (0, b"")
    assert outcome.stderr == "nothing to do: the command passes as it is\n"


def test_the_candidates_of_each_line_are_counted_on_their_own(run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes("return c + b"))
    failing = f"{sys.executable} -c 'from area import area; assert area(1, 2) == 9'"
    outcome = run_cli("fix", file, "--root", file.parent, "--test", failing, "--json")
    changes = json.loads(outcome.stdout)["changes"]
    assert outcome.status == 1
    assert [(change["place"], len(change["candidates"])) for change in changes] == [
        ("line 1", 1),
        ("line 2", 1),
        ("line 3", 1),
    ]
    assert "line 2, candidate 1 (does not parse: " in outcome.stderr
    assert (
        "line 3, candidate 1 (the command fails with status 1): '    return c + b\\r\\n'\n" in outcome.stderr
    )


def test_what_is_written_is_named_after_it_is_written(run_cli: RunCli, use: Use, file: Path) -> None:
    file.write_bytes(TEXT.replace(b"\xe9", b"e"))
    use(Writes("return c + b"))
    arguments = ("--root", file.parent, "--test", PASSES_WITH_A_SUM, "--suspects", "4", "--in-place")
    outcome = run_cli("fix", file, *arguments)
    assert outcome.status == 0
    assert outcome.stderr.splitlines()[-1] == "line 4: the command passes with it"


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize(("command", "said"), [("true", 0), ("exit 3", 1)])
def test_an_empty_file_has_nothing_to_fix(
    command: str, said: int, run_cli: RunCli, use: Use, file: Path
) -> None:
    use(Writes(""))
    file.write_bytes(b"")
    assert run_cli("fix", file, "--root", file.parent, "--test", command).status == said
    outcome = run_cli("fix", file)
    assert (outcome.status, outcome.stdout) == (0, b"")
    assert outcome.stderr == "nothing to do: there are no lines\n"


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("command", ["", "echo a\0b"])
def test_a_command_that_no_shell_can_run_is_refused(command: str, run_cli: RunCli, file: Path) -> None:
    outcome = run_cli("fix", file, "--root", file.parent, "--test", command)
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "must not be empty or have a NUL character" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "text", "arguments", "written", "said"),
    [
        (
            "formatting.py",
            "def measure_table(rows):\n    return max(rows)\n",
            ("return the largest width only", "--function", "measure_table"),
            "FORCED_WIDTH: int | None = None",
            "loses the function measure_table",
        ),
        (
            "utils.js",
            "export const f = (a) => {\n  return a.map((b) => {\n    b;\n  });\n};\n",
            ("shorter", "--lines", "2:4"),
            "}",
            "does not parse: } in line 3 closes nothing",
        ),
    ],
)
def test_an_edit_that_destroys_what_was_there_fails_with_the_reason(
    name: str,
    text: str,
    arguments: tuple[str, ...],
    written: str,
    said: str,
    run_cli: RunCli,
    use: Use,
    file: Path,
) -> None:
    other = file.with_name(name)
    other.write_text(text)
    use(Writes(written))
    outcome = run_cli("edit", other, *arguments, "--in-place")
    assert outcome.status == 1
    assert said in outcome.stderr
    assert other.read_text() == text


def test_of_a_failing_command_the_last_lines_are_shown(run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes("return c + b"))
    outcome = run_cli("fix", file, "--lines", "4", "--root", file.parent, "--test", "seq 20; exit 3")
    assert outcome.status == 1
    assert "fails with status 3\n    11\n    12\n" in outcome.stderr
    assert file.read_bytes() == TEXT


@pytest.mark.usefixtures("use")
def test_a_command_that_is_not_there_is_told_at_once(run_cli: RunCli, file: Path) -> None:
    outcome = run_cli("fix", file, "--root", file.parent, "--test", "no-such-command")
    assert outcome.status == 1
    assert "error: the command no-such-command cannot be run (status 127): " in outcome.stderr


def test_an_answer_comes_alone_and_as_json_with_the_comments(run_cli: RunCli, use: Use) -> None:
    use(Writes("Use csv.\n<|/ a |>"))
    outcome = run_cli("ask", "-", "--comment", "Why?", stdin=b"How?")
    assert (outcome.status, outcome.stdout) == (0, b"Use csv.\n")
    assert outcome.stderr == "Use csv.\n> Why?\n"
    answer = json.loads(run_cli("ask", "How?", "--comment", "Why?", "--json").stdout)
    assert answer["turns"] == [{"answer": "Use csv.", "comment": "Why?"}]
    assert answer["candidates"] == [{"answer": "Use csv.", "logprob": -0.5}]


def test_a_headline_is_a_title_and_tags(run_cli: RunCli, use: Use) -> None:
    use(Writes("csv,file |>"))
    assert run_cli("ask", "How?", "--headline").stdout == b"csv,file\ncsv, file\n"
    (found,) = json.loads(run_cli("ask", "How?", "--headline", "--json").stdout)["candidates"]
    assert found == {"title": "csv,file", "tags": ["csv", "file"], "logprob": -0.5}


def test_attributes_come_with_their_probabilities(run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes("area.py |>"))
    outcome = run_cli("attributes", file, "--only", "source", "--only", "filename")
    assert (outcome.status, outcome.stdout) == (0, b"source: github (50%), gitlab (50%)\nfilename: area.py\n")
    assert outcome.stderr.splitlines() == [
        "source is the host of its repository",
        "filename is the file's name",
    ]
    answer = json.loads(run_cli("attributes", file, "--only", "source", "--json").stdout)
    assert answer["attributes"]["source"][0] == {"value": "github", "probability": 0.5}
    assert answer["seen_in_training"] == {"source": True}


def test_a_warning_names_what_the_model_seems_not_to_know(run_cli: RunCli, use: Use, file: Path) -> None:
    use(NeverSaw("5 |>", ("dstars", "| q")))
    outcome = run_cli("attributes", file, "--only", "ext", "--only", "dstars")
    assert outcome.status == 0
    assert "warning: mini does not seem to have seen dstars in training" in outcome.stderr
    outcome = run_cli("attributes", file, "--json")
    assert [name for name, seen in json.loads(outcome.stdout)["seen_in_training"].items() if not seen] == [
        "dstars"
    ]
    assert "warning: mini does not seem to have seen dstars in training" in outcome.stderr
    for arguments in ((), ("--headline",)):
        outcome = run_cli("ask", "How?", *arguments)
        assert outcome.status == 0
        assert "warning: mini does not seem to have seen StackOverflow's format in training" in outcome.stderr
        assert json.loads(run_cli("ask", "How?", "--json", *arguments).stdout)["seen_in_training"] is False


def test_a_model_that_knows_the_format_causes_no_warning(run_cli: RunCli, use: Use, file: Path) -> None:
    use(Writes("5 |>"))
    assert "warning" not in run_cli("attributes", file).stderr + run_cli("ask", "How?").stderr


def test_models_without_attributes_are_not_asked_about_them(run_cli: RunCli, use: Use, file: Path) -> None:
    use(KnowsNoAttributes(""))
    for arguments in (("attributes", file), ("ask", "How?")):
        outcome = run_cli(*arguments)
        assert (outcome.status, outcome.stdout) == (1, b"")
        assert outcome.stderr == "error: this model was not trained on attributes\n"


@pytest.mark.usefixtures("use")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("ask", " "), 1),
        (("ask", "How?", "--headline", "--tags", "csv"), 2),
        (("ask", "How?", "--top-p", "0"), 2),
        (("attributes", "no/such/file.py"), 1),
        (("attributes", "-", "--only", "size"), 2),
    ],
)
def test_questions_and_texts_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], status: int, run_cli: RunCli
) -> None:
    outcome = run_cli(*arguments)
    assert (outcome.status, outcome.stdout) == (status, b"")
