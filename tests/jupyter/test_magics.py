"""The magics in a real kernel, as nbclient runs a notebook."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from incoder.embedded_models import embedded_models
from incoder.inference.models.catalogue import find_model

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ipykernel") is None, reason="needs a kernel: pip install '.[jupyter]'"
    ),
    pytest.mark.skipif("mini" not in embedded_models(), reason="no model is embedded"),
]
MEAN = "def mean(xs):\n    return <FILL>"


@dataclass(frozen=True)
class Ran:
    """A cell that ran: what it printed and displayed, how it ended, and the cells that it made."""

    printed: str
    displayed: list[Any]
    status: str
    made: list[dict[str, Any]]


Run = Callable[[str], Ran]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a cell in the one kernel of all tests, with the extension loaded."""
    from nbclient import NotebookClient

    replies: list[Any] = []
    home = tmp_path_factory.mktemp("kernel")
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=240,
        allow_errors=True,
        resources={"metadata": {"path": str(home)}},
        on_cell_executed=lambda execute_reply, **_: replies.append(execute_reply["content"]),
    )

    def run_cell(source: str) -> Ran:
        client.nb.cells.append(nbformat.v4.new_code_cell(source))
        client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
        outputs, reply = client.nb.cells[-1].outputs, replies[-1]
        return Ran(
            "".join(one.get("text", "") for one in outputs),
            [one.data for one in outputs if "data" in one],
            reply["status"],
            reply["payload"],
        )

    with client.setup_kernel():
        assert run_cell("%load_ext incoder.jupyter").status == "ok"
        yield run_cell


def next_cell(ran: Ran, *, replace: bool = False) -> str:
    """The source of the only cell that was made."""
    assert ran.status == "ok", ran.printed
    assert [(one["source"], one["replace"]) for one in ran.made] == [("set_next_input", replace)]
    return str(ran.made[0]["text"])


def test_the_filled_cell_is_the_next_one_and_its_candidates_are_shown(run: Run) -> None:
    ran = run(f"%%infill -n 5 --seed 1\n{MEAN}")
    filled = next_cell(ran)
    assert filled.startswith("def mean(xs):\n    return ")
    assert "<FILL>" not in filled
    assert ran.displayed[0]["text/plain"].startswith(("2", "3", "4", "5"))
    shown = ran.displayed[-1]
    assert shown["text/html"].count("<td") == shown["text/plain"].count("candidate ") > 1
    second = next_cell(run("%infill --take 2"))
    assert second != filled
    for text in (filled, second):
        assert text.replace("\n", "\n    ") in shown["text/plain"]


def test_the_cell_can_be_replaced_and_one_candidate_is_not_shown_again(run: Run) -> None:
    ran = run(f"%%infill --replace --temperature 0\n{MEAN}")
    assert next_cell(ran, replace=True).startswith("def mean")
    assert [list(one) for one in ran.displayed] == [["text/plain"]]


def test_one_line_is_filled_without_a_cell_and_without_the_variables_of_the_session(run: Run) -> None:
    run("name = 'wrong'")
    assert next_cell(run("%infill import nu<FILL>")).startswith("import nu")
    filled = next_cell(run('%infill --temperature 0 -- d = {name}; print("{name} $name", <FILL>)'))
    assert filled.startswith('d = {name}; print("{name} $name", ')


def test_earlier_cells_are_context_unless_it_is_turned_off(run: Run) -> None:
    run("def weigh(weight_of_quokka):\n    return weight_of_quokka")
    cell = "\nweigh(weight_of_<FILL>=3)"
    assert "weight_of_quo" in next_cell(run(f"%%infill --temperature 0{cell}"))
    assert "weight_of_quo" not in next_cell(run(f"%%infill --temperature 0 --no-context{cell}"))


def test_magic_lines_in_a_cell_stay(run: Run) -> None:
    ran = run("%%infill --temperature 0\n%matplotlib inline\n!echo 'x\ntotal = sum(<FILL>)")
    assert next_cell(ran).startswith("%matplotlib inline\n!echo 'x\ntotal = sum(")


def test_an_interrupted_fill_writes_nothing_and_the_next_one_is_as_before(run: Run) -> None:
    greedy = f"%%infill --temperature 0 --no-context\n{MEAN}"
    before = next_cell(run(greedy))
    run("import os, signal, threading\nthreading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()")
    ran = run(f"%%infill -n 200 --temperature 2 --max-new-tokens 800 --no-stopping-rules\n{MEAN}")
    assert (ran.status, ran.made) == ("error", [])
    assert ran.printed.strip() == (
        "UsageError: interrupted; the cell is as it was, and no other cell was written"
    )
    assert next_cell(run(greedy)) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%%infill\nx = 1", "the cell has no hole; mark where code is missing with <FILL>"),
        ("%infill", "no code: write %%infill above code with <FILL>, or %infill -- CODE"),
        ("%infill --top-p 7 -- x = <FILL>", "top_p must be in (0, 1], got 7"),
        ("%infill --seed x -- x = <FILL>", "argument --seed: invalid int value: 'x'"),
        ("%infill --such -- x = <FILL>", "unrecognized arguments: --such"),
        ("%infill --stop 'a -- x = <FILL>", "quote a value with blanks"),
        ("%infill --take 99", "--take must be in [1, "),
        ("%infill --model nope -- x = <FILL>", "there is no model 'nope'; give an embedded model"),
        ("%infill --model http://127.0.0.1:9 --device cpu -- x = <FILL>", "are for models on this machine"),
    ],
)
def test_a_mistake_gets_a_line_and_no_traceback(source: str, message: str, run: Run) -> None:
    ran = run(source)
    assert (ran.status, ran.made) == ("error", [])
    assert ran.printed.startswith("UsageError: ")
    assert message in ran.printed
    assert len(ran.printed.strip().splitlines()) == 1


def test_the_model_is_loaded_once_and_another_one_when_it_is_named(run: Run) -> None:
    folder = find_model("mini")
    assert [one["text/plain"] for one in run(f"%infill --model {folder}").displayed] == [
        f"{folder} is loaded"
    ]
    again = run(f"%%infill -n 1\n{MEAN}").displayed[0]["text/plain"]
    assert re.fullmatch(r"1 candidate in \d+\.\d s", again)


def test_help_explains_the_magic_and_every_option(run: Run) -> None:
    shown = run("%infill --help")
    assert shown.status == "ok"
    for text in (
        "%%infill [options]",
        "or %infill [options] -- CODE",
        "<FILL>",
        "--take NUMBER",
        "--replace",
    ):
        assert text in shown.printed
    assert run("%%infill --help\nx").printed == shown.printed


def test_the_settings_of_the_user_are_the_defaults(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".incoder.toml").write_text('hole = "???"\n')
    run(f"%cd {tmp_path}")
    assert "???" not in next_cell(run("%%infill --temperature 0\nx = sum(???)"))
    run("%cd -")
